"""What an index and a reader are for: whole files, random items, batches, and making the index.

Whoever needs an index has the same one, made by fastidx and saved in indexed_gzip's format; whoever
reads items keeps the file open, since that is what programs do.
"""

from __future__ import annotations

import contextlib
import gzip
import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import fastidx
from fastidx import reference

from .contenders import Array, Contender, package, python_version

NUMBER_OF_ITEMS = 20
BATCH = 256

_SPACING_NBYTES = 1 << 20
_HEADER_NBYTES = 16
_SHAPE = (28, 28)
_ITEM_NBYTES = 28 * 28


class Indexed:
    """A file with an index, opened by each contender once.

    Parameters
    ----------
    path : Path
        A gzipped IDX file of images.
    folder : Path
        Where to put the index.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        self.path = path
        self.index = folder / f"{path.name}.gzidx"
        with fastidx.open(path) as reader:
            reader.build_index(spacing=_SPACING_NBYTES).save(self.index)
            count = len(reader)
        self.numbers = np.random.default_rng(0).integers(0, count, NUMBER_OF_ITEMS).tolist()
        self._opened: dict[str, Any] = {}
        self._stack = contextlib.ExitStack()

    def opened(self, name: str, opening: Callable[[Indexed], Any]) -> Any:
        """Return what a contender has opened, which it does at first."""
        if name not in self._opened:
            self._opened[name] = self._stack.enter_context(opening(self))
        return self._opened[name]

    def close(self) -> None:
        """Close all that was opened."""
        self._stack.close()


def expected_items(source: Indexed) -> Array:
    """Return the items, one after the other."""
    items: Array = fastidx.load(source.path)[source.numbers]
    return items


def expected_batches(path: Path) -> Array:
    """Return the first item of each batch."""
    firsts: Array = fastidx.load(path)[::BATCH]
    return firsts


def expected_first_batch(path: Path) -> Array:
    """Return the first batch, decoded without `fastidx.open`."""
    return _through(gzip.open, path)


def expected_size(path: Path) -> Array:
    """Return the size of what the file decodes to."""
    header = fastidx.info(path)
    return np.array(header.header_nbytes + header.nbytes)


def expected_whole(source: Indexed) -> Array:
    """Return all items."""
    items: Array = reference.load_frombuffer(source.path)
    return items


# --- the whole, with an index -------------------------------------------------------------------


def _whole_of_fastidx(threads: int, *, index: bool) -> Callable[[Indexed], Array]:
    def load(source: Indexed) -> Array:
        known = source.index if index else None
        images: Array = fastidx.load(source.path, threads=threads, index=known)
        return images

    return load


def _whole_of_rapidgzip(source: Indexed) -> Array:
    with _rapidgzip(source.path, source.index, threads=2) as file:
        return np.frombuffer(file.read(), np.uint8, offset=_HEADER_NBYTES).reshape(-1, *_SHAPE)


# --- random items -------------------------------------------------------------------------------


def _items_of_fastidx(source: Indexed) -> Array:
    reader = source.opened("fastidx", lambda s: fastidx.open(s.path, index=s.index, threads=1))
    return np.stack([reader[number] for number in source.numbers])


def _items_of(name: str, opening: Callable[[Indexed], Any]) -> Callable[[Indexed], Array]:
    def load(source: Indexed) -> Array:
        file = source.opened(name, opening)
        items = np.empty((len(source.numbers), *_SHAPE), np.uint8)
        for item, number in zip(items, source.numbers, strict=True):
            file.seek(_HEADER_NBYTES + number * _ITEM_NBYTES)
            item[:] = np.frombuffer(file.read(_ITEM_NBYTES), np.uint8).reshape(_SHAPE)
        return items

    return load


def _indexed_gzip(path: Path, index: Path | None = None) -> Any:
    module = importlib.import_module("indexed_gzip")
    known = {} if index is None else {"index_file": os.fspath(index)}
    return module.IndexedGzipFile(os.fspath(path), spacing=_SPACING_NBYTES, **known)


def _rapidgzip(path: Path, index: Path | None = None, threads: int = 1) -> Any:
    file = importlib.import_module("rapidgzip").open(os.fspath(path), parallelization=threads)
    if index is not None:
        file.import_index(os.fspath(index))
    return file


# --- batches ------------------------------------------------------------------------------------


def _batches_of_fastidx(path: Path) -> Array:
    with fastidx.open(path, threads=1) as reader:
        out = np.empty((BATCH, *reader.shape[1:]), reader.dtype)
        return np.array([batch[0].copy() for batch in reader.batches(BATCH, out=out)])


def _batches_of_load(path: Path) -> Array:
    images = fastidx.load(path, threads=1)
    return np.array([images[begin] for begin in range(0, len(images), BATCH)])


def _batches_of(opening: Callable[[Path], Any]) -> Callable[[Path], Array]:
    def load(path: Path) -> Array:
        firsts = []
        with opening(path) as file:
            file.read(_HEADER_NBYTES)
            while content := file.read(BATCH * _ITEM_NBYTES):
                firsts.append(np.frombuffer(content, np.uint8, _ITEM_NBYTES).reshape(_SHAPE))
        return np.array(firsts)

    return load


def _first_batch_of_fastidx(path: Path) -> Array:
    with fastidx.open(path) as reader:
        batch: Array = reader[:BATCH]
    return batch


def _through(opening: Callable[[Path], Any], path: Path) -> Array:
    with opening(path) as file:
        file.read(_HEADER_NBYTES)
        return np.frombuffer(file.read(BATCH * _ITEM_NBYTES), np.uint8).reshape(-1, *_SHAPE)


def _first_batch_of(opening: Callable[[Path], Any]) -> Callable[[Path], Array]:
    return lambda path: _through(opening, path)


# --- making an index ----------------------------------------------------------------------------


def _index_of_fastidx(path: Path) -> Array:
    with fastidx.open(path, threads=1) as reader:
        return np.array(reader.build_index(spacing=_SPACING_NBYTES).uncompressed_nbytes)


def _load(path: Path) -> Array:
    return np.array(fastidx.load(path, threads=1).nbytes + _HEADER_NBYTES)


def _index_of_indexed_gzip(path: Path) -> Array:
    with _indexed_gzip(path) as file:
        file.build_full_index()
        file.seek(0, os.SEEK_END)
        return np.array(file.tell())


def _index_of_rapidgzip(path: Path) -> Array:
    with _rapidgzip(path) as file:
        file.block_offsets()
        return np.array(file.size())


def _version() -> str:
    return fastidx.__version__


_INDEXED_GZIP = package("indexed_gzip", "indexed_gzip")
_RAPIDGZIP = package("rapidgzip", "rapidgzip")

WHOLE = (
    Contender("fastidx.load, 1 thread", _whole_of_fastidx(1, index=False), _version),
    Contender("fastidx.load, 2 threads", _whole_of_fastidx(2, index=False), _version, 2),
    Contender(
        "fastidx.load, with an index, 2 threads", _whole_of_fastidx(2, index=True), _version, 2
    ),
    Contender("rapidgzip, with an index, 2 threads", _whole_of_rapidgzip, _RAPIDGZIP, 2),
)
ITEMS = (
    Contender("fastidx.open", _items_of_fastidx, _version),
    Contender(
        "indexed_gzip",
        _items_of("indexed_gzip", lambda s: _indexed_gzip(s.path, s.index)),
        _INDEXED_GZIP,
    ),
    Contender(
        "rapidgzip", _items_of("rapidgzip", lambda s: _rapidgzip(s.path, s.index)), _RAPIDGZIP
    ),
)
BATCHES = (
    Contender("fastidx.load, sliced, 1 thread", _batches_of_load, _version),
    Contender("fastidx.open, batches, 1 thread", _batches_of_fastidx, _version),
    Contender("indexed_gzip", _batches_of(_indexed_gzip), _INDEXED_GZIP),
    Contender("rapidgzip, 1 thread", _batches_of(_rapidgzip), _RAPIDGZIP),
    Contender("gzip", _batches_of(gzip.open), python_version),
)
FIRST_BATCH = (
    Contender("fastidx.open", _first_batch_of_fastidx, _version),
    Contender("indexed_gzip", _first_batch_of(_indexed_gzip), _INDEXED_GZIP),
    Contender("rapidgzip, 1 thread", _first_batch_of(_rapidgzip), _RAPIDGZIP),
    Contender("gzip", _first_batch_of(gzip.open), python_version),
)
INDEX = (
    Contender("fastidx.load, 1 thread", _load, _version),
    Contender("fastidx, build_index, 1 thread", _index_of_fastidx, _version),
    Contender("indexed_gzip", _index_of_indexed_gzip, _INDEXED_GZIP),
    Contender("rapidgzip, 1 thread", _index_of_rapidgzip, _RAPIDGZIP),
)
