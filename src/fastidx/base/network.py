"""The network policy: how long to wait, how often to try again, how to tell what went wrong.

All code that fetches anything takes its limits from here. This module imports no network library.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

#: How often to try, the first time included.
ATTEMPTS = 3
#: The pause before the second attempt, in seconds. It doubles before each later one.
PAUSE_S = 0.1
#: Seconds to wait for a connection, and for the next bytes of an answer.
CONNECT_S, SILENCE_S = 10.0, 30.0
#: A transfer that brings fewer bytes a second than this, averaged over a window, is given up.
LEAST_RATE = 1024
#: Length of that window in seconds.
WINDOW_S = 60.0
#: Bytes of an unknown file beyond which a download is given up.
MAX_NBYTES = 4 << 30
#: Statuses of servers that are busy or about to be back (RFC 9110, section 15; RFC 6585).
RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
#: A captive portal answers with this status (RFC 6585, section 6).
NETWORK_AUTHENTICATION_REQUIRED = 511
#: Ask for the file's own bytes: ranges and sizes of an encoded answer would count other bytes.
IDENTITY = {"Accept-Encoding": "identity"}
#: What downloads send with each request.
HEADERS = {**IDENTITY, "User-Agent": "fastidx"}

# The longest text of a library's error that a message repeats.
_MAX_NCHARS = 160


class SlowTransferError(TimeoutError):
    """A server sends, but so slowly that the transfer would take hours."""


class RateGuard:
    """Give a transfer up when it is too slow.

    Parameters
    ----------
    clock : callable
        Returns the time in seconds.

    Examples
    --------
    >>> from fastidx.base.network import RateGuard
    >>> times = iter([0.0, 1.0, 70.0])
    >>> guard = RateGuard(clock=lambda: next(times))
    >>> guard.received(100)
    >>> guard.received(100)
    Traceback (most recent call last):
    fastidx.base.network.SlowTransferError: sent 200 bytes in 70 seconds
    """

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._clock = time.monotonic if clock is None else clock
        self._begin = self._clock()
        self._nbytes = 0

    def received(self, nbytes: int) -> None:
        """Count bytes; at the end of each window, compare the rate with the least allowed.

        Raises
        ------
        SlowTransferError
            If fewer bytes came in this window than `LEAST_RATE` allows.
        """
        self._nbytes += nbytes
        elapsed_s = self._clock() - self._begin
        if elapsed_s < WINDOW_S:
            return
        if self._nbytes < LEAST_RATE * elapsed_s:
            raise SlowTransferError(f"sent {self._nbytes:,} bytes in {elapsed_s:.0f} seconds")
        self._begin += elapsed_s
        self._nbytes = 0


def pause_s(attempt: int) -> float:
    """Return how long to wait after a failed attempt, the first of which is 1."""
    return PAUSE_S * (1 << attempt - 1)


def without_secrets(text: str) -> str:
    """Leave user names, passwords, tokens and signatures out of the URLs in a text."""
    return re.sub(r"(?<=://)[^/@\s]*@|(?<=\?)(?:(?!::)[^\s'\"])+", "…", text)


def one_line(error: BaseException) -> str:
    """Tell an error of a network library in one short line without secrets.

    The libraries wrap the system's error in several of their own, whose texts repeat each other
    and show objects by address. The innermost error says what happened.
    """
    inner = _innermost(error)
    text = getattr(inner, "strerror", None) or str(inner)
    # urllib3 puts an object's repr before its text: "<...HTTPConnection object at 0x7f…>: text".
    text = re.sub(r"\w*\(?<[^<>]* object at 0x[0-9a-f]+>[,:]?\s*", "", text)
    text = " ".join(without_secrets(text).split()) or type(inner).__name__
    return text if len(text) <= _MAX_NCHARS else f"{text[: _MAX_NCHARS - 1]}…"


def _innermost(error: BaseException) -> BaseException:
    """Return the error that the others wrap: as cause, `reason` (urllib3) or first argument."""
    for _ in range(10):  # a circle of causes would never end
        wrapped = (error.__cause__, getattr(error, "reason", None), *error.args[:2])
        inner = next((item for item in wrapped if isinstance(item, BaseException)), None)
        if inner is None:
            return error
        error = inner
    return error
