"""The entry point of `podflare-emulator`: runs the subcommand."""

import sys
from collections.abc import Sequence

from podflare_emulator.command.options import parse, settings
from podflare_emulator.command.printing import PROGRAM, refuse, say
from podflare_emulator.vocabulary.settings import SettingsError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv`, by default the process's own arguments.

    Returns:
        0 after SIGINT or SIGTERM; 2, with one line on stderr, if it cannot start; for `doctor`, 0 if the emulator can
        run and 1 if not; for `exec`, the exit status of the program.

    Raises:
        SystemExit: `--help`, or (2, with one line on stderr) arguments that cannot be parsed.
    """
    arguments = parse(sys.argv[1:] if argv is None else argv)
    if arguments.pop("version", False):
        from importlib.metadata import version

        say(f"{PROGRAM} {version(PROGRAM)}")
        return 0
    subcommand, program = arguments.pop("subcommand"), arguments.pop("program")
    if subcommand in ("exec", "mcp"):
        arguments.setdefault("port", 0)
    try:
        chosen = settings(arguments)
    except SettingsError as error:
        return refuse(str(error))
    # Imported late: a wrong argument should be refused before the slow imports of the server.
    if subcommand == "doctor":
        from podflare_emulator.command import doctor

        return doctor.run(chosen)
    if subcommand == "mcp":
        from podflare_emulator.command import mcp

        return mcp.run(chosen)
    from podflare_emulator.command import serving

    return serving.execute(chosen, program) if program else serving.serve(chosen)
