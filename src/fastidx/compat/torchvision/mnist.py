"""The class MNIST, from which the other data sets inherit; see `fastidx.compat.torchvision`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from fastidx import load
from fastidx.compat.errors import errors_also
from fastidx.datasets.copies import Copy, Place, place_of
from fastidx.datasets.errors import DatasetError
from fastidx.datasets.fetching import obtain, parts_of
from fastidx.datasets.registry import DATASETS, Dataset, Part
from fastidx.format.header import header_for

from .files import ERRORS
from .needs import Image, torch
from .published import described, resources_of

__all__ = ["MNIST"]

_Transform = Callable[[Any], Any]

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


class _DatasetError(DatasetError, RuntimeError):
    """The files are missing, or do not belong together."""


class _Transforms:
    """Both transforms as one callable; its repr is the same as torchvision's."""

    def __init__(self, transform: _Transform | None, target_transform: _Transform | None) -> None:
        self.transform = transform
        self.target_transform = target_transform

    def __call__(self, image: Any, target: Any) -> tuple[Any, Any]:
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def __repr__(self) -> str:
        lines = ["StandardTransform"]
        for head, transform in (
            ("Transform: ", self.transform),
            ("Target transform: ", self.target_transform),
        ):
            if transform is not None:
                lines.append(head + repr(transform).replace("\n", "\n" + " " * len(head)))
        return "\n".join(lines)


