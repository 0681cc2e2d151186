"""Where keras keeps data sets, and the form in which it returns them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["TrainAndTest", "cache_folder"]

Bytes: TypeAlias = npt.NDArray[np.uint8]
TrainAndTest: TypeAlias = tuple[tuple[Bytes, Bytes], tuple[Bytes, Bytes]]


def cache_folder() -> Path:
    """Return the folder that keras keeps data sets in; ``KERAS_HOME`` names the one above."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path("~/.keras").expanduser()) / "datasets"
