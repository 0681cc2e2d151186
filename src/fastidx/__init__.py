"""Load IDX files, the format of the MNIST family, into numpy arrays: fast and checked."""

from ._kernel import cpu_features
from .api import info, load
from .errors import (
    ChecksumError,
    ConversionError,
    CorruptError,
    HeaderError,
    IdxError,
    TrailingDataError,
    TruncatedError,
    UnsupportedDTypeError,
)
from .header import IdxHeader
from .writer import save

__all__ = [
    "ChecksumError",
    "ConversionError",
    "CorruptError",
    "HeaderError",
    "IdxError",
    "IdxHeader",
    "TrailingDataError",
    "TruncatedError",
    "UnsupportedDTypeError",
    "cpu_features",
    "info",
    "load",
    "save",
]
__version__ = "0.1.0"
