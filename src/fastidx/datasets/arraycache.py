"""Decoded arrays kept as .npy files, to be mapped into memory the next time.

The file holds two arrays, one after the other, as `numpy.save` writes them: the data, and a text
that says which source it was decoded from. `numpy.load` alone reads the first.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.lib.format as npy

from fastidx.base.replace import replacement

from .conversion import Array
from .errors import warn
from .registry import Part

__all__ = ["open_array", "save_array"]

_VERSION = 1


def open_array(path: Path, part: Part) -> Array | None:
    """Map the array that is kept at ``path``, if it is still that of its source.

    Parameters
    ----------
    path : Path
        The .npy file.
    part : Part
        What it must hold.

    Returns
    -------
    ndarray or None
        Writable; what is written stays in memory and never reaches the file. None if there is
        no such file, or its source is gone, or has another size or time of change than then.
    """
    try:
        mapped = np.load(path, mmap_mode="c")
        with path.open("rb") as file:
            file.seek(mapped.offset + mapped.nbytes)
            stamp = json.loads(np.load(file).item())
        if stamp != _stamp(path, path.parent / stamp["source"], part):
            return None
    except (OSError, ValueError, EOFError, KeyError, TypeError, AttributeError):
        return None  # not a file of this module, or not all of it
    return np.asarray(mapped) if mapped.shape == part.shape else None


def save_array(path: Path, array: Array, part: Part, source: Path) -> None:
    """Keep an array at ``path``, all of it or nothing; if that fails, warn."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacement(path) as file:
            # np.save's error for a full disk does not say that the disk is full.
            npy.write_array_header_1_0(file, npy.header_data_from_array_1_0(array))
            file.write(array.data)
            np.save(file, np.array(json.dumps(_stamp(path, source, part))))
    except OSError as error:
        warn(
            f"{path}: the decoded array cannot be kept there ({error.strerror or error}); "
            "free some room, or choose another folder with root= or FASTIDX_DATA_DIR, or leave "
            "out cache='npy'"
        )


def _stamp(path: Path, source: Path, part: Part) -> dict[str, Any]:
    """Return what identifies a source; its path is relative, so that folders can be moved."""
    status = source.stat()
    return {
        "version": _VERSION,
        "part": part.name,
        "source": os.path.relpath(source, path.parent),
        "nbytes": status.st_size,
        "mtime_ns": status.st_mtime_ns,
    }
