"""Saving to memory, and to a folder in which nothing may change."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastidx.writing.save import save

OLD = b"the old file"


def saved(array: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    save(file, array, **options)
    return file.getvalue()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def unchanged_file(folder: Path) -> Iterator[Path]:
    """Yield a file that must stay as it is, alone in its folder, whatever happens."""
    path = folder / "old.gz"
    path.write_bytes(OLD)
    yield path
    assert path.read_bytes() == OLD
    assert names(folder) == ["old.gz"]
