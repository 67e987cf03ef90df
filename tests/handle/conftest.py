"""The emulators of this suite; see tests/emulators.py."""

from ..emulators import emulator as emulator
from ..emulators import portable_emulator as portable_emulator
from ..emulators import sandbox as sandbox
