"""Files on servers as sources."""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING, Any

from fastidx.base.network import without_secrets

from .buffered import BufferedSource
from .range_file import FullReads
from .remote_file import LARGE_NBYTES, SMALL_NBYTES, RemoteFile

if TYPE_CHECKING:
    from collections.abc import Mapping


def open_remote(url: str, storage_options: Mapping[str, Any], *, read_ahead: bool) -> RemoteSource:
    """Open what a URL names.

    Parameters
    ----------
    url : str
        With any protocol of fsspec, or a chain of several.
    storage_options : mapping
        What fsspec's file system is to be told.
    read_ahead : bool
        Whether it will be read to its end, hence in large pieces.

    Raises
    ------
    ImportError
        If fsspec is missing, or what it needs for this protocol.
    ValueError
        If fsspec does not know the protocol.
    OSError
        If there is no such file, or the server cannot be reached or refuses.
    """
    name = without_secrets(url)
    try:
        from fsspec.core import url_to_fs

        fs, path = url_to_fs(url, **_with_proxy(url, storage_options))
    except ImportError as error:
        raise ImportError(
            f"{name}: expected the packages that this URL needs, found one missing ({error}); "
            'install them: pip install "fastidx[remote]"'
        ) from error
    except ValueError as error:
        if "rotocol not known" not in str(error):
            raise
        raise ValueError(
            f"{name}: expected a URL with a protocol that fsspec knows, such as https, s3 or abfs, "
            f"found {url.partition(':')[0]}; for a local file whose name looks like a URL, pass a "
            "pathlib.Path"
        ) from None
    at_once = LARGE_NBYTES if read_ahead else SMALL_NBYTES
    return RemoteSource(RemoteFile(fs, path, name, at_once=at_once))


def _with_proxy(url: str, storage_options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Make aiohttp use the proxy that the environment names, as all other HTTP clients do."""
    if "::" in url or not url.lower().startswith(("http://", "https://")):
        return storage_options
    client_options = {"trust_env": True, **(storage_options.get("client_kwargs") or {})}
    return {**storage_options, "client_kwargs": client_options}


class RemoteSource(BufferedSource):
    """A file on a server, whose ranges are requests.

    Parameters
    ----------
    file : RemoteFile
        `close` closes it.
    """

    costly = True

    def __init__(self, file: RemoteFile) -> None:
        super().__init__(file.name, file.nbytes if file.seekable() else None)
        self._file = file
        self._lock = threading.Lock()
        self.can_restart = file.seekable()
        self.may_wait = not self.can_restart

    def read_once(self, out: memoryview) -> int:
        """Read once; fewer bytes than fit where the piece at hand ends."""
        return self._file.readinto(out)

    def restart_at(self, position: int) -> None:
        """Continue from a position, if the server has ranges."""
        self._check_ranges(position)
        self._file.seek(position)
        self.drop_buffered()

    def read_range_into(self, begin: int, out: memoryview) -> int:
        """Fetch a range."""
        self._check_ranges(begin)
        with self._lock:
            return self._file.read_range_into(begin, out)

    def as_file(self) -> FullReads | None:
        """Return the file, which fetches pieces of the expected size; None without ranges."""
        if not self.can_restart:
            return None
        self.restart_at(0)
        return FullReads(self._file)

    def expect(self, at_once: int, *, stop: int | None = None) -> None:
        """Set how much to ask for at once from now on, and where to stop for the time being."""
        self._file.expect(at_once, stop=stop)

    def limit_pieces(self, nbytes: int) -> None:
        """Limit the size of one read-ahead request."""
        self._file.limit_pieces(nbytes)

    @property
    def identity(self) -> Mapping[str, object]:
        """The file's size, entity tag and time, as far as the server tells them."""
        return self._file.properties

    def rewind(self) -> None:
        """Go back to the beginning, if the server has ranges."""
        if self.can_restart:
            self.restart_at(0)

    def check_unchanged(self, *, suspicious: bool) -> None:
        """Raise `SourceChangedError` if the file is not the one that was opened."""
        self._file.check_unchanged(suspicious=suspicious)

    def close(self) -> None:
        """Close the connection to the server."""
        self.drop_buffered()
        self._file.close()

    def _check_ranges(self, position: int) -> None:
        if not self.can_restart:
            raise io.UnsupportedOperation(
                f"{self.name}: expected a server that tells a file's size and sends ranges, to go "
                f"to byte {position:,}, found one that does not; read forward only, or download "
                "the file first"
            )
