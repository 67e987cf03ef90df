"""What can go wrong, each also the `httpx` error that says the same.

So `except httpx.HTTPStatusError`, `httpx.ConnectError`, `httpx.TransportError` and so on catches these too.
"""

from typing import Any, cast

import httpx


class PodflareError(Exception):
    """The base of every error of this package."""


class InvalidArgumentError(PodflareError, ValueError):
    """An argument cannot be what was given."""


class UnknownRegionError(InvalidArgumentError):
    """The service has no region of that name."""


class ClientClosedError(PodflareError, RuntimeError):
    """The client was closed before the call."""


class SandboxClosedError(PodflareError):
    """The sandbox was closed, or merged into another, and only its `id` and `close` are left."""


class ExecTimeoutError(PodflareError, TimeoutError):
    """The code was interrupted: by the call's timeout, by `interrupt`, or because its stream was closed elsewhere.

    Attributes:
        stdout, stderr: What `run_code` has received of the code's output. Of a stream they are empty: its events have
            been yielded.
    """

    def __init__(self, message: str, stdout: str = "", stderr: str = "") -> None:
        super().__init__(message)
        self.stdout = stdout
        self.stderr = stderr

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.stdout, self.stderr)


class PtyError(PodflareError, RuntimeError):
    """A terminal could not be made, or the handle on it was closed before its program ended."""


class PtyTimeoutError(PodflareError, TimeoutError):
    """A terminal was not ready, or its program did not end, in the time given. The program goes on."""


class TransferError(PodflareError, OSError):
    """A file could not be read or written, or a sandbox gives no list of its files.

    What is raised is always the subclass of `OSError` that fits as well: `FileNotFoundError`, `PermissionError`, …
    """


class APIStatusError(PodflareError, httpx.HTTPStatusError):
    """The server refused. The message starts with the server's own words.

    `.request` and `.response` are those of `httpx.HTTPStatusError`.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore_status_error, (type(self), str(self), self.request, self.response)


class BadRequestError(APIStatusError):
    """The server does not accept the request: 400, 415, or another 4xx without a more specific class."""


class UnauthorizedError(APIStatusError):
    """401: the API key is missing or wrong."""


class ForbiddenError(APIStatusError):
    """403: the server does not let this key, host name or origin do it."""


class NotFoundError(APIStatusError):
    """404: no such sandbox. It was destroyed, was merged away, timed out, or never was."""


class TooManyRequestsError(APIStatusError):
    """429: a limit of the account is reached."""


class ServerError(APIStatusError):
    """5xx: the server could not do it."""


class APIConnectionError(PodflareError, httpx.RequestError):
    """The server could not be reached, broke off, or does not speak the protocol.

    What is raised is always a subclass that is the original `httpx` error as well.
    """


class ForkWarning(RuntimeWarning):
    """The children of a fork lack something that the forked sandbox has. The base of the warnings below."""


class ThreadsLeftBehindWarning(ForkWarning):
    """The forked sandbox ran threads that its children do not have: a fork copies only the one that forks."""


class ProcessesLeftBehindWarning(ForkWarning):
    """The forked sandbox had started processes that its children do not have: a fork copies the interpreter alone."""


class ReplayDiffersWarning(ForkWarning):
    """The children were made by running the sandbox's code again, and some of it ended differently."""


_CLASS_OF_STATUS: dict[int, type[APIStatusError]] = {
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    429: TooManyRequestsError,
}


def status_error(response: httpx.Response) -> APIStatusError:
    """The error for an answer that is not 2xx; its body must have been read."""
    status = response.status_code
    if status >= 500:
        error_class: type[APIStatusError] = ServerError
    elif status >= 400:
        error_class = _CLASS_OF_STATUS.get(status, BadRequestError)
    else:
        error_class = APIStatusError
    try:
        reason = str(response.json()["error"])
    except (ValueError, KeyError, TypeError):
        # Not the API's own answer: a proxy's page, or another server altogether.
        reason = response.text.strip()[:200] or response.reason_phrase
    request = response.request
    message = f"{reason} (HTTP {status} for {request.method} {request.url})"
    return error_class(message, request=request, response=response)


def connection_error(cause: httpx.RequestError, request: httpx.Request) -> APIConnectionError:
    """The error for a request that got no complete answer."""
    if isinstance(cause, (httpx.ConnectError, httpx.ConnectTimeout)):
        message = (
            f"cannot connect to {request.url} ({cause}). "
            "Start the emulator with `podflare-emulator`, give a pytest test its fixture podflare_emulator "
            "(a fixture of wider scope: podflare_emulator_module, _class, _package or _session), "
            "or set PODFLARE_HOST to where the server is."
        )
    else:
        message = f"{request.method} {request.url} failed: {cause} ({type(cause).__name__})"
    return _connection_error_class(type(cause))(message, request=request)


def transfer_error(
    message: str, errno: int | None = None, path: object = None, *, cause: OSError | None = None
) -> TransferError:
    """The error for a transfer; with an error number it is the `OSError` that Python has for that number."""
    if cause is not None and cause.errno is not None:
        errno, message, path = cause.errno, cause.strerror or message, cause.filename
    if errno is None:
        return TransferError(message)
    return _restore_transfer_error(errno, message, path)


_transfer_error_classes: dict[type[OSError], type[TransferError]] = {OSError: TransferError}


def _restore_transfer_error(errno: int, message: str, path: object) -> TransferError:
    kind = type(OSError(errno, message))
    if kind not in _transfer_error_classes:

        def reduce(self: TransferError) -> tuple[Any, ...]:
            return _restore_transfer_error, (self.errno, self.strerror, self.filename)

        members = {"__module__": __name__, "__doc__": TransferError.__doc__, "__reduce__": reduce}
        made = cast(type[TransferError], type("TransferError", (TransferError, kind), members))
        _transfer_error_classes.setdefault(kind, made)
    error_class = _transfer_error_classes[kind]
    return error_class(errno, message) if path is None else error_class(errno, message, path)


_connection_error_classes: dict[type[httpx.RequestError], type[APIConnectionError]] = {}


def _connection_error_class(kind: type[httpx.RequestError]) -> type[APIConnectionError]:
    if kind in _connection_error_classes:
        return _connection_error_classes[kind]

    def reduce(self: APIConnectionError) -> tuple[Any, ...]:
        return _restore_connection_error, (kind, str(self), self.request)

    members = {"__module__": __name__, "__doc__": APIConnectionError.__doc__, "__reduce__": reduce}
    made = cast(type[APIConnectionError], type("APIConnectionError", (APIConnectionError, kind), members))
    return _connection_error_classes.setdefault(kind, made)


# httpx's own constructors take keyword-only arguments, which the default way of pickling an exception loses.
def _restore_status_error(
    error_class: type[APIStatusError], message: str, request: httpx.Request, response: httpx.Response
) -> APIStatusError:
    return error_class(message, request=request, response=response)


def _restore_connection_error(
    kind: type[httpx.RequestError], message: str, request: httpx.Request
) -> APIConnectionError:
    return _connection_error_class(kind)(message, request=request)
