"""A zip archive: its table of contents, and its members as `zipfile` opens them.

The archive is any source that can seek: a local file, bytes, a URL on a server with range requests.
Nothing is extracted to disk.
"""

from __future__ import annotations

import io
import struct
import zipfile
from typing import TYPE_CHECKING, Any

from fastidx.base.names import printable_name
from fastidx.errors import CorruptError, HeaderError, IdxError
from fastidx.format.recognise import describe_content
from fastidx.format.typecodes import MAX_EXPANSION
from fastidx.sources.remote_file import LARGE_NBYTES

from .zip_errors import error_for, zip_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastidx.sources.protocol import Source

# Beside the bytes of a member, one request fetches the header in front of them and what zipfile
# decompresses ahead.
_BESIDE_NBYTES = 8192
# A header of a few bytes can ask for a dictionary of 4 GiB. The presets of xz need 64 MiB at most.
_MAX_LZMA_DICTIONARY_NBYTES = 1 << 30

_LOCAL_HEADER_NBYTES = 30  # APPNOTE.TXT, section 4.3.7
_LZMA_HEADER = struct.Struct("<2xHxI")  # section 5.8.8: version, size, properties, dictionary


class ZipArchive:
    """An open zip archive.

    Parameters
    ----------
    source : Source
        `close` closes it; after an error in here it is still open.

    Raises
    ------
    HeaderError
        If it is no zip archive.
    TruncatedError, CorruptError
        If its table of contents is missing or damaged.
    io.UnsupportedOperation
        If the source cannot seek.

    Attributes
    ----------
    source : Source
    at_once : int
        How many bytes of a member to read in one call at most.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.at_once = LARGE_NBYTES
        prefix = source.peek()
        if not prefix.startswith(b"PK"):
            found = describe_content(prefix) or f"the bytes {prefix[:4].hex(' ')}"
            raise HeaderError(
                f"{source.name}: expected a zip archive, as zip:// says, found {found}; leave out "
                "zip:// and the member's name"
            )
        file = source.as_file()
        if file is None:
            raise io.UnsupportedOperation(
                f"{source.name}: expected a source that can seek, since the table of contents of a "
                "zip archive is at its end, found one that cannot; save the archive to a file or "
                "to memory (io.BytesIO) first"
            )
        try:
            self._zip = zipfile.ZipFile(file)
        except Exception as error:
            if file.error is not None:
                raise file.error from None  # zipfile takes it for the end of the file
            raise error_for(error, source.name) from None

    def close_table(self) -> None:
        """Close what `zipfile` holds, and leave the source open."""
        self._zip.close()

    def close(self) -> None:
        """Close the archive and its source."""
        self._zip.close()
        self.source.close()

    def name_of(self, info: zipfile.ZipInfo) -> str:
        """Return how messages call a member, which is also how a user can name it."""
        return f"zip://{printable_name(info.filename)}::{self.source.name}"

    def get(self, member: str) -> zipfile.ZipInfo | None:
        """Return the member of this name; None if there is none."""
        try:
            return self._zip.getinfo(member.lstrip("/"))
        except KeyError:
            return None

    def files(self) -> list[zipfile.ZipInfo]:
        """Return all members that are files.

        macOS adds metadata under each file's own name, which nobody means to load.
        """
        return [
            info
            for info in self._zip.infolist()
            if not (info.filename.endswith("/") or info.filename.startswith("__MACOSX/"))
        ]

    def expect(self, info: zipfile.ZipInfo, at_once: int) -> None:
        """Set how much of a member is read at once, and ask a server for no more than it."""
        self.at_once = at_once
        if self.source.costly:
            behind = (
                other.header_offset
                for other in self._zip.infolist()
                if other.header_offset > info.header_offset
            )
            stop = min(behind, default=self._zip.start_dir)
            self.source.expect(at_once + _BESIDE_NBYTES, stop=stop)

    def trusted_nbytes(self, info: zipfile.ZipInfo) -> int | None:
        """Return a member's size if its compressed bytes can hold as much; None otherwise."""
        held = info.compress_size
        if self.source.nbytes is not None and held > self.source.nbytes:
            return None
        if info.compress_type == zipfile.ZIP_DEFLATED:
            held *= MAX_EXPANSION["gzip"]
        elif info.compress_type != zipfile.ZIP_STORED:
            return None
        return info.file_size if info.file_size <= held else None

    def open(self, info: zipfile.ZipInfo) -> zipfile.ZipExtFile:
        """Open a member.

        Raises
        ------
        CorruptError
            If its header is damaged.
        IdxError
            If it is encrypted, compressed by a method that `zipfile` lacks, or asks for more
            memory than any sound member does.
        """
        if info.compress_type == zipfile.ZIP_LZMA and not info.flag_bits & 1:
            self._check_dictionary(info)
        with zip_errors(self.name_of(info), info):
            file: zipfile.ZipExtFile = self._zip.open(info)  # type: ignore[assignment]
        return file

    def checked(self, info: zipfile.ZipInfo, call: Callable[..., Any], *args: Any) -> Any:
        """Call a method of an open member; raise what it finds wrong as an `IdxError`."""
        try:
            return call(*args)
        except Exception as error:
            raised = error_for(error, self.name_of(info), info)
            if raised is error:
                raise
            raise raised from None

    def _check_dictionary(self, info: zipfile.ZipInfo) -> None:
        """Refuse an LZMA member whose header asks for a giant dictionary."""
        header = bytes(
            self.source.read_range(info.header_offset, info.header_offset + _LOCAL_HEADER_NBYTES)
        )
        if len(header) < _LOCAL_HEADER_NBYTES:
            return  # zipfile says what is wrong
        # The lengths of the file's name and of the extra field, before the data.
        names_nbytes = sum(struct.unpack_from("<HH", header, 26))
        begin = info.header_offset + _LOCAL_HEADER_NBYTES + names_nbytes
        properties = bytes(self.source.read_range(begin, begin + _LZMA_HEADER.size))
        if len(properties) < _LZMA_HEADER.size:
            return
        size, dictionary_nbytes = _LZMA_HEADER.unpack(properties)
        if size != 5:
            raise CorruptError(
                f"{self.name_of(info)}: expected 5 bytes of LZMA properties, found {size}; "
                "it is damaged: fetch it again"
            )
        if dictionary_nbytes > _MAX_LZMA_DICTIONARY_NBYTES:
            raise IdxError(
                f"{self.name_of(info)}: expected an LZMA member that takes at most "
                f"{_MAX_LZMA_DICTIONARY_NBYTES >> 20:,} MiB to decode, found one that asks for "
                f"{dictionary_nbytes >> 20:,} MiB; extract it first (7z x) and load the file"
            )
