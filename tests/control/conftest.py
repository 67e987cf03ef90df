"""The emulators of this suite; see tests/emulators.py."""

from ..emulators import emulator as emulator
from ..emulators import sandbox as sandbox
