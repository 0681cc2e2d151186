"""Members of zip archives, as files that a source can read.

The archive itself is anything that can seek: a local file, bytes, what a URL names on a server with
range requests. Nothing is extracted to disk; a member is read as it is needed.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from fastidx.codecs.detect import open_decoder
from fastidx.errors import ChecksumError, CorruptError, HeaderError, IdxError, TruncatedError
from fastidx.format.header import header_length
from fastidx.format.recognise import describe_content
from fastidx.format.typecodes import MAX_EXPANSION
from fastidx.sources.local import FileSource
from fastidx.sources.protocol import Source
from fastidx.sources.remote import LARGE_NBYTES, SMALL_NBYTES, RemoteFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_LzmaError: type[Exception]
try:
    from lzma import LZMAError as _LzmaError
except ImportError:  # an optional part of the standard library, which zipfile can do without
    _LzmaError = zipfile.BadZipFile

# Looking into more members than this takes too long, all the more on a server.
_MAX_LOOKED_INTO = 64
_MAX_LISTED = 24
# What is fetched beside what is read at once: the header in front of a member's data, and what
# zipfile decompresses ahead.
_BESIDE_NBYTES = 8192

# What zipfile raises for a damaged archive, apart from the OSError of bzip2.
_DAMAGE = (zipfile.BadZipFile, zlib.error, _LzmaError, struct.error, ValueError, OverflowError)


class ZipMemberSource(FileSource):
    """A member of a zip archive, decompressed."""

    may_wait = False

    def __init__(self, archive: _Archive, info: zipfile.ZipInfo) -> None:
        self._archive = archive
        self._info = info
        file = _Member(archive, info, archive.open(info))
        super().__init__(file, archive.name_of(info), owned=True)

    def rewind(self) -> None:
        """Go back to the beginning, and put the archive's file back to where it was."""
        super().rewind()
        self._archive.source.rewind()

    def skip_rest(self) -> None:
        """Read to the end, where the archive's checksum is compared."""
        while self.next_chunk():
            pass

    def check_unchanged(self, *, suspicious: bool) -> None:
        """Raise `SourceChangedError` if the archive has changed since it was opened here."""
        self._archive.source.check_unchanged(suspicious=suspicious)

    def limit_pieces(self, nbytes: int) -> None:
        """Set how much of the archive to ask a server for at once."""
        self._archive.plan(self._info, nbytes)

    def close(self) -> None:
        """Close the member and, if it was opened here, the archive."""
        super().close()
        self._archive.close()


def open_member(source: Source, member: str | None, *, read_ahead: bool) -> FileSource:
    """Open a member of a zip archive.

    Parameters
    ----------
    source : Source
        The archive. The result closes it; after an error it is still open.
    member : str or None
        Its full name; None or empty for the only one that is an IDX file.
    read_ahead : bool
        Whether the member will be read to its end.

    Raises
    ------
    HeaderError
        If it is no zip archive, or has no such member.
    IdxError
        If it has several members that may be meant; the message lists them.
    TruncatedError, CorruptError
        If the archive is damaged.
    io.UnsupportedOperation
        If the source cannot seek.
    """
    archive = _Archive(source)
    try:
        info = archive.find(member) if member else archive.choose()
        archive.plan(info, LARGE_NBYTES if read_ahead else SMALL_NBYTES)
        return ZipMemberSource(archive, info)
    except BaseException:
        archive.close_zip()
        raise


