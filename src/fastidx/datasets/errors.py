"""The exceptions that are about data sets, as distinct from single IDX files."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

from fastidx.errors import IdxError

__all__ = ["DatasetError", "DownloadError", "MissingFileError", "warn"]

_PACKAGE = str(Path(__file__).parents[1])


class DatasetError(IdxError):
    """A file of a data set is not what its name says, or two of them do not belong together."""


class MissingFileError(DatasetError, FileNotFoundError):
    """A file is not here, and fetching it was not allowed; the message says where to put it."""


class DownloadError(DatasetError, OSError):
    """A file could not be fetched; the message says what each mirror answered."""


def warn(message: str) -> None:
    """Warn as if from the line that called into fastidx, however deep that call has led."""
    level = 2
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
        level += 1
    warnings.warn(message, stacklevel=level)
