"""Everything that turns an IDX file into an array here: fastidx and what it is compared with.

Each contender is called the way its documentation says is fastest. The peers that only decompress
are helped on: they are told the output's size (from the last four bytes of the gzip file) where
they accept it, their result is viewed with `numpy.frombuffer` rather than copied, and it may stay
read-only. Each call allocates its output anew, so all of them pay for fresh pages.
"""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import functools
import gzip
import importlib
import importlib.metadata
import io
import math
import os
import shutil
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

import fastidx
from fastidx import reference
from fastidx.codecs.detect import open_decoder
from fastidx.opening.open import open_source

Source: TypeAlias = Path | bytes
Array: TypeAlias = np.ndarray[Any, Any]

_DTYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_LIBRARIES = ("libdeflate.so.0", "libdeflate.so", "libdeflate.dylib", "libdeflate.dll")


class MissingError(Exception):
    """A contender is not installed; the message says what is missing."""


def _same(array: Array) -> Array:
    return array


@dataclass(frozen=True)
class Contender:
    """One way to load a file.

    Parameters
    ----------
    name : str
        What the tables call it.
    load : callable
        From a source to an array.
    version : callable
        What is measured; raises ImportError or OSError where it cannot be.
    threads : int
        How many it uses. Not measured on fewer CPUs.
    convert : callable
        What ``load`` makes of the values in the file; by default nothing.
    own : bool
        Whether the result must also have the type that ``convert`` returns.
    """

    name: str
    load: Callable[[Any], Any]
    version: Callable[[], str]
    threads: int = 1
    convert: Callable[[Array], Array] = _same
    own: bool = False

    def require(self) -> str:
        """Return the version; raise `MissingError` when the contender cannot be measured."""
        cpus = available_cpus()
        if self.threads > cpus:
            raise MissingError(f"{self.name}: this process may use only {cpus} CPUs")
        try:
            return self.version()
        except (ImportError, OSError) as error:
            raise MissingError(f"{self.name}: {error}") from error


def available_cpus() -> int:
    """Return how many CPUs this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _content(source: Source) -> bytes:
    return source.read_bytes() if isinstance(source, Path) else source


def _tail(source: Source) -> bytes:
    """Return the last bytes without reading the others."""
    if isinstance(source, bytes):
        return source[-4:]
    with source.open("rb") as file:
        file.seek(-4, os.SEEK_END)
        return file.read()


def _isize(data: bytes) -> int:
    return int.from_bytes(data[-4:], "little")


def _view(content: Any) -> Array:
    """View decompressed IDX content as an array, big-endian as it is."""
    code, ndim = content[2], content[3]
    shape = struct.unpack_from(f">{ndim}I", content, 4)
    dtype = np.dtype(_DTYPES[code])
    return np.frombuffer(content, dtype, math.prod(shape), 4 + 4 * ndim).reshape(shape)


def _native(content: Any) -> Array:
    view = _view(content)
    return view.astype(view.dtype.newbyteorder("="), copy=False)


# --- fastidx and its reference ------------------------------------------------------------------


def _fastidx(threads: int) -> Contender:
    def load(source: Source) -> Array:
        return fastidx.load(source, threads=threads)

    name = f"fastidx, {_threads(threads)}"
    return Contender(name, load, _fastidx_version, threads, own=True)


def _fastidx_float32(threads: int) -> Contender:
    def load(source: Source) -> Array:
        return fastidx.load(source, dtype=np.float32, scale=1 / 255, threads=threads)

    name = f"fastidx to float32, {_threads(threads)}"
    return Contender(name, load, _fastidx_version, threads, _to_float32, own=True)


def _fastidx_float64(threads: int) -> Contender:
    def load(source: Source) -> Array:
        return fastidx.load(source, scale=Fraction(1, 255), threads=threads)

    name = f"fastidx to float64, {_threads(threads)}"
    return Contender(name, load, _fastidx_version, threads, _to_float64, own=True)


def _threads(number: int) -> str:
    return "1 thread" if number == 1 else f"{number} threads"


def _fastidx_inflate(source: Source) -> Array:
    """Decode as `fastidx.load` does, but leave the bytes as they are in the file."""
    with contextlib.closing(open_source(source)) as opened:
        decoder, _ = open_decoder(opened)
        content: Any = np.empty(_isize(_tail(source)), np.uint8)
        decoder.read_into(content)
        if not decoder.at_end():  # which also checks the CRC-32
            raise ValueError("the file goes on after the size that it ends with")
    return _view(content)


def _fastidx_version() -> str:
    return fastidx.__version__


# --- numpy and the standard library -------------------------------------------------------------


def _gzip(source: Source) -> Array:
    return _native(gzip.decompress(_content(source)))


def _to_float32(array: Array) -> Array:
    return array.astype(np.float32) / np.float32(255)


def _to_float64(array: Array) -> Array:
    converted: Array = array / 255.0
    return converted


def _gzip_float32(source: Source) -> Array:
    return _to_float32(_gzip(source))


def _gzip_float64(source: Source) -> Array:
    return _to_float64(_gzip(source))


def _plain(source: Source) -> Array:
    return _native(_content(source))


def _fromfile(source: Source) -> Array:
    assert isinstance(source, Path)
    with source.open("rb") as file:
        start = file.read(4)
        shape = struct.unpack(f">{start[3]}I", file.read(4 * start[3]))
        values = np.fromfile(file, _DTYPES[start[2]], math.prod(shape))
    return values.reshape(shape)


def _npy(source: Source) -> Array:
    assert isinstance(source, Path)
    array: Array = np.load(npy_twin(source))
    return array


def npy_twin(path: Path) -> Path:
    """Return where the .npy file with the same array lies."""
    return path.with_suffix(".npy")


def python_version() -> str:
    """Return what is measured where the standard library is."""
    import platform

    return f"Python {platform.python_version()}"


def _numpy_version() -> str:
    return f"numpy {np.__version__}"


# --- packages -----------------------------------------------------------------------------------


def package(module: str, distribution: str) -> Callable[[], str]:
    """Return what returns a package's version, having imported it."""

    def version() -> str:
        importlib.import_module(module)
        return importlib.metadata.version(distribution)

    return version


