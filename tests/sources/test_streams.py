"""Sources that cannot seek, as they occur: pipes, sockets, stdin, responses of a server."""

from __future__ import annotations

import gzip
import http.client
import io
import lzma
import os
import re
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from servers.http_server import FaultyServer

import fastidx
from fastidx import SourceChangedError, TruncatedError
from fastidx.reference import dumps

NOISE = np.random.default_rng(5).integers(0, 256, (700, 10, 10), dtype=np.uint8)
PLAIN = dumps(NOISE)
FORMS = {"plain": PLAIN, "gzip": gzip.compress(PLAIN, mtime=0), "xz": lzma.compress(PLAIN)}
EACH_FORM = pytest.mark.parametrize("content", FORMS.values(), ids=FORMS)


def assert_noise(loaded: Any) -> None:
    np.testing.assert_array_equal(loaded, NOISE, strict=True)


# --- Pipes and stdin -----------------------------------------------------------------------------

LOAD_STDIN = """
import sys, fastidx
print(fastidx.info(sys.stdin.buffer) if len(sys.argv) > 1 else fastidx.load(sys.stdin.buffer).sum())
"""


@pytest.mark.skipif(os.name == "nt", reason="no shell with pipes")
@pytest.mark.parametrize("feed", ["cat", "gzip -c", "gzip -cd", "xz -c"])
def test_pipe_into_stdin(feed: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(FORMS["gzip"] if "d" in feed.partition("-")[2] else PLAIN)
    command = f'{feed} <file | "{sys.executable}" -c "$0"'
    done = subprocess.run(
        ["sh", "-c", command, LOAD_STDIN], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == f"{NOISE.sum()}\n", done.stderr


def test_pipe_that_breaks_off_is_truncated(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(FORMS["gzip"][:50_000])
    with (tmp_path / "file").open("rb") as file:
        done = subprocess.run(
            [sys.executable, "-c", LOAD_STDIN], stdin=file, capture_output=True, text=True
        )
    assert done.returncode == 1
    assert re.search(r"TruncatedError: <stdin>: .* of 700 items complete", done.stderr)


@pytest.mark.timeout(20)
def test_header_from_a_pipe_does_not_wait_for_the_rest() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as source, os.fdopen(writing, "wb", buffering=0) as sink:
        sink.write(FORMS["gzip"][:8192])
        assert fastidx.info(source).shape == NOISE.shape


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
@EACH_FORM
def test_named_pipe(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with ThreadPoolExecutor(1) as pool:
        fed = pool.submit(path.write_bytes, content)
        assert_noise(fastidx.load(path))
        fed.result()


def test_text_stdin_is_refused_with_advice() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys, fastidx; fastidx.load(sys.stdin)"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert "TypeError: <stdin>" in done.stderr
    assert "buffer" in done.stderr


# --- Sockets -------------------------------------------------------------------------------------


@contextmanager
def socket_of(content: bytes, step: int = 1000) -> Iterator[socket.socket]:
    """A socket from which the content comes in pieces."""
    ours, theirs = socket.socketpair()

    def feed() -> None:
        with theirs:
            for i in range(0, len(content), step):
                theirs.sendall(content[i : i + step])

    thread = threading.Thread(target=feed, daemon=True)
    thread.start()
    with ours:
        yield ours
    thread.join()


@EACH_FORM
@pytest.mark.parametrize("buffering", [-1, 0])
def test_socket(content: bytes, buffering: int) -> None:
    with socket_of(content) as connection, connection.makefile("rb", buffering=buffering) as file:
        assert_noise(fastidx.load(file))


def test_socket_that_times_out_gives_its_error() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(FORMS["gzip"][:5000])
        ours.settimeout(0.2)
        with ours.makefile("rb") as file, pytest.raises(TimeoutError):
            fastidx.load(file)


# --- Responses of the standard library -----------------------------------------------------------


@EACH_FORM
@pytest.mark.parametrize("length", [True, False])
def test_urllib_response(content: bytes, length: bool, http_server: FaultyServer) -> None:
    url = http_server.serve("file", content, length=length)
    with urllib.request.urlopen(url) as response:
        assert_noise(fastidx.load(response))
    with urllib.request.urlopen(url) as response:
        assert fastidx.info(response).shape == NOISE.shape


@EACH_FORM
@pytest.mark.parametrize("length", [True, False])
def test_urllib_response_that_breaks_off_is_truncated(
    content: bytes, length: bool, http_server: FaultyServer
) -> None:
    url = http_server.serve("file", content, length=length, cut=30_000)
    with urllib.request.urlopen(url) as response, pytest.raises(TruncatedError) as raised:
        fastidx.load(response)
    assert "HTTPResponse" in str(raised.value)
    assert length or isinstance(raised.value.__cause__, http.client.IncompleteRead)


def test_cut_file_that_decompresses_by_itself_is_truncated() -> None:
    for form, opener in (("gzip", gzip.open), ("xz", lzma.open)):
        cut = io.BytesIO(FORMS[form][:-1000])
        with opener(cut) as file, pytest.raises(TruncatedError, match="ends early"):
            fastidx.load(file)


# --- Files that change ---------------------------------------------------------------------------


@EACH_FORM
def test_local_file_that_is_cut_while_it_is_read(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    read = os.preadv

    def read_and_cut(descriptor: int, buffers: list[memoryview], position: int) -> int:
        """Read little, after which another program cuts the file."""
        n = read(descriptor, [buffers[0][:10_000]], position)
        os.truncate(path, 20_000)
        return n

    monkeypatch.setattr(os, "preadv", read_and_cut)
    with pytest.raises(SourceChangedError, match="written to meanwhile"):
        fastidx.load(path)


def test_damaged_local_file_that_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(PLAIN[:-1])
    with pytest.raises(TruncatedError):
        fastidx.load(tmp_path / "file")


def test_named_pipe_that_breaks_off_has_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with ThreadPoolExecutor(1) as pool:
        fed = pool.submit(path.write_bytes, FORMS["gzip"][:-1000])
        with pytest.raises(TruncatedError):
            fastidx.load(path)
        fed.result()