class _Archive:
    """An open zip archive: its members, and what to call them."""

    def __init__(self, source: Source) -> None:
        self.source = source
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
        self._file = file
        self._zip = self._open()
        self.at_once = LARGE_NBYTES

    def _open(self) -> zipfile.ZipFile:
        file = _FullReads(self._file)
        try:
            return zipfile.ZipFile(file)
        except zipfile.BadZipFile as error:
            if file.error is not None:
                raise file.error from None  # which zipfile takes for the end of the file
            if "not a zip file" not in str(error):
                raise self._damaged(error) from None
            raise TruncatedError(
                f"{self.source.name}: expected a zip archive's table of contents at the end, found "
                "none; the archive was cut: fetch it again"
            ) from None
        except (*_DAMAGE, NotImplementedError) as error:
            raise self._damaged(error) from None

    def close_zip(self) -> None:
        self._zip.close()

    def close(self) -> None:
        self._zip.close()
        self.source.close()

    def name_of(self, info: zipfile.ZipInfo) -> str:
        """Return what messages call a member, which is also how it can be named."""
        return f"zip://{info.filename}::{self.source.name}"

    def find(self, member: str) -> zipfile.ZipInfo:
        try:
            return self._zip.getinfo(member.lstrip("/"))
        except KeyError:
            infos = self._files()
            raise HeaderError(
                f"{self.source.name}: expected a member {member} in the zip archive, found "
                f"{_listed(infos)}"
            ) from None

    def choose(self) -> zipfile.ZipInfo:
        """Return the member that is meant when none is named."""
        infos = self._files()
        if len(infos) > _MAX_LOOKED_INTO:
            raise self._ambiguous("files", infos)
        if len(infos) > 1:
            idx_files = [info for info in infos if self._is_idx(info)]
            if not idx_files:
                raise HeaderError(
                    f"{self.source.name}: expected a zip archive with an IDX file in it, found "
                    f"{_listed(infos)}, none of which is one"
                )
            infos = idx_files
        if not infos:
            raise HeaderError(
                f"{self.source.name}: expected a zip archive with an IDX file in it, found one "
                "without files; check where it comes from and fetch it again"
            )
        if len(infos) > 1:
            raise self._ambiguous("IDX files", infos)
        return infos[0]

    def plan(self, info: zipfile.ZipInfo, at_once: int) -> None:
        """Say how much of a member is to be read at once, and ask servers for no more than it."""
        self.at_once = at_once
        if isinstance(self._file, RemoteFile):
            behind = (
                other.header_offset
                for other in self._zip.infolist()
                if other.header_offset > info.header_offset
            )
            stop = min(behind, default=self._zip.start_dir)
            self._file.plan(at_once + _BESIDE_NBYTES, stop=stop)

    def trusted_nbytes(self, info: zipfile.ZipInfo) -> int | None:
        """Return a member's size, if the archive can hold as much."""
        held = info.compress_size
        if self.source.nbytes is not None and held > self.source.nbytes:
            return None
        if info.compress_type == zipfile.ZIP_DEFLATED:
            held *= MAX_EXPANSION["gzip"]
        elif info.compress_type != zipfile.ZIP_STORED:
            return None
        return info.file_size if info.file_size <= held else None

    def checked(self, info: zipfile.ZipInfo, call: Callable[..., Any], *args: Any) -> Any:
        """Call zipfile; what it finds wrong with the member's data is raised as an `IdxError`."""
        try:
            return call(*args)
        except IdxError:
            raise
        except EOFError:
            raise TruncatedError(
                f"{self.name_of(info)}: expected {info.file_size:,} bytes, as the zip archive "
                "says, found that it ends before; it was cut or is damaged: fetch it again"
            ) from None
        except zipfile.BadZipFile as error:
            if "CRC" not in str(error):
                raise self._damaged(error, info) from None
            raise ChecksumError(
                f"{self.name_of(info)}: expected data with CRC-32 {info.CRC:08x}, as the zip "
                "archive says, found other data; it is damaged: fetch it again"
            ) from None
        except _DAMAGE as error:
            raise self._damaged(error, info) from None
        except OSError as error:
            # bz2 has no error class of its own. An error of the file has an errno, or a subclass.
            if type(error) is not OSError or error.errno is not None:
                raise
            raise self._damaged(error, info) from None

    def open(self, info: zipfile.ZipInfo) -> zipfile.ZipExtFile:
        """Open a member."""
        try:
            file: zipfile.ZipExtFile = self.checked(info, self._zip.open, info)
        except RuntimeError as error:  # also NotImplementedError
            what = "encrypted" if info.flag_bits & 1 else "compressed by another method"
            raise IdxError(
                f"{self.name_of(info)}: expected a member that zipfile can read, found one that is "
                f"{what} ({error}); extract it first (7z x) and load the file"
            ) from None
        return file

    def _files(self) -> list[zipfile.ZipInfo]:
        return [
            info
            for info in self._zip.infolist()
            # What macOS adds, metadata under the file's own name, is never meant.
            if not (info.filename.endswith("/") or info.filename.startswith("__MACOSX/"))
        ]

    def _is_idx(self, info: zipfile.ZipInfo) -> bool:
        """Look whether a member begins as an IDX file does, compressed or not."""
        self.plan(info, SMALL_NBYTES)
        start = np.empty(4, np.uint8)
        try:
            with self.open(info) as file:
                source = FileSource(_Data(self, info, file), info.filename, owned=False)
                decoder, _ = open_decoder(source, read_ahead=False)
                header_length(bytes(start[: decoder.read_into(start)]), name=info.filename)
        except IdxError:
            return False
        return True

    def _ambiguous(self, what: str, infos: list[zipfile.ZipInfo]) -> IdxError:
        if self.source.name.startswith("<"):  # no path, no URL
            example = f'zipfile.ZipFile(...).open("{infos[0].filename}")'
        else:
            example = f'"{self.name_of(infos[0])}"'
        return IdxError(
            f"{self.source.name}: expected a zip archive with one IDX file in it, found "
            f"{len(infos):,} {what}; name the one to read, as in {example}: {_listed(infos)}"
        )

    def _damaged(self, error: Exception, info: zipfile.ZipInfo | None = None) -> CorruptError:
        name = self.source.name if info is None else self.name_of(info)
        return CorruptError(
            f"{name}: expected a valid zip archive, found one that is damaged ({error}): "
            "fetch it again"
        )