def _idx2numpy(source: Source) -> Array:
    module = importlib.import_module("idx2numpy")
    with gzip.open(source if isinstance(source, Path) else io.BytesIO(source)) as file:
        array: Array = module.convert_from_file(file)
    return array


def _deflate(source: Source) -> Array:
    data = _content(source)
    return _native(importlib.import_module("deflate").gzip_decompress(data, _isize(data)))


def _isal(source: Source) -> Array:
    data = _content(source)
    module = importlib.import_module("isal.isal_zlib")
    return _native(module.decompress(data, wbits=31, bufsize=_isize(data)))


def _zlib_ng(source: Source) -> Array:
    data = _content(source)
    module = importlib.import_module("zlib_ng.zlib_ng")
    return _native(module.decompress(data, wbits=31, bufsize=_isize(data)))


def _cramjam(source: Source) -> Array:
    data = _content(source)
    content = np.empty(_isize(data), np.uint8)
    importlib.import_module("cramjam").gzip.decompress_into(data, content)
    return _native(content)


def _rapidgzip(threads: int) -> Contender:
    def load(source: Source) -> Array:
        module = importlib.import_module("rapidgzip")
        assert isinstance(source, Path)
        with module.open(os.fspath(source), parallelization=threads) as file:
            start = file.read(4)
            shape = struct.unpack(f">{start[3]}I", file.read(4 * start[3]))
            values = np.empty(shape, _DTYPES[start[2]])
            content = values.reshape(-1).view(np.uint8)  # it takes len() for the size
            if file.readinto(content) != len(content) or file.read(1):
                raise ValueError(f"{source}: its size is not what its header says")
        return values

    version = package("rapidgzip", "rapidgzip")
    return Contender(f"rapidgzip, {_threads(threads)}", load, version, threads)


# --- the C library libdeflate, whole buffer to whole buffer -------------------------------------


