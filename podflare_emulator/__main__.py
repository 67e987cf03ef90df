"""`python -m podflare_emulator` is the command `podflare-emulator`."""

import sys

from podflare_emulator.command.cli import main

sys.exit(main())
