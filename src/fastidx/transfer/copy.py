"""Copy arrays between IDX, ``.npy`` and ``.npz`` files, a piece at a time.

However large an array is, about 1 MiB of it is in memory. A source is read to its end and checked
as `fastidx.load` does it; a target is replaced when all has been written, as by `fastidx.save`.
"""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from fastidx.base.replace import replacement
from fastidx.codecs.ending import check_end
from fastidx.errors import (
    ChecksumError,
    CorruptError,
    HeaderError,
    IdxError,
    TrailingDataError,
    TruncatedError,
    UnsupportedDTypeError,
)
from fastidx.format.faults import truncated_error
from fastidx.format.header import IdxHeader, header_for
from fastidx.format.typecodes import MAX_NDIM, TYPE_CODES, TYPE_NAMES
from fastidx.items.destination import Destination
from fastidx.opening.idx import open_idx as open_source_as_idx
from fastidx.opening.idx import take_bytes
from fastidx.opening.open import reading
from fastidx.sources.protocol import Source
from fastidx.sources.stream import StreamSource
from fastidx.writing.save import file_pieces, save_pieces, slices

if TYPE_CHECKING:
    import zipfile

    from fastidx.base.replace import Writable
    from fastidx.reading.reader import IdxReader
    from fastidx.writing.save import Compression

Parts: TypeAlias = Iterator[np.ndarray[Any, Any]]
Format: TypeAlias = Literal["idx", "npy", "npz"]

_PIECE_NBYTES = 1 << 20

_NPY_MAGIC = b"\x93NUMPY"
_ZIP_MAGIC = b"PK\3\4"  # APPNOTE.TXT, section 4.3.7
_DEFAULT_KEY = "arr_0"  # as numpy.savez names the first array that is given without a name

# As what IDX files are found under, but not written.
_UNWRITABLE = (".7z", ".bz2", ".lz4", ".npy.gz", ".npz.gz", ".xz", ".zip", ".zst")


@dataclass(frozen=True)
class Values:
    """The values of an array that is not in memory.

    Parameters
    ----------
    name : str
        Of where they come from, for messages.
    dtype : numpy.dtype
        Their type, native.
    shape : tuple of int
        Of the array.
    parts : iterator of ndarray
        The values in C order, in any byte order, to be taken once. Each is flat and valid until
        the next. Exhausted, it has checked and closed the source.
    key : str or None
        The array's name in a ``.npz`` file.
    header : IdxHeader or None
        Of an IDX file.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    parts: Parts
    key: str | None = None
    header: IdxHeader | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all values."""
        return math.prod(self.shape) * self.dtype.itemsize

    def array(self) -> np.ndarray[Any, Any]:
        """Take all values into memory."""
        array = np.empty(self.shape, self.dtype)
        flat, done = array.reshape(-1), 0
        for part in self.parts:
            flat[done : done + len(part)] = part
            done += len(part)
        return array


# --- Sources ------------------------------------------------------------------------------------


@contextlib.contextmanager
def open_idx(path: str) -> Iterator[Values]:
    """Open an IDX file, which may be a pipe, to take all its values."""
    with reading(path) as source:
        yield _of_idx(source)


@contextlib.contextmanager
def open_values(path: str, key: str | None = None) -> Iterator[Values]:
    """Open a file to take all its values: IDX, ``.npy`` or ``.npz``, as its content tells.

    Parameters
    ----------
    path : str
        A pipe will do, but for ``.npz``.
    key : str, optional
        Which array of an ``.npz`` file. Needed if it holds several, of no use otherwise.
    """
    with contextlib.ExitStack() as stack:
        archive = _open_npz(path, stack)
        if archive is not None:
            yield _of_npz(archive, path, key, stack)
            return
        source = stack.enter_context(reading(path))
        if source.peek(len(_NPY_MAGIC)) == _NPY_MAGIC:
            yield _of_npy(source)
        else:
            yield _of_idx(source)


def values_of_reader(reader: IdxReader, name: str, start: int | None, stop: int | None) -> Values:
    """Return a range of the items of an open file; its bounds are those of a slice."""
    if not reader.shape:
        raise IdxError(
            f"{name}: expected items to choose from, found a single element (0 dimensions); "
            "leave the bounds out"
        )
    first, last, _ = slice(start, stop).indices(len(reader))
    shape = (max(0, last - first), *reader.shape[1:])
    return Values(name, reader.dtype, shape, _reader_parts(reader, first, shape))


