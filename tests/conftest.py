"""What the tests share: both kernel paths, other processes, real data, and seeds that are told."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from servers.fixtures import azurite, http_server, mnist_files, s3  # noqa: F401 - fixtures
from worker import Worker

import fastidx
from fastidx import _kernel

# A shell has what it starts in the background ignore SIGINT, and the processes that tests start and
# interrupt would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

hypothesis.settings.register_profile("fastidx", deadline=None, print_blob=True, max_examples=100)
hypothesis.settings.register_profile(
    "fastidx-long", deadline=None, print_blob=True, max_examples=3000
)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fastidx"))

# A sanitizer's shadow memory makes measurements and limits of memory meaningless.
SANITIZED = any(name in os.environ.get("LD_PRELOAD", "") for name in ("asan", "tsan"))


@pytest.fixture(scope="session")
def portable() -> Iterator[Worker]:
    """A process in which the kernel uses no CPU-specific code."""
    worker = Worker(FASTIDX_PORTABLE="1")
    yield worker
    worker.close()


@pytest.fixture
def isolated() -> Iterator[Worker]:
    """A fresh process for a test that may crash, hang or change limits."""
    worker = Worker()
    yield worker
    worker.close()


@pytest.fixture(scope="session", params=["fast", "portable"])
def elsewhere(request: pytest.FixtureRequest) -> Iterator[Worker]:
    """Another process on either path, for calls that may crash; it is started again if so."""
    if request.param == "portable":
        yield request.getfixturevalue("portable")
    else:
        worker = Worker()
        yield worker
        worker.close()


@pytest.fixture(scope="session", params=["fast", "portable"])
def call(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """``call(function, ...)`` on either path; a test that uses it runs once on each."""
    if request.param == "portable":
        worker: Worker = request.getfixturevalue("portable")
        return worker
    return lambda function, *args, **kwargs: function(*args, **kwargs)


@pytest.fixture(scope="session")
def inflate(call: Callable[..., Any]) -> Callable[..., bytes]:
    """``fastidx._kernel.inflate`` on either path."""
    return lambda data, **options: call(_kernel.inflate, data, **options)


@pytest.fixture(scope="session")
def load(call: Callable[..., Any]) -> Callable[..., Any]:
    """``fastidx.load`` on either path, for sources that can be sent to another process."""
    return lambda source, **options: call(fastidx.load, source, **options)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real files."""
    folder = os.environ.get("FASTIDX_TEST_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("FASTIDX_TEST_DATA names no folder: real files are not tested")
    return Path(folder)


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers; the seed stands in the output of a failed test and can be set."""
    seed = int(os.environ.get("FASTIDX_TEST_SEED", "20261120"))
    print(f"FASTIDX_TEST_SEED={seed}", file=sys.stderr)
    return np.random.default_rng(seed)
