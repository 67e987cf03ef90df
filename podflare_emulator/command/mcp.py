"""`podflare-emulator mcp`: serves sandboxes as tools for a model, over standard input and output."""

from podflare_emulator.command.printing import refuse
from podflare_emulator.handle.server.thread import ServerThread
from podflare_emulator.mcp.server import serve_stdio
from podflare_emulator.mcp.tools import Tools
from podflare_emulator.vocabulary.errors import EmulatorError
from podflare_emulator.vocabulary.logs import log_to_stderr
from podflare_emulator.vocabulary.settings import Settings


def run(settings: Settings) -> int:
    """Serve until standard input ends, or nobody reads the output. Returns 0, or 2 if it cannot start."""
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