@functools.cache
def _libdeflate() -> tuple[ctypes.CDLL, int, str]:
    """Return the library, a decompressor and the name the library was found under."""
    named = os.environ.get("LIBDEFLATE")
    found = ctypes.util.find_library("deflate")
    candidates = [named] if named else [name for name in (found, *_LIBRARIES) if name]
    for name in candidates:
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        library.libdeflate_alloc_decompressor.restype = ctypes.c_void_p
        library.libdeflate_gzip_decompress.argtypes = [
            ctypes.c_void_p,
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_void_p,
            ctypes.c_size_t,
            ctypes.c_void_p,
        ]
        return library, library.libdeflate_alloc_decompressor(), name
    raise OSError(
        f"none of {', '.join(candidates)} can be loaded; install the library (Debian: "
        "libdeflate0), or set LIBDEFLATE to its path"
    )


def _libdeflate_gunzip(source: Source) -> Array:
    library, decompressor, _ = _libdeflate()
    data = _content(source)
    # From numpy as fastidx's arrays are, so that the kernel gives both the same kind of pages.
    content = np.empty(_isize(data), np.uint8)
    status = library.libdeflate_gzip_decompress(
        decompressor, data, len(data), content.ctypes.data, content.nbytes, None
    )
    if status != 0:
        raise ValueError(f"libdeflate_gzip_decompress returned {status}")
    return content


def _libdeflate_view(source: Source) -> Array:
    return _view(_libdeflate_gunzip(source))


def _libdeflate_native(source: Source) -> Array:
    return _native(_libdeflate_gunzip(source))


def _libdeflate_version() -> str:
    """Name the library; it has no function that tells its version, but Debian's database does."""
    name = _libdeflate()[2]
    if "LIBDEFLATE" not in os.environ and shutil.which("dpkg-query"):
        query = ["dpkg-query", "--show", "--showformat=${Version}", "libdeflate0"]
        told = subprocess.run(query, capture_output=True, text=True, check=False)
        if told.returncode == 0:
            return f"{name} (Debian {told.stdout})"
    return name


_THREADS = (2, 4, 8, 16)

FASTIDX = _fastidx(1)
FASTIDX_PARALLEL = tuple(_fastidx(threads) for threads in _THREADS)
FASTIDX_2 = FASTIDX_PARALLEL[0]
FASTIDX_FLOAT32 = tuple(_fastidx_float32(threads) for threads in (1, 2))
FASTIDX_FLOAT64 = tuple(_fastidx_float64(threads) for threads in (1, 2))
FASTIDX_INFLATE = Contender("fastidx, inflate alone", _fastidx_inflate, _fastidx_version)
STRUCT = Contender("gzip + struct (reference)", reference.load, python_version)
GZIP = Contender("gzip + frombuffer", _gzip, python_version)
GZIP_FLOAT32 = Contender(
    "gzip + frombuffer, astype, division", _gzip_float32, python_version, convert=_to_float32
)
GZIP_FLOAT64 = Contender(
    "gzip + frombuffer, division", _gzip_float64, python_version, convert=_to_float64
)
PLAIN = Contender("read + frombuffer", _plain, _numpy_version)
FROMFILE = Contender("numpy.fromfile", _fromfile, _numpy_version)
NPY = Contender("numpy.load of a .npy file (the floor)", _npy, _numpy_version)
IDX2NUMPY = Contender("gzip + idx2numpy", _idx2numpy, package("idx2numpy", "idx2numpy"))
DEFLATE = Contender("deflate", _deflate, package("deflate", "deflate"))
ISAL = Contender("isal", _isal, package("isal.isal_zlib", "isal"))
ZLIB_NG = Contender("zlib-ng", _zlib_ng, package("zlib_ng.zlib_ng", "zlib-ng"))
CRAMJAM = Contender("cramjam", _cramjam, package("cramjam", "cramjam"))
LIBDEFLATE = Contender("libdeflate (C library)", _libdeflate_native, _libdeflate_version)
LIBDEFLATE_INFLATE = Contender(
    "libdeflate (C library), inflate alone", _libdeflate_view, _libdeflate_version
)
RAPIDGZIP = _rapidgzip(1)
RAPIDGZIP_PARALLEL = tuple(_rapidgzip(threads) for threads in _THREADS)
RAPIDGZIP_2 = RAPIDGZIP_PARALLEL[0]
PACKAGES = (DEFLATE, ISAL, ZLIB_NG, CRAMJAM)
