"""The container in Azure's storage that holds the files of MNIST."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from fastidx.base import settings
from fastidx.base.network import one_line
from fastidx.base.replace import replacement_path
from fastidx.datasets.copies import Copy, Place, place_of
from fastidx.datasets.download import locked
from fastidx.datasets.errors import DownloadError, MissingFileError
from fastidx.datasets.fetching import obtain, parts_of
from fastidx.datasets.registry import Dataset, File, Part, find

__all__ = ["Container"]

_ACCOUNT = "azureopendatastorage"
_CONTAINER = "mnist"


@dataclasses.dataclass(frozen=True, slots=True)
class Container:
    """A container, and how to reach it; see `fastidx.compat.opendatasets.MNIST`."""

    account: str = _ACCOUNT
    container: str = _CONTAINER
    endpoint: str | None = None
    protocol: str = "https"
    storage_options: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if self.protocol not in ("https", "abfs"):
            raise ValueError(f"protocol: expected 'https' or 'abfs', found {self.protocol!r}")
        if self.storage_options is not None and self.protocol != "abfs":
            raise ValueError("storage_options: expected only with protocol='abfs'")

    def parts(self, splits: Iterable[str]) -> list[Part]:
        """Return the files of some splits: of each its images, then its labels."""
        return parts_of(find("mnist"), splits)

    def fetch(self, splits: Iterable[str]) -> dict[Part, Path]:
        """Make sure that the files are on this machine, as they are published."""
        dataset, parts = self._dataset(), self.parts(splits)
        place = place_of(dataset)
        if self.protocol == "https":
            copies = obtain(dataset, parts, place, allowed=True)
        else:
            copies = self._fetch_abfs(dataset, parts, place)
        return {part: copies[part].path for part in parts}

    def _dataset(self) -> Dataset:
        """Return MNIST, to be downloaded from here."""
        dataset = find("mnist")
        if self == Container():
            return dataset
        if self.protocol == "abfs":
            base = f"abfs://{self.container}@{self.account}.dfs.core.windows.net"
        else:
            endpoint = self.endpoint or f"https://{self.account}.blob.core.windows.net"
            base = f"{endpoint.rstrip('/')}/{self.container}"
        return dataclasses.replace(dataset, mirrors=(f"{base}/",))

    def _fetch_abfs(self, dataset: Dataset, parts: list[Part], place: Place) -> dict[Part, Copy]:
        try:
            return obtain(dataset, parts, place, allowed=False)
        except MissingFileError:
            if settings.offline():
                raise
        with locked(place.own):
            for part in parts:
                self._copy_abfs(dataset, part, place)
        return obtain(dataset, parts, place, allowed=False)

    def _copy_abfs(self, dataset: Dataset, part: Part, place: Place) -> None:
        """Fetch a file unless it is there, all of it or nothing; the folder is locked."""
        with contextlib.suppress(MissingFileError):
            obtain(dataset, [part], place, allowed=False)
            return
        file, system = part.file, self._file_system()
        target = place.own / file.name
        try:
            with replacement_path(target) as temporary:
                system.get_file(f"{self.container}/{file.name}", temporary)
                _check(Path(temporary), file)
        except Exception as error:
            # The packages behind adlfs raise what they like, of types that are all their own.
            raise DownloadError(
                f"abfs://{self.container}/{file.name} could not be fetched from the account "
                f"{self.account}: {one_line(error)}; "
                "check the connection, account, container and storage_options, or put the file "
                f"({file.expected}) at {target}"
            ) from error

    def _file_system(self) -> Any:
        options = dict(self.storage_options or {"anon": True})
        if "connection_string" not in options:
            options.setdefault("account_name", self.account)
        if self.endpoint is not None:
            options.setdefault("account_host", self.endpoint.split("://")[-1])
        try:
            adlfs = import_module("adlfs")
        except ImportError as error:
            raise ImportError(
                f"protocol='abfs' needs {error.name}, which is not installed here; "
                'install it with: pip install "fastidx[remote]"; protocol="https" does without'
            ) from error
        return adlfs.AzureBlobFileSystem(**options)


def _check(path: Path, file: File) -> None:
    with path.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != file.sha256:
        raise ValueError(f"not the file: {path.stat().st_size:,} bytes with SHA-256 {found}")