class _Data(io.RawIOBase):
    """What is common to a look into a member and to reading it."""

    def __init__(self, archive: _Archive, info: zipfile.ZipInfo, file: Any) -> None:
        self._archive = archive
        self._info = info
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, out: Any) -> int:
        view = memoryview(out)[: self._archive.at_once]
        n: int = self._archive.checked(self._info, self._file.readinto, view)
        return n


class _Member(_Data):
    """A member's data. To seek is to say where to read next, and costs nothing until then."""

    def __init__(self, archive: _Archive, info: zipfile.ZipInfo, file: Any) -> None:
        super().__init__(archive, info, file)
        self._nbytes = archive.trusted_nbytes(info)
        self._pos = 0

    def seekable(self) -> bool:
        return self._nbytes is not None

    def tell(self) -> int:
        return self._pos

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._pos, io.SEEK_END: self._nbytes}[whence]
        if base is None or base + offset < 0:
            raise OSError(f"cannot seek to {offset} from {whence}")
        self._pos = base + offset
        return self._pos

    def readinto(self, out: Any) -> int:
        if self._pos != self._file.tell():
            self._archive.checked(self._info, self._file.seek, self._pos)
        n = super().readinto(out)
        self._pos += n
        return n

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


class _FullReads(io.RawIOBase):
    """A file whose short reads are made up, since zipfile does not expect any."""

    def __init__(self, file: Any) -> None:
        self.error: OSError | None = None
        self._file = file

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return int(self._file.tell())

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._file.seek(offset, whence)
        return self.tell()  # as there are files whose seek() returns nothing

    def read(self, nbytes: int = -1) -> bytes:
        pieces = []
        while nbytes:
            try:
                piece = self._file.read(nbytes)
            except OSError as error:
                self.error = error
                raise
            if not piece:
                break
            pieces.append(piece)
            if nbytes > 0:
                nbytes -= len(piece)
        return b"".join(pieces)


def _listed(infos: Iterable[zipfile.ZipInfo]) -> str:
    names = [info.filename for info in infos]
    if len(names) > _MAX_LISTED:
        return f"{', '.join(names[:_MAX_LISTED])} and {len(names) - _MAX_LISTED:,} more"
    return ", ".join(names) or "no files"
