"""Load IDX files, the format of the MNIST family, into numpy arrays: fast and checked."""

from ._kernel import cpu_features
from .api import info, load
from .errors import (
    ChecksumError,
    ConversionError,
    CorruptError,
    HeaderError,
    IdxError,
    IndexFileError,
    SourceChangedError,
    TrailingDataError,
    TruncatedError,
    UnsupportedDTypeError,
)
from .gzindex import GzipIndex
from .header import IdxHeader
from .reader import IdxReader, open  # noqa: A004 - fastidx.open, as gzip.open
from .writer import save

__all__ = [
    "ChecksumError",
    "ConversionError",
    "CorruptError",
    "GzipIndex",
    "HeaderError",
    "IdxError",
    "IdxHeader",
    "IdxReader",
    "IndexFileError",
    "SourceChangedError",
    "TrailingDataError",
    "TruncatedError",
    "UnsupportedDTypeError",
    "cpu_features",
    "info",
    "load",
    "open",
    "save",
]
__version__ = "0.1.0"
