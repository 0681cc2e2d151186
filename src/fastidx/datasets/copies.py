"""Copies of the files on this machine: where they may be, and whether they are what they should be.

Copies are used where they lie. Those that fastidx put into its own folder are its to replace; all
others, such as torchvision's or the user's, are only ever read.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from fastidx.base import settings
from fastidx.errors import IdxError
from fastidx.format.header import IdxHeader, header_for
from fastidx.format.recognise import describe_content
from fastidx.format.typecodes import PREFIX_NBYTES
from fastidx.reading.load import info, load
from fastidx.writing.save import file_pieces, slices

from .registry import Dataset, File, Identity, Part, identities_by_hash, names_by_hash

__all__ = [
    "Copy",
    "Place",
    "Rejected",
    "data_dir",
    "find_copy",
    "foreign_content",
    "identify",
    "place_of",
]

_Expected = TypeVar("_Expected", File, Part)

# What a file of each suffix is by its content, in the words of describe_content.
_KINDS = {".gz": "a gzip file", ".xz": "an xz file", ".zip": "a zip archive"}

# What hashing has found, for each file as it was then: until it changes it is not hashed again.
_verdicts: dict[tuple[object, ...], str | None] = {}


@dataclass(frozen=True, slots=True)
class Copy:
    """An array's file on this machine; with ``member``, an archive that holds it."""

    path: Path
    member: str | None = None

    @property
    def source(self) -> str | Path:
        """What `fastidx.load` is to be given; members are read where they are."""
        return self.path if self.member is None else f"zip://{self.member}::{self.path}"


@dataclass(frozen=True, slots=True)
class Rejected:
    """A file that has the right name, and what it was found to be."""

    path: Path
    found: str
    file: File | None
    ours: bool

    def __str__(self) -> str:
        return f"{self.path}: {self.found}"


@dataclass(frozen=True, slots=True)
class Place:
    """Folders for one data set: fastidx's own, then those that are searched as well."""

    own: Path
    others: tuple[Path, ...]


