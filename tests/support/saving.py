"""Saving to memory, and what a folder holds."""

from __future__ import annotations

import io
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
