"""A file on a server, read in pieces of the expected size, by way of fsspec.

fsspec's own buffered files do not do three things that this class does: it fetches each piece once,
as large as the purpose asks for; it reads a file to its end from a server that ignores ranges; and
it tells errors in one way, with the URL, whichever library noticed.
"""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING, Any

from fastidx.base import network
from fastidx.errors import TruncatedError

from .http_range import NoRangesError, http_range
from .remote_errors import changed_error, error_for, may_pass

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# A request costs some 10 to 100 ms before the first byte, as much as 1 to 10 MB at 100 MB/s.
LARGE_NBYTES = 16 << 20
# For a header: enough for any, and for what precedes it in a compressed file.
SMALL_NBYTES = 4096
# How much more is asked for each time when small pieces turn out not to be enough.
_GROWTH = 4
# The end of a zip archive is read in steps backwards; this covers the table of some 500 members.
_TAIL_NBYTES = 64 << 10

# What file systems call the properties that change with a file's content.
_PROPERTIES = {
    "size", "etag", "mtime", "lastmodified", "contentmd5", "md5hash", "digest", "generation",
    "created", "ino", "versionid",
}  # fmt: skip


class RemoteFile(io.RawIOBase):
    """A file on a server, read in pieces of a planned size.

    The piece at hand is kept until the next one is needed, so that going back to the beginning for
    another look costs no request. Where the server has no ranges or no size, the file is one
    stream that cannot seek.

    Parameters
    ----------
    fs : fsspec.AbstractFileSystem
    path : str
        The file system's name for the file.
    name : str
        What messages call it.
    at_once : int
        Bytes to ask for at once.
    """

    def __init__(self, fs: Any, path: str, name: str, *, at_once: int) -> None:
        self.name = name
        self.at_once = self._first_at_once = at_once
        self._most_at_once = LARGE_NBYTES
        self._nfetched = 0  # requests for data
        self._fs = fs
        self._path = path
        self._is_http = "http" in fs.protocol
        self._file: Any = None
        info = self._trying(self._open)
        self.properties = _properties(info)
        self.nbytes: int | None = self.properties.get("size")
        self._stop = self.nbytes
        self._pos = 0
        self._piece = memoryview(b"")
        self._piece_begin = 0

    def expect(self, at_once: int, *, stop: int | None = None) -> None:
        """Set how much to ask for at once from now on, and where to stop for the time being."""
        self.at_once = self._first_at_once = self._most_at_once = at_once
        self._stop = self.nbytes if stop is None else stop

    def limit_pieces(self, nbytes: int) -> None:
        """Set how much to ask for at once, at most, when one piece after the other is needed."""
        self._most_at_once = nbytes
        self.at_once = min(self.at_once, nbytes)

    def read_range_into(self, begin: int, out: memoryview) -> int:
        """Read from any place, wherever the position is; returns how many bytes there were.

        Just this is fetched, unless it follows on what was fetched last: then more may come along,
        as when reading on.
        """
        assert self.nbytes is not None
        done, stop = 0, min(begin + len(out), self.nbytes)
        while begin + done < stop:
            here = begin + done
            if not 0 <= here - self._piece_begin < len(self._piece):
                self._fetch_range_at(here, stop)
            piece = self._piece[here - self._piece_begin :][: stop - here]
            if not piece:
                raise self._ended(here)
            out[done : done + len(piece)] = piece
            done += len(piece)
        if len(self._piece) > self._most_at_once:
            self._piece = memoryview(b"")  # too much to keep
        return done

    def _fetch_range_at(self, begin: int, stop: int) -> None:
        assert self.nbytes is not None
        end = min(stop, begin + LARGE_NBYTES)
        if self._piece and begin == self._piece_begin + len(self._piece):
            self.at_once = min(self.at_once * _GROWTH, self._most_at_once)
            end = min(max(end, begin + self.at_once), self.nbytes)
        else:
            self.at_once = self._first_at_once
        self._piece = memoryview(b"")
        self._piece = self._fetch_range(begin, end, follows=False)
        self._piece_begin = begin

    def check_unchanged(self, *, suspicious: bool) -> None:
        """Raise `SourceChangedError` if the file is not the one that was opened.

        The server is asked only if that is suspected, or if what was read came in several pieces,
        which need not belong together.
        """
        if suspicious or self._nfetched > 1:
            self._compare(ignore_failure=suspicious)

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def seekable(self) -> bool:
        """Whether it can seek."""
        return not self._streamed

    def tell(self) -> int:
        """Return the position."""
        return self._pos

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position. What is wrong with it shows when something is read there."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._pos, io.SEEK_END: self.nbytes}[whence]
        if base is None or base + offset < 0:
            raise io.UnsupportedOperation(f"{self.name}: cannot seek to {offset} from {whence}")
        self._pos = base + offset
        return self._pos

    def readinto(self, out: Any) -> int:
        """Read once; fewer bytes than fit where the piece at hand ends."""
        view = memoryview(out).cast("B")
        begin = self._pos - self._piece_begin
        if not 0 <= begin < len(self._piece):
            if not view or (self.nbytes is not None and self._pos >= self.nbytes):
                return 0
            self._next_piece()
            begin = self._pos - self._piece_begin
        n = min(len(view), len(self._piece) - begin)
        view[:n] = self._piece[begin : begin + n]
        self._pos += n
        return n

    def close(self) -> None:
        """Close the connection to the server."""
        if self._file is not None:
            self._file.close()
            self._file = None
        super().close()

    def _open(self) -> Mapping[str, Any]:
        """Open the file, with one request, and return what the server says of it."""
        self._forget_listing()
        self._streamed = False
        if not self._is_http:
            self._file = self._fs.open(self._path, "rb", cache_type="none")
            info = getattr(self._file, "details", None) or self._fs.info(self._path)
            return dict(info)
        info = dict(self._fs.info(self._path))
        if info.get("size") == 0:
            del info["size"]  # some servers answer HEAD with length 0, whatever the file's size
        if info.get("size") and info.get("partial", True):
            self._file = self._fs.open(
                self._path, "rb", cache_type="none", size=info["size"], **self._conditions(info)
            )
        else:
            self._open_stream()
        return info

    def _conditions(self, info: Mapping[str, Any]) -> dict[str, Any]:
        """Have the server refuse (with status 412) to send parts of a file that took its place."""
        etag = str(info.get("ETag", ""))
        if not etag.startswith('"'):  # RFC 9110, section 13.1.1: a weak one never matches
            return {}
        return {"headers": {**(self._fs.kwargs.get("headers") or {}), "If-Match": etag}}

    def _open_stream(self) -> None:
        # A stream has no use for a size, but without one the server would be asked for it.
        self._file = self._fs.open(self._path, "rb", block_size=0, size=-1)
        self._nfetched += 1
        self._streamed = True

    def _forget_listing(self) -> None:
        """Make the file system ask the server: what it remembers may be older than the file."""
        self._fs.invalidate_cache(self._path.rpartition("/")[0])

    def _next_piece(self) -> None:
        """Fetch the piece at the position."""
        begin = self._pos
        follows = begin == self._piece_begin + len(self._piece)
        if not self._streamed:
            if not follows:
                self.at_once = self._first_at_once
            elif self._piece:
                self.at_once = min(self.at_once * _GROWTH, self._most_at_once)
            begin, end = self._extent_of_piece(follows)
            self._piece = memoryview(b"")  # so that there are not two of them
            self._piece = self._fetch_range(begin, end, follows)
        elif not follows:
            raise self._needs_ranges()
        if self._streamed:
            self._piece = memoryview(self._trying(self._file.read, self.at_once, attempts=1))
        if not self._piece and self.nbytes is not None:
            raise self._ended(begin)
        self._piece_begin = begin

    def _fetch_range(self, begin: int, end: int, follows: bool) -> memoryview:
        """Fetch a piece; if that turns out to be impossible, begin a stream and return nothing."""
        try:
            data = self._trying(self._fetch, begin, end)
        except NoRangesError:
            if not follows:
                raise self._needs_ranges() from None
            self._trying(self._begin_stream_at, begin)
            return memoryview(b"")
        self._nfetched += 1
        return memoryview(data)

    def _extent_of_piece(self, follows: bool) -> tuple[int, int]:
        assert self.nbytes is not None and self._stop is not None
        begin = self._pos
        stop = self._stop if begin < self._stop else self.nbytes
        end = min(begin + self.at_once, stop)
        if stop - end < self.at_once // 4:
            end = stop  # as a small rest is not worth a request of its own
        if not follows and self._stop == self.nbytes:
            begin = min(begin, max(0, self.nbytes - _TAIL_NBYTES))
        return begin, end

    def _fetch(self, begin: int, end: int) -> bytes:
        if self._is_http:
            return http_range(self._file, begin, end, self.name)
        self._file.seek(begin)
        data: bytes = self._file.read(end - begin)
        return data

    def _begin_stream_at(self, begin: int) -> None:
        """Go on without ranges: ask for the whole file and drop what is known."""
        self._file.close()
        self._open_stream()
        while begin > 0:
            dropped = len(self._file.read(min(begin, LARGE_NBYTES)))
            if not dropped:
                raise self._ended(begin)
            begin -= dropped

    def _trying(
        self, call: Callable[..., Any], *args: Any, attempts: int = network.ATTEMPTS
    ) -> Any:
        """Call a file system's function, more than once if that may help."""
        attempts = attempts or network.ATTEMPTS
        for attempt in range(1, attempts + 1):
            try:
                return call(*args)
            except (ImportError, TypeError, ValueError, NoRangesError):
                raise  # misuse, or told already (as an IdxError)
            except Exception as error:
                told = error_for(error, self.name)
                if not self._is_http or attempt == attempts or not may_pass(error, told):
                    raise told from error
            time.sleep(network.pause_s(attempt))
        raise AssertionError

    def _ended(self, nbytes: int) -> TruncatedError:
        return TruncatedError(
            f"{self.name}: expected {self.nbytes:,} bytes, as the server says, found the end after "
            f"{nbytes:,}; try again"
        )

    def _needs_ranges(self) -> io.UnsupportedOperation:
        return io.UnsupportedOperation(
            f"{self.name}: expected a server with range requests, without which a file can only be "
            "read from its beginning on, found one that ignores them; download the file first"
        )

    def _compare(self, *, ignore_failure: bool) -> None:
        """Compare the file's properties with those that it had when it was opened."""
        self._forget_listing()
        try:
            now = _properties(self._trying(self._fs.info, self._path))
        except FileNotFoundError:
            raise changed_error(self.name, "none any more") from None
        except Exception:
            if not ignore_failure:
                raise
            return
        common = self.properties.keys() & now.keys()
        changed = sorted(key for key in common if now[key] != self.properties[key])
        if changed:
            raise changed_error(
                self.name, f"another under the same name ({', '.join(changed)} differ)"
            )


def _properties(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return what changes with the content, under the same names for all file systems."""
    properties = {
        key.lower().replace("-", "").replace("_", ""): value
        for key, value in info.items()
        if value is not None
    }
    if "mtime" in properties:
        properties.pop("created", None)  # of a local file: when its mode was changed
    return {key: value for key, value in properties.items() if key in _PROPERTIES}
