"""The emulators of this suite; see tests/emulators.py."""

from ..emulators import directory_emulator as directory_emulator
from ..emulators import emulator as emulator
from ..emulators import namespace_emulator as namespace_emulator
from ..emulators import namespace_sandbox as namespace_sandbox
from ..emulators import portable_emulator as portable_emulator
from ..emulators import sandbox as sandbox
