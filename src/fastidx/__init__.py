"""Load IDX files, the format of the MNIST family, into numpy arrays: fast and checked.

What most programs do not use is imported when it is first asked for.
"""

from typing import TYPE_CHECKING

from ._kernel import CpuFeatures, cpu_features
from .errors import (
    ChecksumError,
    ConversionError,
    CorruptError,
    GzipIndexError,
    HeaderError,
    IdxError,
    SourceChangedError,
    TrailingDataError,
    TruncatedError,
    UnsupportedDTypeError,
)
from .format.header import IdxHeader
from .reading.load import info, load

if TYPE_CHECKING:
    from . import compat, datasets, plots, reference, synthetic
    from .gzipped.index import Checkpoint, GzipIndex
    from .reading.open import open  # noqa: A004 - fastidx.open, as gzip.open
    from .reading.reader import IdxReader
    from .writing.save import save

__all__ = [
    "Checkpoint",
    "ChecksumError",
    "ConversionError",
    "CorruptError",
    "CpuFeatures",
    "GzipIndex",
    "GzipIndexError",
    "HeaderError",
    "IdxError",
    "IdxHeader",
    "IdxReader",
    "SourceChangedError",
    "TrailingDataError",
    "TruncatedError",
    "UnsupportedDTypeError",
    "compat",
    "cpu_features",
    "datasets",
    "info",
    "load",
    "open",
    "plots",
    "reference",
    "save",
    "synthetic",
]
__version__ = "0.1.0"

_MODULE_OF_NAME = {
    "Checkpoint": "fastidx.gzipped.index",
    "GzipIndex": "fastidx.gzipped.index",
    "IdxReader": "fastidx.reading.reader",
    "open": "fastidx.reading.open",
    "save": "fastidx.writing.save",
}
_MODULES = ("compat", "datasets", "plots", "reference", "synthetic")


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"fastidx.{name}")  # which also becomes an attribute
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module 'fastidx' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULE_OF_NAME[name]), name)
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
