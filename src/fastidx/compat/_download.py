"""Single files, for the packages that download them by name."""

from __future__ import annotations

import time
from pathlib import Path
from typing import BinaryIO
from urllib.error import ContentTooShortError, HTTPError, URLError
from urllib.request import Request, urlopen

from fastidx.base import network, settings
from fastidx.base.replace import replacement_path
from fastidx.datasets.copies import Place
from fastidx.datasets.errors import DownloadError, MissingFileError
from fastidx.datasets.fetching import obtain, parts_of
from fastidx.datasets.registry import DATASETS, Dataset

__all__ = ["fetch_published", "fetch_unverified"]

_CHUNK_NBYTES = 64 * 1024


def fetch_published(name: str, folder: Path, mirror: str | None) -> Path | None:
    """Fetch a file of a data set, verified.

    Parameters
    ----------
    name : str
        Name of the file.
    folder : Path
        Where to put it; one that is there is kept if it is the right one.
    mirror : str or None
        The address that tells the data set; None for MNIST.

    Returns
    -------
    Path or None
        None if the address is not a public mirror, or does not have such a file.
    """
    dataset = _dataset_at(mirror)
    if dataset is None:
        return None
    for part in parts_of(dataset, dataset.splits):
        if part.file.name == name:
            place = Place(folder, ())
            return obtain(dataset, [part], place, allowed=True, thorough=True)[part].path
    return None


def fetch_unverified(url: str, path: Path) -> Path:
    """Fetch the file at an address: all of it or, if the transfer breaks off, nothing.

    Raises
    ------
    MissingFileError
        If FASTIDX_OFFLINE is set.
    DownloadError
        If the server is too slow or sends too much.
    URLError
        If it cannot be reached, refuses or breaks off.
    """
    if settings.offline():
        raise MissingFileError(
            f"{path}: expected a file, found none, and FASTIDX_OFFLINE is set; "
            f"put there what is at {url}"
        )
    with replacement_path(path) as temporary:
        for attempt in range(1, network.ATTEMPTS + 1):
            try:
                with Path(temporary).open("wb") as out:
                    _transfer(url, out)
                break
            except (URLError, ConnectionError, TimeoutError) as error:
                # The caller's package documents urllib's exceptions, so those stay as they are.
                if attempt == network.ATTEMPTS or not _may_pass(error):
                    raise
            time.sleep(network.pause_s(attempt))
    return path


def _transfer(url: str, out: BinaryIO) -> None:
    guard = network.RateGuard()
    request = Request(url, headers=network.HEADERS)
    with urlopen(request, timeout=network.SILENCE_S) as response:
        length = response.headers.get("Content-Length") or ""
        nbytes = 0
        while chunk := response.read1(_CHUNK_NBYTES):
            nbytes += len(chunk)
            if nbytes > network.MAX_NBYTES:
                raise _given_up(url, f"more than {network.MAX_NBYTES:,} bytes")
            try:
                guard.received(len(chunk))
            except network.SlowTransferError as error:
                raise _given_up(url, f"a server that {error}") from None
            out.write(chunk)
    if length.isdigit() and nbytes < int(length):
        raise ContentTooShortError(
            f"{network.without_secrets(url)}: expected {int(length):,} bytes, found {nbytes:,}; "
            "try again",
            (str(out.name), response.headers),
        )


def _may_pass(error: OSError) -> bool:
    """Return whether another attempt may succeed where this one failed."""
    if isinstance(error, HTTPError):
        return error.code in network.RETRIED
    return True


def _given_up(url: str, found: str) -> DownloadError:
    return DownloadError(
        f"{network.without_secrets(url)}: expected a file, found {found}; try another server"
    )


def _dataset_at(mirror: str | None) -> Dataset | None:
    if mirror is None:
        return DATASETS["mnist"]
    for dataset in DATASETS.values():
        if f"{mirror.rstrip('/')}/" in dataset.mirrors:
            return dataset
    return None
