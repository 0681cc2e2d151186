"""Bring the files of a data set together: from this machine, or else from the network."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from fastidx.base import settings
from fastidx.base.threads import available_threads, run_all
from fastidx.format.header import IdxHeader

from .copies import Copy, Place, Rejected, find_copy, place_of
from .download import download, locked, urls_of
from .errors import MissingFileError, warn
from .registry import Dataset, File, Part, describe, find

__all__ = ["fetch", "obtain", "parts_of", "splits_of"]

# What a compression can add at most to data that it cannot compress, generously.
_OVERHEAD_NBYTES = 1 << 20


def fetch(
    name: str,
    split: str | Sequence[str] | None = None,
    *,
    root: str | os.PathLike[str] | None = None,
    folder: str | os.PathLike[str] | None = None,
    download: bool = True,
) -> dict[str, Path]:
    """Make sure that the files of a data set are here, verified.

    Parameters
    ----------
    name : str
        One of `fastidx.datasets.names`.
    split : str or sequence of str, optional
        Only what these splits need; by default all.
    root : str or PathLike, optional
        Where to look, see `fastidx.datasets.load`.
    folder : str or PathLike, optional
        Where to look first, and to put what is downloaded; with ``root`` too, the places under
        it are searched as well. By default the data set's own folder under ``root``.
    download : bool
        Whether to fetch what is not here.

    Returns
    -------
    dict of str to Path
        The files by the names that their publisher gave them. The path is where the file was
        found, which may be another name: nothing is copied.

    Raises
    ------
    MissingFileError
        If a file is not here and is not to be fetched.
    DownloadError
        If it cannot be fetched.
    ImportError
        If that takes a package that is missing.

    Examples
    --------
    >>> from fastidx import datasets
    >>> datasets.fetch("mnist", "test")  # doctest: +SKIP
    {'t10k-images-idx3-ubyte.gz': PosixPath('/home/me/.cache/fastidx/mnist/t10k-images-idx3-ub...
    """
    dataset = find(name)
    place = place_of(dataset, root, folder)
    found = obtain(dataset, parts_of(dataset, splits_of(dataset, split)), place, allowed=download)
    return {
        part.file.name if copy.member or part.member is None else part.name: copy.path
        for part, copy in found.items()
    }


def splits_of(dataset: Dataset, split: str | Sequence[str] | None) -> list[str]:
    """Return the names of splits that ``split`` stands for, in order."""
    wanted = [split] if isinstance(split, str) else list(dataset.splits if split is None else split)
    for name in wanted:
        if name not in dataset.splits:
            raise ValueError(
                f"split: expected one of {', '.join(dataset.splits)} for {dataset.name}, "
                f"found {name!r}"
            )
    return wanted


def parts_of(dataset: Dataset, splits: Iterable[str]) -> list[Part]:
    """Return the arrays that splits consist of, each once."""
    pairs = [(dataset.splits[name].images, dataset.splits[name].labels) for name in splits]
    return list(dict.fromkeys(part for pair in pairs for part in pair))


def obtain(
    dataset: Dataset, parts: Sequence[Part], place: Place, *, allowed: bool, thorough: bool = False
) -> dict[Part, Copy]:
    """Return a copy of each part, after downloading if need be and ``allowed``."""
    copies, rejected = _search(parts, place, thorough)
    missing = [part for part in parts if part not in copies]
    if not missing:
        return copies
    if not allowed or settings.offline():
        raise _missing(dataset, missing, place, rejected)
    with locked(place.own):
        # Another process may have fetched them while this one waited.
        late, rejected = _search(missing, place, thorough)
        copies |= late
        for file in dict.fromkeys(part.file for part in missing if part not in late):
            _replace(dataset, file, place, rejected)
            copies |= {
                part: Copy(place.own / file.name, part.member)
                for part in missing
                if part.file == file
            }
    return copies


def _search(
    parts: Sequence[Part], place: Place, thorough: bool
) -> tuple[dict[Part, Copy], list[Rejected]]:
    """Return the copies that there are, and what was rejected for those that there are not."""
    search = functools.partial(find_copy, place=place, thorough=thorough)
    found = run_all(search, parts, min(len(parts), available_threads()))
    copies = {part: copy for part, (copy, _) in zip(parts, found, strict=True) if copy is not None}
    rejected = {item for copy, items in found if copy is None for item in items}
    return copies, sorted(rejected, key=str)


def _replace(dataset: Dataset, file: File, place: Place, rejected: Sequence[Rejected]) -> None:
    """Download a file; what is there under its name is set aside if it is ours, and passed over."""
    expected = f"expected {describe(dataset, file)} ({file.expected})"
    for item in rejected:
        if item.file != file:
            continue
        outcome = "it is passed over"
        if item.ours:
            aside = item.path.with_name(f"{item.path.name}.corrupt")
            item.path.replace(aside)
            outcome = f"it is set aside as {aside.name}"
        warn(f"{item.path}: {expected}, but {item.found}; {outcome}, and the file is fetched again")
    sizes = [
        IdxHeader(p.type_code, p.shape).nbytes
        for p in parts_of(dataset, dataset.splits)
        if p.file == file
    ]
    download(dataset, file, place.own, max_nbytes=sum(sizes) + _OVERHEAD_NBYTES)


def _missing(
    dataset: Dataset, parts: Sequence[Part], place: Place, rejected: Sequence[Rejected]
) -> MissingFileError:
    """Return the error that says which files to put where."""
    why = "FASTIDX_OFFLINE is set" if settings.offline() else "download=False"
    lines = [f"{dataset.title}: files are missing in {place.own}, and {why}; put there:"]
    lines += [
        f"  {file.name} ({file.expected}) from {' or '.join(urls_of(dataset, file))}"
        for file in dict.fromkeys(part.file for part in parts)
    ]
    if rejected:
        lines.append("found, but not usable:")
        lines += [f"  {item}" for item in rejected]
    return MissingFileError("\n".join(lines))
