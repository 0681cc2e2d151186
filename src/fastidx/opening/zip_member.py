"""A member of a zip archive as a source."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from fastidx.sources.buffered import BufferedSource

if TYPE_CHECKING:
    import zipfile

    from .zip_archive import ZipArchive


class ZipMemberSource(BufferedSource):
    """A member of a zip archive, decompressed as it is read.

    To go back, `zipfile` opens the member anew and decompresses up to the place. A member that
    was compressed with bzip2 or LZMA has no trusted size, so that only its beginning is a place
    to restart from.

    Parameters
    ----------
    archive : ZipArchive
        `close` closes it and its source.
    info : zipfile.ZipInfo
        Of the member.
    """

    can_restart = True

    def __init__(self, archive: ZipArchive, info: zipfile.ZipInfo) -> None:
        super().__init__(archive.name_of(info), archive.trusted_nbytes(info))
        self.survives_fork = archive.source.survives_fork
        self._archive = archive
        self._info = info
        self._file = archive.open(info)
        self._position = 0  # of the next byte that `read_once` reads
        self._lock = threading.Lock()

    def read_once(self, out: memoryview) -> int:
        """Read and decompress some bytes."""
        if self._position != self._file.tell():
            self._archive.checked(self._info, self._file.seek, self._position)
        view = out[: self._archive.at_once]
        n: int = self._archive.checked(self._info, self._file.readinto, view)
        self._position += n
        return n

    def restart_at(self, position: int) -> None:
        """Continue from a position; the next read pays for it."""
        self._position = position
        self.drop_buffered()

    def read_range_into(self, begin: int, out: memoryview) -> int:
        """Fill ``out`` from a position on."""
        with self._lock:
            here, self._position = self._position, begin
            done = 0
            while done < len(out) and (n := self.read_once(out[done:])):
                done += n
            self._position = here
        return done

    def skip_rest(self) -> None:
        """Read to the end, where `zipfile` compares the archive's checksum."""
        while self.next_chunk():
            pass

    def limit_pieces(self, nbytes: int) -> None:
        """Limit the size of one request for the archive."""
        self._archive.expect(self._info, nbytes)

    @property
    def identity(self) -> Mapping[str, object]:
        """The archive's."""
        return self._archive.source.identity

    def rewind(self) -> None:
        """Go back to the beginning, and put the archive's file object back."""
        self.restart_at(0)
        self._archive.source.rewind()

    def check_unchanged(self, *, suspicious: bool) -> None:
        """Raise `SourceChangedError` if the archive has changed."""
        self._archive.source.check_unchanged(suspicious=suspicious)

    def close_member(self) -> None:
        """Close the member, and leave the archive open."""
        self._file.close()

    def close(self) -> None:
        """Close the member, the archive and its source."""
        self._file.close()
        self._archive.close()
