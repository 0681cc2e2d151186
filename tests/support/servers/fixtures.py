"""The servers as fixtures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastidx import synthetic

from .http_server import FaultyServer
from .stores import S3, Azurite

NAMES = [
    f"{part}-{kind}-ubyte.gz"
    for part in ("train", "t10k")
    for kind in ("images-idx3", "labels-idx1")
]


@pytest.fixture(scope="session")
def mnist_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The four files of MNIST, or small synthetic ones of the same names."""
    folder = Path(os.environ.get("FASTIDX_TEST_DATA") or "missing")
    if not all((folder / name).is_file() for name in NAMES):
        folder = tmp_path_factory.mktemp("mnist")
        for name, path in zip(NAMES[:2], synthetic.write_set(folder, 2000), strict=True):
            for copy in (name, name.replace("train", "t10k")):
                (folder / copy).write_bytes(path.read_bytes())
    return [folder / name for name in NAMES]


@pytest.fixture
def http_server() -> Iterator[FaultyServer]:
    """A server of files that the test names, and of faults that it asks for."""
    server = FaultyServer()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def azurite(mnist_files: list[Path]) -> Iterator[Azurite]:
    """Azure's blobs, with MNIST in the container ``mnist``."""
    server = Azurite(mnist_files)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def s3(mnist_files: list[Path]) -> Iterator[S3]:
    """S3, with MNIST in the bucket ``mnist``."""
    server = S3(mnist_files)
    yield server
    server.stop()