def _reader_parts(reader: IdxReader, first: int, shape: tuple[int, ...]) -> Parts:
    item_nbytes = math.prod(shape[1:]) * reader.dtype.itemsize
    n = max(1, min(shape[0], _PIECE_NBYTES // max(1, item_nbytes)))
    memory = np.empty((n, *shape[1:]), reader.dtype)
    for batch in reader.batches(n, out=memory, start=first, stop=first + shape[0]):
        yield batch.reshape(-1)


def _of_idx(source: Source) -> Values:
    idx = open_source_as_idx(source)
    decoder, header = idx.decoder, idx.header

    def read(memory: np.ndarray[Any, Any]) -> int:
        return Destination(header, None, memory, len(memory)).read(decoder, 0, len(memory))

    def parts() -> Parts:
        done = yield from _pieces(read, header.dtype, header.nbytes)
        if done < header.nbytes:
            done += len(take_bytes(decoder, header.dtype.itemsize - 1))
            raise truncated_error(header, source.name, done, decoder.truncated)
        check_end(decoder, header, source.name, strict=True)
        source.check_unchanged(suspicious=False)
        source.close()  # it may be what is to be replaced, which Windows refuses while it is open

    return Values(source.name, header.dtype, header.shape, parts(), header=header)


def _of_npy(source: Source, key: str | None = None) -> Values:
    shape, fortran, dtype = _read_npy_header(source)
    nbytes = math.prod(shape) * dtype.itemsize

    def read(memory: np.ndarray[Any, Any]) -> int:
        return source.read_into(memory.data)

    def parts() -> Parts:
        done = yield from _pieces(read, dtype, nbytes)
        if done < nbytes:
            raise TruncatedError(
                f"{source.name}: expected {nbytes:,} data bytes, as the header says, found "
                f"{done:,}; the file was cut: fetch or write it again"
            )
        if source.read_into(memoryview(bytearray(1))):
            raise TrailingDataError(
                f"{source.name}: expected the end after {nbytes:,} data bytes, as the header says, "
                "found more; write one array to a file"
            )
        source.check_unchanged(suspicious=False)
        source.close()

    values = parts()
    if fortran and len(shape) > 1:
        values = _transposed(values, dtype, shape)
    return Values(source.name, dtype.newbyteorder("="), shape, values, key)


def _pieces(
    read: Callable[[np.ndarray[Any, Any]], int], dtype: np.dtype[Any], nbytes: int
) -> Generator[np.ndarray[Any, Any], None, int]:
    """Yield so many bytes of values in pieces, as far as there are any; return how many."""
    memory = np.empty(min(_PIECE_NBYTES, nbytes), np.uint8)
    done = 0
    while done < nbytes:
        wanted = min(len(memory), nbytes - done)
        n = read(memory[:wanted])
        yield memory[: n - n % dtype.itemsize].view(dtype)
        done += n
        if n < wanted:
            break
    return done


def _transposed(parts: Parts, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Parts:
    """Yield values in C order that come in Fortran's, by way of a temporary file."""
    from tempfile import TemporaryFile

    with TemporaryFile(prefix="fastidx-") as file:
        for part in parts:
            file.write(part.data)
        file.flush()
        if math.prod(shape):
            array = np.memmap(file, dtype, "r", shape=shape, order="F")
            yield from slices(array, dtype)


def _read_npy_header(
    source: Source,
) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    numpy_format = np.lib.format
    file = _NpyHeaderFile(source)
    try:
        version = numpy_format.read_magic(file)
        if version == (1, 0):
            shape, fortran, dtype = numpy_format.read_array_header_1_0(file)
        else:
            shape, fortran, dtype = numpy_format.read_array_header_2_0(file)
        _check_shape(shape, dtype)
    except ValueError as error:
        raise HeaderError(
            f"{source.name}: expected the header of a .npy file, found a damaged one ({error}); "
            "fetch or write it again"
        ) from error
    if (dtype.kind, dtype.itemsize) not in TYPE_CODES:
        raise UnsupportedDTypeError(
            f"{source.name}: expected an array of a type that IDX has ({', '.join(TYPE_NAMES)}), "
            f"found {dtype}; convert it in numpy first (array.astype)"
        )
    return shape, fortran, dtype


def _check_shape(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    extent = math.prod(dim for dim in shape if dim) * dtype.itemsize
    if len(shape) > MAX_NDIM or any(dim < 0 for dim in shape) or extent > sys.maxsize:
        raise ValueError(f"no array has the shape {shape}")


class _NpyHeaderFile:
    """As much of a file object as numpy needs to read a header."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def read(self, nbytes: int = -1, /) -> bytes:
        # A damaged header can ask for 4 GiB; numpy is content with less and comes again.
        memory = bytearray(min(max(nbytes, 0), _PIECE_NBYTES))
        return bytes(memory[: self._source.read_into(memoryview(memory))])


def _open_npz(path: str, stack: contextlib.ExitStack) -> zipfile.ZipFile | None:
    """Open a ``.npz`` file; None if it is anything else, such as a zip archive of IDX files."""
    if not Path(path).is_file():  # a pipe must not be touched
        return None
    with Path(path).open("rb") as file:
        if not path.lower().endswith(".npz") and file.read(len(_ZIP_MAGIC)) != _ZIP_MAGIC:
            return None
    import zipfile

    try:
        archive = stack.enter_context(zipfile.ZipFile(path))
    except zipfile.BadZipFile as error:
        raise CorruptError(
            f"{path}: expected a .npz file, found a damaged zip archive or none ({error}); "
            "fetch or write it again"
        ) from error
    is_npz = all(member.endswith(".npy") for member in archive.namelist())
    return archive if is_npz else None


def _of_npz(
    archive: zipfile.ZipFile, name: str, key: str | None, stack: contextlib.ExitStack
) -> Values:
    keys = [member.removesuffix(".npy") for member in archive.namelist()]
    if key not in keys if key is not None else len(keys) != 1:
        wanted = "one array" if key is None else f"an array named {key!r}"
        remedy = f"choose one of {', '.join(keys)} (--key)" if keys else "there is nothing to copy"
        raise IdxError(f"{name}: expected {wanted}, found {len(keys)} arrays; {remedy}")
    chosen = keys[0] if key is None else key
    with _errors_of_zip(name):
        file = stack.enter_context(archive.open(f"{chosen}.npy"))
        values = _of_npy(StreamSource(file, f"{name}[{chosen!r}]", owned=False), chosen)

    def parts() -> Parts:
        with _errors_of_zip(name):
            yield from values.parts
        file.close()
        archive.close()

    return Values(values.name, values.dtype, values.shape, parts(), chosen)


@contextlib.contextmanager
def _errors_of_zip(name: str) -> Iterator[None]:
    """Raise as ours what `zipfile` raises for damaged archives, and for those it cannot read."""
    import zipfile
    import zlib

    try:
        yield
    except IdxError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        kind = ChecksumError if "CRC" in str(error) else CorruptError
        raise kind(
            f"{name}: expected a sound zip archive, found a damaged one ({error}); "
            "fetch or write it again"
        ) from error
    except (NotImplementedError, RuntimeError) as error:
        raise IdxError(
            f"{name}: expected an archive that Python's zipfile reads, found another ({error}); "
            "write it again with numpy.savez"
        ) from error


# --- Targets ------------------------------------------------------------------------------------


def format_of_name(path: str) -> Format:
    """Return the format that a file is to have by its name.

    Raises
    ------
    ValueError
        If the name promises what cannot be written.
    """
    lower = path.lower()
    for suffix in _UNWRITABLE:
        if lower.endswith(suffix):
            raise ValueError(
                f"{path}: expected a name that ends in .npy, .npz or .gz, or any other for plain "
                f"IDX; {suffix} cannot be written"
            )
    if lower.endswith(".npy"):
        return "npy"
    return "npz" if lower.endswith(".npz") else "idx"


def write_values(
    target: str, values: Values, *, compression: Compression = "infer", key: str | None = None
) -> None:
    """Write a file in the format that its name tells.

    Parameters
    ----------
    target : str
        Path of the file, which is replaced in one step.
    values : Values
        They are taken.
    compression : {"infer", "gzip", "bgzf", None}
        Of an IDX file as in `fastidx.save`. A ``.npz`` file is compressed unless it is None; a
        ``.npy`` file never is.
    key : str, optional
        The array's name in a ``.npz`` file; by default the one it had in another, or ``arr_0``.
    """
    form = format_of_name(target)
    if form == "npz":
        _write_npz(target, values, key or values.key or _DEFAULT_KEY, compression is not None)
    elif form == "npy":
        save_pieces(target, npy_parts(values), compression=None)
    else:
        # The values of this array take no memory: it is one, repeated.
        header = header_for(np.broadcast_to(values.dtype.type(0), values.shape), name=target)
        save_pieces(target, file_pieces(header, values.parts), compression=compression)


def write_npy(file: Writable, values: Values) -> None:
    """Write a ``.npy`` file to an open file."""
    save_pieces(file, npy_parts(values), compression=None)


def npy_parts(values: Values) -> Iterator[bytes]:
    """Yield the bytes of a ``.npy`` file."""
    from io import BytesIO

    numpy_format = np.lib.format
    file = BytesIO()
    header = {
        "descr": numpy_format.dtype_to_descr(values.dtype),
        "fortran_order": False,
        "shape": values.shape,
    }
    numpy_format.write_array_header_1_0(file, header)
    yield file.getvalue()
    for part in values.parts:
        yield part.astype(values.dtype, copy=False).tobytes()


def _write_npz(target: str, values: Values, key: str, compressed: bool) -> None:
    import zipfile

    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    member = zipfile.ZipInfo(f"{key}.npy")  # of 1980, so that equal arrays give equal files
    member.compress_type = method
    with (
        replacement(target) as file,
        zipfile.ZipFile(file, "w", method) as archive,
        # Its size is not looked up in advance, hence has to have room for any.
        archive.open(member, "w", force_zip64=True) as out,
    ):
        for part in npy_parts(values):
            out.write(part)
