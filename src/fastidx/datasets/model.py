"""The model of a data set: files, the arrays in them, and splits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

__all__ = ["Dataset", "File", "Part", "Split", "describe", "without_suffix"]

_U8 = 0x08


@dataclass(frozen=True, slots=True)
class File:
    """A file as its publisher serves it.

    Parameters
    ----------
    name : str
        At the end of its URL, and on disk.
    nbytes : int or None
        Size.
    md5, sha256 : str or None
        Of the file, in lower case; at least one is known.
    unpacked_sha256 : str or None
        Of what it holds, without the compression.
    aliases : tuple of str
        Other names under which copies of it are found.
    elsewhere : tuple of str
        Paths where other programs keep it; ``~`` stands for the user's home.
    """

    name: str
    nbytes: int | None
    md5: str | None
    sha256: str | None
    unpacked_sha256: str | None = None
    aliases: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()

    @property
    def is_archive(self) -> bool:
        """Whether it holds the files of several arrays."""
        return self.name.endswith(".zip")

    @property
    def expected(self) -> str:
        """What identifies it, for messages."""
        facts = [] if self.nbytes is None else [f"{self.nbytes:,} bytes"]
        facts.append(f"SHA-256 {self.sha256}" if self.sha256 else f"MD5 {self.md5}")
        return ", ".join(facts)


@dataclass(frozen=True, slots=True)
class Part:
    """One array: a file, or a member of an archive.

    Parameters
    ----------
    file : File
        Where it is.
    shape : tuple of int
        Of the array.
    type_code : int
        IDX's code of its type.
    member : str or None
        Its path in the archive.
    """

    file: File
    shape: tuple[int, ...]
    type_code: int = _U8
    member: str | None = None

    @property
    def name(self) -> str:
        """Name of the file, or of the member without its folder."""
        return PurePosixPath(self.member or self.file.name).name

    @property
    def stem(self) -> str:
        """The name without the suffix of a compression."""
        return without_suffix(self.name)


@dataclass(frozen=True, slots=True)
class Split:
    """Images and the labels that belong to them: all of two arrays, or a range of both."""

    images: Part
    labels: Part
    start: int = 0
    stop: int | None = None

    @property
    def rows(self) -> slice:
        """The range."""
        return slice(self.start, self.stop)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set.

    Parameters
    ----------
    name : str
        As in `fastidx.datasets.names`.
    title : str
        What its publisher calls it.
    folder : str
        Name of the folder for its files. Data sets that share a file share the folder.
    torchvision : str
        What torchvision calls that folder.
    mirrors : tuple of str
        Addresses, each of which the name of a file completes, in the order to try them in.
    splits : dict
        By name.
    classes : tuple of str
        Names of the classes, by label.
    transposed : bool
        Whether the files hold each image with rows and columns exchanged.
    """

    name: str
    title: str
    folder: str
    torchvision: str
    mirrors: tuple[str, ...]
    splits: dict[str, Split]
    classes: tuple[str, ...]
    transposed: bool = False


@dataclass(frozen=True, slots=True)
class Identity:
    """Which published file this is; ``str()`` gives the words of messages.

    Parameters
    ----------
    dataset : str
        Name of the data set, as in `fastidx.datasets.names`; ``"emnist"`` for the archive that
        EMNIST's data sets share.
    title : str
        What its publisher calls it.
    file : str
        The published name; without the suffix if it is what that file holds.
    splits : tuple of str
        The splits that take items from it; none for an archive.
    role : {"images", "labels", None}
        What it holds; None for an archive.
    member : str or None
        The member of an archive that it is.
    """

    dataset: str
    title: str
    file: str
    splits: tuple[str, ...] = ()
    role: str | None = None
    member: str | None = None

    def __str__(self) -> str:
        return f"{self.title}'s {self.file}"


def describe(dataset: Dataset, file: File) -> str:
    """Name a file for messages."""
    title = "EMNIST" if file.is_archive else dataset.title
    return f"{title}'s {file.name}"


def without_suffix(name: str) -> str:
    """Return the name of what a compressed file holds."""
    return name.removesuffix(".gz").removesuffix(".xz")
