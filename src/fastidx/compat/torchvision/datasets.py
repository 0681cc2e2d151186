"""The MNIST family as data sets of torch; see `fastidx.compat.torchvision`."""

from __future__ import annotations

import os
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from fastidx.datasets.fetching import parts_of
from fastidx.datasets.registry import DATASETS, Dataset, Part

from .files import read_image_file, read_label_file, read_sn3_pascalvincent_tensor
from .mnist import MNIST
from .published import described, resources_of

__all__ = [
    "EMNIST",
    "KMNIST",
    "MNIST",
    "QMNIST",
    "FashionMNIST",
    "read_image_file",
    "read_label_file",
    "read_sn3_pascalvincent_tensor",
]


class FashionMNIST(MNIST):
    """Fashion-MNIST: articles of clothing; see `MNIST` for parameters and attributes."""

    mirrors: ClassVar[list[str]] = list(DATASETS["fashion-mnist"].mirrors)
    resources: ClassVar[Any] = resources_of(DATASETS["fashion-mnist"])
    classes: Sequence[str] = list(DATASETS["fashion-mnist"].classes)
    _name = "fashion-mnist"


class KMNIST(MNIST):
    """KMNIST: cursive Japanese characters; see `MNIST` for parameters and attributes."""

    mirrors: ClassVar[list[str]] = list(DATASETS["kmnist"].mirrors)
    resources: ClassVar[Any] = resources_of(DATASETS["kmnist"])
    classes: Sequence[str] = list(DATASETS["kmnist"].classes)
    _name = "kmnist"


class EMNIST(MNIST):
    """EMNIST: handwritten letters and digits, with rows and columns exchanged.

    Parameters
    ----------
    root : str or PathLike
        The folder above ``EMNIST/raw``, where the files are.
    split : {"byclass", "bymerge", "balanced", "letters", "digits", "mnist"}
        Which part.
    **kwargs
        See `MNIST`: ``train``, ``transform``, ``target_transform``, ``download``.
    """

    url = DATASETS["emnist-mnist"].mirrors[0] + "gzip.zip"
    md5 = DATASETS["emnist-mnist"].splits["train"].images.file.md5
    splits = ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")
    classes_split_dict: ClassVar[dict[str, list[str]]] = {
        split: list(DATASETS[f"emnist-{split}"].classes) for split in splits
    } | {"letters": ["N/A", *string.ascii_lowercase]}

    def __init__(self, root: str | os.PathLike[str], split: str, **kwargs: Any) -> None:
        self.split = _choice("split", split, self.splits)
        self._name = f"emnist-{split}"
        self.training_file = f"training_{split}.pt"
        self.test_file = f"test_{split}.pt"
        super().__init__(root, **kwargs)
        self.classes = self.classes_split_dict[split]

    @property
    def images_file(self) -> str:
        """Path of the images, as unpacked by torchvision."""
        return str(Path(self.raw_folder, DATASETS[self._name].splits[self._split()].images.stem))

    @property
    def labels_file(self) -> str:
        """Path of the labels, as unpacked by torchvision."""
        return str(Path(self.raw_folder, DATASETS[self._name].splits[self._split()].labels.stem))

    def _published(self) -> Dataset:
        folder, name = self.url.rsplit("/", 1)
        return described(DATASETS[self._name], [f"{folder}/"], [(name, self.md5)])

    def _parts(self) -> list[Part]:
        return parts_of(self._published(), [self._split()])


class QMNIST(MNIST):
    """QMNIST: MNIST rebuilt from its origin, with all 60,000 test images.

    Parameters
    ----------
    root : str or PathLike
        The folder above ``QMNIST/raw``, where the files are.
    what : {"train", "test", "test10k", "test50k", "nist"}, optional
        Which part; by default as ``train`` says.
    compat : bool
        Whether targets are classes; otherwise they are tensors of all that is known.
    train : bool
        The training set, or else the test set.
    **kwargs
        See `MNIST`: ``transform``, ``target_transform``, ``download``.

    Attributes
    ----------
    targets : torch.Tensor
        int64 of shape (count, 8); the first column is the class.
    """

    subsets: ClassVar[dict[str, str]] = {
        "train": "train",
        "test": "test",
        "test10k": "test",
        "test50k": "test",
        "nist": "nist",
    }
    resources: ClassVar[Any] = {
        split: [
            (DATASETS["qmnist"].mirrors[0] + part.file.name, part.file.md5)
            for part in parts_of(DATASETS["qmnist"], [split])
        ]
        for split in ("train", "test", "nist")
    }
    _name = "qmnist"

    def __init__(
        self,
        root: str | os.PathLike[str],
        what: str | None = None,
        compat: bool = True,
        train: bool = True,
        **kwargs: Any,
    ) -> None:
        if what is None:
            what = "train" if train else "test"
        self.what = _choice("what", what, tuple(self.subsets))
        self.compat = compat
        self.data_file = f"{what}.pt"
        self.training_file = self.data_file
        self.test_file = self.data_file
        super().__init__(root, train, **kwargs)

    @property
    def images_file(self) -> str:
        """Path of the images, as unpacked by torchvision."""
        return str(Path(self.raw_folder, DATASETS[self._name].splits[self.what].images.stem))

    @property
    def labels_file(self) -> str:
        """Path of the labels, as unpacked by torchvision."""
        return str(Path(self.raw_folder, DATASETS[self._name].splits[self.what].labels.stem))

    def extra_repr(self) -> str:
        """Return the line that tells which part this is."""
        return f"Split: {self.what}"

    def _split(self) -> str:
        return self.what

    def _published(self) -> Dataset:
        resources = self.resources[self.subsets[self.what]]
        folders = dict.fromkeys(f"{url.rsplit('/', 1)[0]}/" for url, _ in resources)
        return described(DATASETS[self._name], folders, resources)

    def _parts(self) -> list[Part]:
        return parts_of(self._published(), [self.what])

    def _target(self, target: Any) -> Any:
        return int(target[0]) if self.compat else target


def _choice(name: str, value: Any, choices: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(choices)}, found {value!r}")
    return value
