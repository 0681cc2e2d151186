"""What goes wrong on the way to a server, told in one way, whichever library noticed."""

from __future__ import annotations

from fastidx.base import network
from fastidx.base.network import without_secrets
from fastidx.errors import SourceChangedError, TruncatedError


def error_for(error: Exception, name: str) -> Exception:
    """Return the error to raise for one of a file system, whichever library it comes from."""
    while type(error) is FileNotFoundError and isinstance(error.__cause__, Exception):
        error = error.__cause__  # of HTTP it is said whatever the matter is
    kind, status = type(error).__name__, _status(error)
    found = f"status {status}" if status else f"{kind}: {without_secrets(str(error))}"
    if kind == "FileExpired" or status == 412:
        return changed_error(name, "another under the same name")
    if status in (401, 403) or isinstance(error, PermissionError):
        return PermissionError(
            f"{name}: expected to be allowed to read it, found that the server refuses "
            f"({found}); pass credentials (storage_options) that may"
        )
    if status in (404, 410) or isinstance(error, FileNotFoundError):
        return FileNotFoundError(
            f"{name}: expected a file, found that the server has none ({found}); check the address"
        )
    if status in (408, 504) or isinstance(error, TimeoutError) or "Timeout" in kind:
        return TimeoutError(
            f"{name}: expected an answer in time, found none ({found}); try again later, "
            "or allow more time (storage_options)"
        )
    if kind in ("ClientPayloadError", "IncompleteReadError", "ResponseStreamingError"):
        return TruncatedError(
            f"{name}: expected more data, found that the server broke off ({kind}); try again"
        )
    if isinstance(error, ConnectionError) or "Connect" in kind or "Disconnect" in kind:
        return ConnectionError(
            f"{name}: expected a connection to the server, found that there is none or "
            f"that it broke ({found}); check the address and the network"
        )
    return OSError(
        f"{name}: expected the file's data, found an error of the server or of the way "
        f"there ({found}); try again later"
    )


def changed_error(name: str, found: str) -> SourceChangedError:
    """Return the error for a file that is not the one that was opened."""
    return SourceChangedError(
        f"{name}: expected the file to stay as it was when it was opened, found {found}; "
        "read it again from the beginning"
    )


def _status(error: Exception) -> int | None:
    """Return the HTTP status in an exception of aiohttp, azure or botocore."""
    for status in (getattr(error, "status", None), getattr(error, "status_code", None)):
        if isinstance(status, int) and status >= 400:
            return status
    try:
        return int(error.response["ResponseMetadata"]["HTTPStatusCode"])  # type: ignore[attr-defined]
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def may_pass(error: Exception, told: Exception) -> bool:
    """Whether what went wrong may go right next time."""
    cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
    return isinstance(told, (ConnectionError, TruncatedError)) or (
        _status(cause) in network.RETRIED
    )
