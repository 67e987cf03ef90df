"""The emulators of this suite; see tests/emulators.py."""

from ..emulators import namespace_emulator as namespace_emulator
