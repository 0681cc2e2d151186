"""Load IDX files, the format of the MNIST family, into numpy arrays: fast and checked."""

from fastidx.format.header import IdxHeader
from fastidx.gzipped.index import GzipIndex
from fastidx.reading.load import info, load
from fastidx.reading.reader import IdxReader, open  # noqa: A004 - fastidx.open, as gzip.open
from fastidx.writing.save import save

from ._kernel import cpu_features
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

__all__ = [
    "ChecksumError",
    "ConversionError",
    "CorruptError",
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
    "cpu_features",
    "info",
    "load",
    "open",
    "save",
]
__version__ = "0.1.0"
