"""The element types of IDX and the limits of the format.

Yann LeCun's page "The MNIST database of handwritten digits" lists the types in its last section.
0x0A and all other codes are not assigned.
"""

from __future__ import annotations

from typing import Any

import numpy as np

#: The type of the elements in the file, by the third byte of the file.
FILE_DTYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
#: The type code, by kind and size of a dtype: both are the same in any byte order.
TYPE_CODES = {(dtype.kind, dtype.itemsize): code for code, dtype in FILE_DTYPES.items()}
TYPE_NAMES = [dtype.name for dtype in FILE_DTYPES.values()]

#: The file has one byte for the number of dimensions, but numpy 2 holds no more than this.
MAX_NDIM = 64
MAX_DIMENSION = 2**32 - 1

#: How many of the first bytes tell what a file is that is no IDX file: the mark of a tar archive,
#: at byte 257, is the farthest in.
PREFIX_NBYTES = 512

#: How many bytes one compressed byte can stand for, at most. DEFLATE: 258 bytes for two bits, with
#: codes of one bit each (RFC 1951, section 3.2.5). LZMA: 273 bytes for 14 binary decisions, none
#: of which gets cheaper than log2(2048 / 2017) bits; that makes 7,094.
MAX_EXPANSION = {"gzip": 1032, "xz": 7100}
