"""Stand-ins for the data sets: of the same form, with a thousandth of the images, random ones.

Hashes and sizes are known of their files wherever they are known of the real ones.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import lzma
import math
import zipfile
from typing import Any

import numpy as np

import fastidx
from fastidx.datasets.registry import DATASETS, Part, Split

Array = np.ndarray[Any, np.dtype[Any]]
REAL = dict(DATASETS)
SCALE = 1000


class Sample:
    """A small data set of the form of a real one.

    Attributes
    ----------
    dataset : Dataset
        For the registry.
    files : dict
        The bytes of its files, by name.
    arrays : dict
        What they hold, by part, images upright.
    """

    def __init__(self, name: str, seed: int = 0) -> None:
        self.name = name
        self.real = REAL[name]
        self.files: dict[str, bytes] = {}
        self.arrays: dict[Part, Array] = {}
        rng = np.random.default_rng([seed, *name.encode()])
        members: dict[Part, bytes] = {}
        for part in self._real_parts():
            members[part] = self._encode(part, rng)
        if any(part.member for part in members):
            self._pack(members)
        parts = {part: self._replaced(part) for part in members}
        for part, small in parts.items():
            self.arrays[small] = self.arrays.pop(part)
        self.dataset = dataclasses.replace(
            self.real,
            splits={
                key: Split(
                    parts[split.images],
                    parts[split.labels],
                    split.start // SCALE,
                    None if split.stop is None else split.stop // SCALE,
                )
                for key, split in self.real.splits.items()
            },
        )

    def expected(self, split: str) -> tuple[Array, Array]:
        """What ``load`` must return."""
        found = self.dataset.splits[split]
        return self.arrays[found.images][found.rows], self.arrays[found.labels][found.rows]

    def served(self) -> dict[str, bytes]:
        """The files by their paths below a mirror."""
        return {f"/{self.dataset.folder}/{name}": data for name, data in self.files.items()}

    def plain(self, part_name: str) -> bytes:
        """The unpacked content of a file or member."""
        part = next(part for part in self.arrays if part.name == part_name)
        return plain_idx(self._stored(self.arrays[part]))

    def _real_parts(self) -> list[Part]:
        splits = self.real.splits.values()
        return list(dict.fromkeys(part for s in splits for part in (s.images, s.labels)))

    def _stored(self, array: Array) -> Array:
        return array.transpose(0, 2, 1) if self.real.transposed and array.ndim == 3 else array

    def _encode(self, part: Part, rng: np.random.Generator) -> bytes:
        shape = (math.ceil(part.shape[0] / SCALE), *part.shape[1:])
        dtype = np.uint8 if part.type_code == 8 else np.int32
        array = rng.integers(0, 64, shape, dtype=dtype)
        self.arrays[part] = array
        plain = plain_idx(self._stored(array))
        xz = part.name.endswith(".xz")
        data = lzma.compress(plain) if xz else gzip.compress(plain, mtime=0)
        if part.member is None:
            self.files[part.name] = data
        return data

    def _pack(self, members: dict[Part, bytes]) -> None:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for part, data in members.items():
                assert part.member is not None
                archive.writestr(zipfile.ZipInfo(part.member), data)
        self.files["gzip.zip"] = file.getvalue()

    def _replaced(self, part: Part) -> Part:
        data = self.files[part.file.name]
        file = dataclasses.replace(
            part.file,
            nbytes=None if part.file.nbytes is None else len(data),
            md5=hashlib.md5(data).hexdigest(),
            sha256=None if part.file.sha256 is None else hashlib.sha256(data).hexdigest(),
            unpacked_sha256=(
                None
                if part.file.unpacked_sha256 is None
                else hashlib.sha256(plain_idx(self._stored(self.arrays[part]))).hexdigest()
            ),
        )
        return dataclasses.replace(part, file=file, shape=self.arrays[part].shape)


def plain_idx(array: Array) -> bytes:
    file = io.BytesIO()
    fastidx.save(file, array)
    return file.getvalue()


def register(*samples: Sample) -> None:
    """Put samples in place of the real data sets, in a process that is used for nothing else."""
    DATASETS.update({sample.name: sample.dataset for sample in samples})
