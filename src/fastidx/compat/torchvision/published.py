"""The registry's entries, with the addresses and sums that a class or a program sets."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import TypeAlias

from fastidx.datasets.fetching import parts_of
from fastidx.datasets.registry import Dataset, File, Part

__all__ = ["Resources", "described", "resources_of"]

#: File names and MD5 sums, in torchvision's form.
Resources: TypeAlias = list[tuple[str, str | None]]


def resources_of(published: Dataset) -> Resources:
    """Return the names and MD5 sums of all files."""
    parts = parts_of(published, published.splits)
    return [(part.file.name, part.file.md5) for part in parts]


def described(
    published: Dataset, mirrors: Iterable[str], resources: Iterable[tuple[str, str | None]]
) -> Dataset:
    """Return the data set with these addresses and, where they differ, these MD5 sums."""
    sums = {PurePosixPath(name).name: md5 for name, md5 in resources}

    def with_sum(part: Part) -> Part:
        md5 = sums.get(part.file.name)
        if md5 in (None, part.file.md5):
            return part
        return dataclasses.replace(part, file=File(part.file.name, None, md5, None))

    splits = {
        name: dataclasses.replace(
            split, images=with_sum(split.images), labels=with_sum(split.labels)
        )
        for name, split in published.splits.items()
    }
    return dataclasses.replace(published, mirrors=tuple(mirrors), splits=splits)
