"""A public name of what stubs answer, and are asked."""

from podflare_emulator.handle.stubs import CommandStub, Stub, StubCall
from podflare_emulator.vocabulary.answers import Answer

__all__ = ["Answer", "CommandStub", "Stub", "StubCall"]
