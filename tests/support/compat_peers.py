"""The packages that the drop-in modules replace, as published, to compare them with."""

from __future__ import annotations

import base64
import functools
import hashlib
import importlib.metadata
import importlib.util
import io
import subprocess
import sys
import tarfile
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import fastidx

Outcome = tuple[Any, BaseException | None]


def peer(distribution: str, file: str) -> ModuleType:
    """Load a module of a package by its file, or skip the test.

    By its file, because both mnist and python-mnist install a package called mnist: one of them
    overwrites a file of the other. The one that is gone is installed into a folder of its own.
    """
    try:
        path = _installed(distribution, file)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{distribution} is not installed: there is nothing to compare with")
    return _module(path)


@functools.cache
def sdist(requirement: str) -> Path:
    """Download and unpack a source distribution, or skip the test."""
    folder = Path(tempfile.mkdtemp(prefix="fastidx-sdist-"))
    options = ["--no-deps", "--no-binary", ":all:", "--quiet", "--dest", str(folder)]
    if _pip("download", *options, requirement).returncode:
        pytest.skip(f"the source distribution of {requirement} cannot be downloaded")
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    (unpacked,) = (path for path in folder.iterdir() if path.is_dir())
    return unpacked


def outcome(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Outcome:
    """What a call returns, or raises."""
    try:
        return function(*args, **kwargs), None
    except Exception as error:
        return None, error


def assert_same(ours: Outcome, theirs: Outcome, **types: type[BaseException]) -> None:
    """Results are equal, or ours is an error of the type of theirs.

    ``types`` gives for the name of a type of theirs the one that replaces it.
    """
    (result, error), (expected, expected_error) = ours, theirs
    if expected_error is not None:
        assert error is not None, f"theirs raises {expected_error!r}, ours returns {result!r}"
        kind = types.get(type(expected_error).__name__, type(expected_error))
        assert isinstance(error, kind), f"theirs raises {expected_error!r}, ours {error!r}"
        return
    if error is not None:
        raise error
    assert_equal(result, expected)


def assert_equal(result: Any, expected: Any) -> None:
    """Equal in type, element type, shape and value, to any depth."""
    assert type(result) is type(expected)
    if isinstance(expected, np.ndarray):
        assert result.dtype == expected.dtype
        np.testing.assert_array_equal(result, expected, strict=True)
    elif isinstance(expected, tuple):
        assert len(result) == len(expected)
        for one, other in zip(result, expected, strict=True):
            assert_equal(one, other)
    else:
        assert result == expected


def idx_bytes(array: Any) -> bytes:
    """The plain IDX file of an array."""
    file = io.BytesIO()
    fastidx.save(file, array)
    return file.getvalue()


@functools.cache
def _installed(distribution: str, file: str) -> Path:
    package = importlib.metadata.distribution(distribution)
    (entry,) = (entry for entry in package.files or () if str(entry) == file)
    path = Path(str(entry.locate()))
    digest = base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).decode()
    if entry.hash is None or digest.rstrip("=") == entry.hash.value:
        return path
    folder = tempfile.mkdtemp(prefix="fastidx-peer-")
    options = ["--no-deps", "--quiet", "--target", folder]
    if _pip("install", *options, f"{distribution}=={package.version}").returncode:
        pytest.skip(f"{path} is another package's: install {distribution} last to compare with it")
    return Path(folder, file)


@functools.cache
def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"peer_{path.parent.name}_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # for its relative imports
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of syntax that newer Pythons warn of
        spec.loader.exec_module(module)
    return module


def _pip(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "pip", *arguments], capture_output=True)