class MNIST(torch.utils.data.Dataset[tuple[Any, Any]]):
    """MNIST: handwritten digits.

    Parameters
    ----------
    root : str or PathLike
        The folder above ``MNIST/raw``, where the files are.
    train : bool
        The training set, or else the test set.
    transform : callable, optional
        Applied to each PIL image.
    target_transform : callable, optional
        Applied to each target.
    download : bool
        Fetch the files if they are not there.

    Attributes
    ----------
    data : torch.Tensor
        The images: uint8 of shape (count, 28, 28).
    targets : torch.Tensor
        The labels: int64 of shape (count,).
    classes : list of str
        Names of the labels.
    mirrors : list of str
        Addresses to download from. May be set, as may ``resources``, names and MD5 sums of files.

    Raises
    ------
    RuntimeError
        If the files are not there and are not to be fetched.
    """

    mirrors: ClassVar[list[str]] = list(DATASETS["mnist"].mirrors)
    resources: ClassVar[Any] = resources_of(DATASETS["mnist"])
    training_file = "training.pt"
    test_file = "test.pt"
    classes: Sequence[str] = [f"{number} - {name}" for number, name in enumerate(_DIGITS)]

    _name: str = "mnist"
    _repr_indent = 4

    def __init__(
        self,
        root: str | os.PathLike[str],
        train: bool = True,
        transform: _Transform | None = None,
        target_transform: _Transform | None = None,
        download: bool = False,
    ) -> None:
        self.root = os.path.expanduser(root) if isinstance(root, str) else root  # noqa: PTH111
        self.train = train
        self.transform = transform
        self.target_transform = target_transform
        self.transforms: Callable[[Any, Any], tuple[Any, Any]] | None = None
        if transform is not None or target_transform is not None:
            self.transforms = _Transforms(transform, target_transform)
        self._copies: dict[str, Copy] = {}
        if download:
            self.download()
        if not self._check_exists():
            raise _DatasetError(
                f"Dataset not found: expected {', '.join(part.name for part in self._parts())} in "
                f"{self.raw_folder}; you can use download=True to download it"
            )
        self.data, self.targets = self._load_data()
        if len(self.data) != len(self.targets):
            raise _DatasetError(
                f"{self.raw_folder}: expected one label for each of {len(self.data):,} images, "
                f"found {len(self.targets):,} labels; the two files do not belong together"
            )

    @property
    def train_labels(self) -> torch.Tensor:
        """Old name of ``targets``."""
        return self._renamed("train_labels", "targets")

    @property
    def test_labels(self) -> torch.Tensor:
        """Old name of ``targets``."""
        return self._renamed("test_labels", "targets")

    @property
    def train_data(self) -> torch.Tensor:
        """Old name of ``data``."""
        return self._renamed("train_data", "data")

    @property
    def test_data(self) -> torch.Tensor:
        """Old name of ``data``."""
        return self._renamed("test_data", "data")

    @property
    def raw_folder(self) -> str:
        """Where the files are."""
        return str(Path(self.root, type(self).__name__, "raw"))

    @property
    def processed_folder(self) -> str:
        """Where old versions of torchvision kept other files."""
        return str(Path(self.root, type(self).__name__, "processed"))

    @property
    def class_to_idx(self) -> dict[str, int]:
        """Labels by the names of the classes."""
        return {name: number for number, name in enumerate(self.classes)}

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """Return one image and its target.

        Parameters
        ----------
        index : int
            Number of the image.

        Returns
        -------
        image : PIL.Image.Image
            Of mode L, or what ``transform`` makes of it.
        target : int
            Or what ``target_transform`` makes of it.
        """
        return self._item(np.asarray(self.data[index]), self._target(self.targets[index]))

    def __getitems__(self, indices: Iterable[int]) -> list[tuple[Any, Any]]:
        """Return several images and their targets, in less time than one by one.

        Parameters
        ----------
        indices : iterable of int
            Numbers of the images.

        Returns
        -------
        list of tuple
            The same as from ``__getitem__``.
        """
        chosen = [int(index) for index in indices]
        ours = type(self).__getitem__ is MNIST.__getitem__
        if not (ours and isinstance(self.data, torch.Tensor)):
            return [self[index] for index in chosen]
        images = self.data[chosen].numpy()
        targets = [self._target(self.targets[index]) for index in chosen]
        return [self._item(image, target) for image, target in zip(images, targets, strict=True)]

    def __repr__(self) -> str:
        """Return what torchvision shows."""
        lines = [f"Number of datapoints: {len(self)}", f"Root location: {self.root}"]
        lines += self.extra_repr().splitlines()
        if self.transforms is not None:
            lines.append(repr(self.transforms))
        indent = " " * self._repr_indent
        return "\n".join([f"Dataset {type(self).__name__}", *(indent + line for line in lines)])

    def extra_repr(self) -> str:
        """Return the line that tells which part this is."""
        return f"Split: {'Train' if self.train is True else 'Test'}"

    def download(self) -> None:
        """Fetch the files if they are not there."""
        if self._check_exists():
            return
        published, parts = self._published(), self._parts()
        usual = place_of(published)
        place = Place(Path(self.raw_folder), (usual.own, *usual.others))
        found = obtain(published, parts, place, allowed=True)
        self._copies = {part.stem: copy for part, copy in found.items()}

    def _published(self) -> Dataset:
        """Return what is known of the data set, and what ``mirrors`` and ``resources`` say."""
        return described(DATASETS[self._name], self.mirrors, self.resources)

    def _split(self) -> str:
        """Return the name of the split to be loaded."""
        return "train" if self.train else "test"

    def _parts(self) -> list[Part]:
        """Return the files that must be there: as in torchvision, those of both splits."""
        published = self._published()
        return parts_of(published, published.splits)

    def _check_exists(self) -> bool:
        return all(self._find(part) is not None for part in self._parts())

    def _find(self, part: Part) -> Copy | None:
        """Return where a file is, if it is anywhere; what needs no decompression comes first."""
        folder = Path(self.raw_folder)
        for suffix in ("", ".gz", ".xz"):
            for stem in (part.stem, part.stem.replace("-idx", ".idx")):
                path = folder / (stem + suffix)
                if path.is_file():
                    return Copy(path)
        if part.member is not None and (folder / part.file.name).is_file():
            return Copy(folder / part.file.name, part.member)
        return self._copies.get(part.stem)

    def _load_data(self) -> tuple[torch.Tensor, torch.Tensor]:
        split = DATASETS[self._name].splits[self._split()]
        images, labels = (self._read(part)[split.rows] for part in (split.images, split.labels))
        return torch.from_numpy(images), torch.from_numpy(labels).long()

    def _read(self, part: Part) -> np.ndarray[Any, Any]:
        copy = self._find(part)
        if copy is None:
            raise _DatasetError(f"{self.raw_folder}: expected {part.name}, found no such file")
        with errors_also(ERRORS):
            array = load(copy.source)
        code = header_for(array).type_code
        if (code, array.ndim) != (part.type_code, len(part.shape)):
            raise _DatasetError(
                f"{copy.path}: expected {part.name}, with {len(part.shape)} dimensions, found "
                f"{array.dtype} of shape {array.shape}"
            )
        return array

    def _target(self, target: Any) -> Any:
        return int(target)

    def _item(self, pixels: np.ndarray[Any, Any], target: Any) -> tuple[Any, Any]:
        image = Image.fromarray(pixels)
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def _renamed(self, old: str, new: str) -> torch.Tensor:
        warnings.warn(f"{old} has been renamed {new}", stacklevel=3)
        tensor: torch.Tensor = getattr(self, new)
        return tensor
