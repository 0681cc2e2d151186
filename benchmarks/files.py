"""The files that are measured: real where they are at hand, else synthetic."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

import fastidx
from fastidx import reference, synthetic
from fastidx.format.header import IdxHeader

from . import contenders as c
from .contenders import Array
from .giant_block import write_giant_block

N = 60000
BIG_N = 1_280_000  # 1.0035 GB
SMOKE_N = 500
SMOKE_BIG_N = 4000

_QMNIST_NAME = "qmnist-train-labels-idx2-int.gz"
_SET_N = 64000  # digits drawn and written at a time
_CACHE = Path(tempfile.gettempdir(), "fastidx-benchmarks")


@dataclass(frozen=True)
class Files:
    """The files to load.

    Parameters
    ----------
    folder : Path
        Where to put what is made.
    images, labels, wide_labels, plain : Path
        The training images and labels, QMNIST's labels, and the images without compression.
    origin : str
        Where they are from.
    big_n : int
        How many images the big file holds.
    """

    folder: Path
    images: Path
    labels: Path
    wide_labels: Path
    plain: Path
    origin: str
    big_n: int = BIG_N

    @cached_property
    def big(self) -> Path:
        """About 1 GB of synthetic digits, each drawn for itself, as ``gzip -6`` writes them.

        Made once: the drawing takes minutes. The name tells the generator's version by what it
        draws.
        """
        version = zlib.crc32(synthetic.digits(64)[0])
        folder = self.folder
        if self.big_n == BIG_N:
            folder = _CACHE
            folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / f"digits-{self.big_n}-{version:08x}-idx3-ubyte.gz"
        if not path.exists():
            _atomically(path, lambda part: _write_big(part, self.big_n))
        return path

    @cached_property
    def giant_block(self) -> Path:
        """The training images as one single DEFLATE block."""
        path = self.folder / "giant-block-idx3-ubyte.gz"
        write_giant_block(path, self.plain.read_bytes())
        return path

    @cached_property
    def bgzf(self) -> Path:
        """The training images in blocks that can be decoded independently."""
        path = self.folder / "bgzf-idx3-ubyte.gz"
        fastidx.save(path, fastidx.load(self.plain), compression="bgzf")
        return path


def prepare(folder: Path, *, n: int = N, big_n: int = BIG_N) -> Files:
    """Find the real files, or write `n` synthetic digits; add the plain twins to `folder`.

    Parameters
    ----------
    folder : Path
        An empty folder for what has to be written.
    n : int
        Size of the synthetic set. Real files are always taken whole.
    big_n : int
        Size of the big file, which is always synthetic.
    """
    data = os.environ.get("FASTIDX_TEST_DATA")
    if data:
        origin = "the real MNIST and QMNIST files"
        names = (synthetic.IMAGES_NAME, synthetic.LABELS_NAME, _QMNIST_NAME)
        images, labels, wide_labels = (_linked(Path(data, name), folder) for name in names)
    else:
        origin = f"synthetic digits (n={n}) in place of MNIST"
        images, labels = synthetic.write_set(folder, n)
        wide_labels = folder / _QMNIST_NAME
        reference.save(wide_labels, _wide_labels(reference.load_frombuffer(labels)))
    plain = folder / "plain-images-idx3-ubyte"
    plain.write_bytes(gzip.decompress(images.read_bytes()))
    array = reference.load_frombuffer(plain)
    for path in (images, plain):
        np.save(c.npy_twin(path), array)
    return Files(folder, images, labels, wide_labels, plain, origin, big_n)


def _linked(path: Path, folder: Path) -> Path:
    """Link a real file into `folder`, which takes the twins; the data's own stays as it is."""
    link = folder / path.name
    link.symlink_to(path.resolve(strict=True))
    return link


def _wide_labels(labels: Array) -> Array:
    """Imitate QMNIST's columns: label, partition, writer, index, class code, and three more."""
    wide = np.zeros((len(labels), 8), np.int32)
    index = np.arange(len(labels))
    wide[:, 0] = labels
    wide[:, 1] = index % 4
    wide[:, 2] = index // 117 * 7 % 3600
    wide[:, 3] = index * 61 % 500
    wide[:, 4] = 30 + labels
    wide[:, 5] = index * 40503 % 400000
    return wide


# --- the big file -------------------------------------------------------------------------------


def _atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `path` appear when it is complete: another run may look for it meanwhile."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _write_big(path: Path, n: int) -> None:
    with _gzip_writer(path) as file:
        file.write(IdxHeader(0x08, (n, 28, 28)).to_bytes())
        for seed, begin in enumerate(range(0, n, _SET_N)):
            images, _ = synthetic.digits(min(_SET_N, n - begin), seed=seed)
            file.write(images.data)


@contextmanager
def _gzip_writer(path: Path) -> Iterator[BinaryIO]:
    """Compress with the program gzip, as most files were; with zlib where there is none."""
    program = shutil.which("gzip")
    if program is None:
        with gzip.open(path, "wb", compresslevel=6) as member:
            yield cast("BinaryIO", member)
        return
    with path.open("wb") as target:
        command = [program, "-6", "-n", "-c"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=target) as process:
            assert process.stdin is not None
            yield cast("BinaryIO", process.stdin)
        if process.returncode != 0:
            raise OSError(f"{program} ended with status {process.returncode}")
