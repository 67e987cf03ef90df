"""`podflare-emulator mcp`: sandboxes as tools of a model, by standard input and output."""

from podflare_emulator.command.printing import refuse
from podflare_emulator.handle.server.thread import ServerThread
from podflare_emulator.mcp.server import serve_stdio
from podflare_emulator.mcp.tools import Tools
from podflare_emulator.vocabulary.errors import EmulatorError
from podflare_emulator.vocabulary.logs import log_to_stderr
from podflare_emulator.vocabulary.settings import Settings


def run(settings: Settings) -> int:
    """Until standard input ends; returns 0, or 2 when it cannot start."""
    log_to_stderr(settings.log_format, "WARNING")
    server = ServerThread(settings)
    try:
        server.start()
        try:
            server.beside(lambda registry: serve_stdio(Tools(registry)))
        finally:
            server.stop()
    except EmulatorError as error:
        return refuse(str(error))
    except KeyboardInterrupt:
        pass
    return 0
