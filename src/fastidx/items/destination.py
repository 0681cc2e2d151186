"""The memory that receives the items of a file, converted or as they are."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np

from fastidx._kernel import Expansion
from fastidx.base.memory import Bytes1D, for_results
from fastidx.format.header import IdxHeader

from .conversion import Conversion

# Where numpy converts, not the kernel, it converts so many bytes at a time: they stay in the cache.
_SLICE_NBYTES = 256 * 1024


class Reader(Protocol):
    """Delivers the decoded bytes of a file, or of a range of it, in order."""

    @property
    def truncated(self) -> bool:
        """Whether the input ended too early."""

    def read_into(
        self,
        out: Any,
        item_nbytes: int = 1,
        start: int = 0,
        expansion: Expansion | None = None,
    ) -> int:
        """Fill memory with items; see `fastidx._kernel.GzipDecoder.read_into`."""


class Destination:
    """The memory for the results of reading, addressed by byte offsets in the file's data.

    Parameters
    ----------
    header : IdxHeader
        The header of the file.
    conversion : Conversion or None
        How to convert the items; None to leave them as they are.
    memory : ndarray of uint8, optional
        Receives the results, one-dimensional; by default it is allocated.
    nbytes : int, optional
        How many bytes of the file's data it receives, whole items; by default all.
    """

    def __init__(
        self,
        header: IdxHeader,
        conversion: Conversion | None,
        memory: Bytes1D | None = None,
        nbytes: int | None = None,
    ) -> None:
        self.header = header
        self.conversion = conversion
        self.nbytes = header.nbytes if nbytes is None else nbytes
        self.item_nbytes = header.dtype.itemsize
        self._dtype = header.dtype if conversion is None else conversion.dtype
        if memory is None:
            memory = for_results(self.nbytes // self.item_nbytes * self._dtype.itemsize)
        self._memory = memory
        self._expansion = None
        if conversion is not None and conversion.table is not None:
            refused = conversion.refused
            self._expansion = Expansion(
                conversion.table.view(np.uint8),
                None if refused is None else refused.view(np.uint8),
                conversion.refusal,
            )

    def array(self) -> np.ndarray[Any, Any]:
        """Return the results as an array of the file's shape."""
        return self._memory.view(self._dtype).reshape(self.header.shape)

    def read(self, reader: Reader, begin: int, end: int) -> int:
        """Read the items from byte ``begin`` to byte ``end`` of the data.

        Returns
        -------
        int
            Bytes read, whole items; fewer than asked for if the data end before.
        """
        if self._expansion is not None:
            memory = self._memory[: end * self._dtype.itemsize]
            return reader.read_into(memory, 1, begin, self._expansion)
        if self.conversion is None:
            return reader.read_into(self._memory[:end], self.item_nbytes, begin)
        return self._read_slices(reader, begin, end, self.conversion)

    def _read_slices(self, reader: Reader, begin: int, end: int, conversion: Conversion) -> int:
        results = self._memory.view(self._dtype)
        piece = np.empty(min(_SLICE_NBYTES, end - begin), np.uint8)
        pos = begin
        while pos < end:
            wanted = min(len(piece), end - pos)
            n = reader.read_into(piece[:wanted], self.item_nbytes)
            first = pos // self.item_nbytes
            items = piece[:n].view(self.header.dtype)
            conversion.apply(items, results[first : first + len(items)])
            pos += n
            if n < wanted:
                break
        return pos - begin

    def grown(self, nbytes: int) -> Destination:
        """Return a copy that has room for ``nbytes`` bytes of the file's data."""
        larger = Destination(self.header, self.conversion, None, nbytes)
        larger._memory[: len(self._memory)] = self._memory
        return larger


def bytes_of_out(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Bytes1D:
    """Return the memory of the argument ``out`` as bytes.

    Parameters
    ----------
    out : ndarray or writable buffer
        C-contiguous. An array must have exactly this shape and dtype, any other buffer this size.
    shape : tuple of int
        The shape of the result.
    dtype : dtype
        The type of the result, in native byte order.

    Raises
    ------
    TypeError
        If it is no buffer.
    ValueError
        If it is not writable, not C-contiguous, or not of this shape, dtype or size.
    """
    if isinstance(out, np.ndarray):
        if out.dtype != dtype:
            order = "" if out.dtype.isnative else " in the other byte order"
            raise ValueError(
                f"out: expected dtype {dtype} in native byte order, found {out.dtype.name}{order}"
            )
        if out.shape != shape:
            raise ValueError(f"out: expected shape {shape}, found {out.shape}")
        if not out.flags.c_contiguous:
            raise ValueError("out: expected a C-contiguous array, found gaps or another order")
        if not out.flags.writeable:
            raise ValueError("out: expected a writable array, found a read-only one")
        return np.asarray(out).reshape(-1).view(np.uint8)  # asarray drops subclasses
    nbytes = math.prod(shape) * dtype.itemsize
    try:
        view = memoryview(out)
    except TypeError:
        raise TypeError(
            f"out: expected an array or a writable buffer, found {type(out).__name__}"
        ) from None
    if view.readonly:
        raise ValueError("out: expected a writable buffer, found a read-only one")
    if not view.c_contiguous:
        raise ValueError("out: expected a C-contiguous buffer, found one with gaps")
    if view.nbytes != nbytes:
        raise ValueError(f"out: expected a buffer of {nbytes:,} bytes, found {view.nbytes:,}")
    return np.frombuffer(view.cast("B") if view.nbytes else bytearray(), np.uint8)
