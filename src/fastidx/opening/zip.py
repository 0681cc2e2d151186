"""Which member of a zip archive a user means."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from fastidx.base.names import printable_name
from fastidx.codecs.detect import open_decoder
from fastidx.errors import HeaderError, IdxError
from fastidx.format.header import header_length
from fastidx.sources.remote_file import LARGE_NBYTES, SMALL_NBYTES

from .zip_archive import ZipArchive
from .zip_member import ZipMemberSource

if TYPE_CHECKING:
    from fastidx.sources.protocol import Source

# To look into more members takes too long, most of all on a server.
_MAX_LOOKED_INTO = 64
_MAX_LISTED = 24


def open_member(source: Source, member: str | None, *, read_ahead: bool) -> ZipMemberSource:
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
        If it is no zip archive, or has no such member, or no IDX file.
    IdxError
        If several members may be meant; the message lists them. A member that cannot be judged,
        because it is damaged or encrypted, may be meant too.
    TruncatedError, CorruptError
        If the archive is damaged.
    io.UnsupportedOperation
        If the source cannot seek.
    """
    archive = ZipArchive(source)
    try:
        info = _named(archive, member) if member else _chosen(archive)
        archive.expect(info, LARGE_NBYTES if read_ahead else SMALL_NBYTES)
        return ZipMemberSource(archive, info)
    except BaseException:
        archive.close_table()
        raise


def _named(archive: ZipArchive, member: str) -> zipfile.ZipInfo:
    info = archive.get(member)
    if info is None:
        raise HeaderError(
            f"{archive.source.name}: expected a member {printable_name(member)} in the zip "
            f"archive, found {_listed(archive.files())}; name one of them"
        )
    return info


def _chosen(archive: ZipArchive) -> zipfile.ZipInfo:
    """Return the member that is meant when none is named."""
    infos = archive.files()
    if not infos:
        raise HeaderError(
            f"{archive.source.name}: expected a zip archive with an IDX file in it, found one "
            "without files; check where it comes from and fetch it again"
        )
    if len(infos) == 1:
        return infos[0]
    if len(infos) > _MAX_LOOKED_INTO:
        raise _ambiguous(archive, f"{len(infos):,} files", infos)
    judged = [(info, _reason(archive, info)) for info in infos]
    idx_files = [info for info, reason in judged if reason == ""]
    unjudged = [(info, reason) for info, reason in judged if reason]
    candidates = [*idx_files, *(info for info, _ in unjudged)]
    if not candidates:
        raise HeaderError(
            f"{archive.source.name}: expected a zip archive with an IDX file in it, found "
            f"{_listed(infos)}, none of which is one; name the archive that has it"
        )
    if unjudged:
        found = f"{len(idx_files):,} IDX files and {len(unjudged):,} that cannot be judged"
        raise _ambiguous(archive, found, candidates, f" ({unjudged[0][1]})")
    if len(idx_files) == 1:
        return idx_files[0]
    raise _ambiguous(archive, f"{len(candidates):,} IDX files", candidates)


def _reason(archive: ZipArchive, info: zipfile.ZipInfo) -> str | None:
    """Say why a member cannot be judged; an empty text for an IDX file, None for another file."""
    if not info.file_size:
        return None
    archive.expect(info, SMALL_NBYTES)
    start = np.empty(4, np.uint8)
    try:
        member = ZipMemberSource(archive, info)
        try:
            decoder, _ = open_decoder(member, read_ahead=False)
            prefix = bytes(start[: decoder.read_into(start)])
        finally:
            member.close_member()
    except IdxError as error:
        return str(error)
    try:
        header_length(prefix, name=info.filename)
    except HeaderError:
        return None
    except IdxError as error:  # a beginning that is too short to tell
        return str(error)
    return ""


def _ambiguous(
    archive: ZipArchive, found: str, infos: list[zipfile.ZipInfo], reason: str = ""
) -> IdxError:
    name = archive.source.name
    if name.startswith("<"):  # no path, no URL
        example = f'zipfile.ZipFile(...).open("{printable_name(infos[0].filename)}")'
    else:
        example = f'"{archive.name_of(infos[0])}"'
    return IdxError(
        f"{name}: expected a zip archive with one IDX file in it, found {found}; "
        f"name the one to read, as in {example}: {_listed(infos)}{reason}"
    )


def _listed(infos: Iterable[zipfile.ZipInfo]) -> str:
    names = [printable_name(info.filename) for info in infos]
    if len(names) > _MAX_LISTED:
        return f"{', '.join(names[:_MAX_LISTED])} and {len(names) - _MAX_LISTED:,} more"
    return ", ".join(names) or "no files"