def data_dir(root: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder that holds the folders of the data sets.

    That is ``root``, or what the environment variable ``FASTIDX_DATA_DIR`` says, or ``fastidx`` in
    the operating system's folder for caches.

    Examples
    --------
    >>> from fastidx.datasets.copies import data_dir
    >>> data_dir("data").as_posix()
    'data'
    """
    chosen = os.fspath(root) if root is not None else settings.data_dir()
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "fastidx"


def place_of(
    dataset: Dataset,
    root: str | os.PathLike[str] | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> Place:
    """Return where to look for a data set: under ``root``, and first in ``folder`` if given."""
    base = data_dir(root)
    below = (base / dataset.folder, base / dataset.torchvision / "raw", base)
    if folder is None:
        return Place(below[0], below[1:])
    return Place(Path(folder).expanduser(), below if root is not None else ())


def find_copy(
    part: Part, place: Place, *, thorough: bool = False
) -> tuple[Copy | None, list[Rejected]]:
    """Find a file that is what it should be.

    Parameters
    ----------
    part : Part
        What is wanted.
    place : Place
        Where to look.
    thorough : bool
        Hash every file anew. Otherwise one that has not changed since this process hashed it
        passes, and so does an archive of the right size: its members are checked as they are read.

    Returns
    -------
    Copy or None
        The first that passes.
    list of Rejected
        Those before it.
    """
    rejected: list[Rejected] = []
    for path, file in _candidates(part, place):
        if not path.is_file():
            continue
        try:
            found = _check_candidate(path, part, file, thorough)
        except FileNotFoundError:  # another process has just set it aside
            continue
        if found is None:
            return Copy(path, part.member if file is not None else None), rejected
        rejected.append(Rejected(path, found, file, ours=path == place.own / part.file.name))
    return None, rejected


def _check_candidate(path: Path, part: Part, file: File | None, thorough: bool) -> str | None:
    """Return the reason to reject a file, None if it is the right one."""
    if file is None:
        return _check_unpacked(path, part, thorough)
    found = _check(path, file, thorough)
    if found is not None and file.unpacked_sha256 is not None:
        # Compressed anew, it is another file that holds the same.
        found = _remembered(_check_decoded, path, part, thorough) and found
    return found


def identify(path: str | os.PathLike[str]) -> Identity | None:
    """Say which published file this is, judged by its hash.

    Parameters
    ----------
    path : str or PathLike
        Any file, whatever its name.

    Returns
    -------
    Identity or None
        None if it is none of them. ``str()`` of it is such as
        ``"Fashion-MNIST's train-images-idx3-ubyte.gz"``, without the suffix for what that file
        holds.

    Examples
    --------
    >>> import tempfile
    >>> from fastidx import datasets
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     print(datasets.identify(file.name))
    None
    """
    identities = identities_by_hash()
    for algorithm in ("sha256", "md5"):
        found = identities.get(_digest(Path(path), algorithm))
        if found is not None:
            return found
    return None


def foreign_content(prefix: bytes, file: File) -> str | None:
    """Name what content is that begins so, None if the file may begin so."""
    content = describe_content(prefix)
    return None if content == _KINDS.get(Path(file.name).suffix) else content


def _candidates(part: Part, place: Place) -> Iterator[tuple[Path, File | None]]:
    """Yield where the part may be: with the file that it must be, None where no hash is known."""
    folders = (place.own, *place.others)
    file = part.file
    for folder in folders:
        for name in (*_spellings(file.name), *file.aliases):
            yield folder / name, file
    for name in file.elsewhere:
        yield Path(name).expanduser(), file
    if part.member is not None:  # unpacked from the archive
        folders = (*folders, *(folder / "gzip" for folder in folders))
    for folder in folders:
        for name in (part.name, part.stem) if part.member else (part.stem,):
            for spelling in _spellings(name):
                yield folder / spelling, None


def _spellings(name: str) -> tuple[str, ...]:
    # Some archives and packages have a dot where the published names have a hyphen.
    return (name, name.replace("-idx", ".idx")) if "-idx" in name else (name,)


def _check(path: Path, file: File, thorough: bool) -> str | None:
    """Return what is wrong with a file of which the hash is known, None if nothing is."""
    status = path.stat()
    if file.nbytes not in (None, status.st_size):
        return _describe_wrong(path, file)
    if file.is_archive and not thorough:
        return None
    return _remembered(_check_hash, path, file, thorough)


def _check_hash(path: Path, file: File) -> str | None:
    if file.sha256 is not None:
        right = _digest(path, "sha256") == file.sha256
    else:
        right = _digest(path, "md5") == file.md5
    return None if right else _describe_wrong(path, file)


def _describe_wrong(path: Path, file: File) -> str:
    """Say what a file is that is not the one expected."""
    nbytes = path.stat().st_size
    known = identify(path)
    if known:
        return f"it is {known}"
    with path.open("rb") as opened:
        content = foreign_content(opened.read(PREFIX_NBYTES), file)
    if content is not None:
        return f"it is {content} ({nbytes:,} bytes)"
    if file.nbytes is not None and nbytes < file.nbytes:
        return f"it has {nbytes:,} bytes, as after a download that was cut"
    if file.nbytes is not None and nbytes > file.nbytes:
        return f"it has {nbytes:,} bytes"
    if file.sha256 is not None:
        return f"its SHA-256 is {_digest(path, 'sha256')}"
    return f"its MD5 is {_digest(path, 'md5')}"


def _check_unpacked(path: Path, part: Part, thorough: bool) -> str | None:
    """Return what is wrong with an unpacked file, as far as header, size and hash tell."""
    try:
        header = info(path)
    except (IdxError, OSError) as error:
        return str(error).removeprefix(f"{path}: ")
    expected = IdxHeader(part.type_code, part.shape)
    if (header.type_code, header.shape) != (part.type_code, part.shape):
        return (
            f"it holds {header.dtype} {header.shape}, "
            f"where {expected.dtype} {expected.shape} is expected"
        )
    if header.compression is not None:
        return _remembered(_check_decoded, path, part, thorough)
    nbytes = expected.header_nbytes + expected.nbytes
    if header.compressed_nbytes != nbytes:
        return f"it has {header.compressed_nbytes:,} bytes, where {nbytes:,} are expected"
    return _remembered(_check_unpacked_hash, path, part, thorough)


def _check_unpacked_hash(path: Path, part: Part) -> str | None:
    digest = _digest(path, "sha256")
    if digest == part.file.unpacked_sha256:
        return None
    name = names_by_hash().get(digest)
    if name is not None:
        return f"it is {name}"
    return None if part.file.unpacked_sha256 is None else f"its SHA-256 is {digest}"


def _check_decoded(path: Path, part: Part) -> str | None:
    """Return how the content of a file differs from the published, None if it does not."""
    try:
        array = load(path)
    except (IdxError, OSError) as error:
        return str(error).removeprefix(f"{path}: ")
    header = header_for(array)
    hasher = hashlib.sha256()
    for piece in file_pieces(header, slices(array, header.dtype)):
        hasher.update(piece)
    digest = hasher.hexdigest()
    if part.file.unpacked_sha256 is None or digest == part.file.unpacked_sha256:
        return None
    return f"the SHA-256 of its content is {digest}"


def _remembered(
    check: Callable[[Path, _Expected], str | None], path: Path, expected: _Expected, anew: bool
) -> str | None:
    """Check a file, unless this one has been checked before in the state in which it is."""
    status = path.stat()
    seen = (
        check,
        str(path),
        expected,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )
    if anew or seen not in _verdicts:
        _verdicts[seen] = check(path, expected)
    return _verdicts[seen]


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as opened:
        new = hashlib.new(algorithm, usedforsecurity=False)
        return hashlib.file_digest(opened, lambda: new).hexdigest()
