"""Downloads: verified, once for all processes, resumed; whatever goes wrong is said and cleaned up.

All of it against a real HTTP server on this machine.
"""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets_samples import Sample, register
from servers.dataset_server import PORTAL, Answer, Cut, DatasetServer, Drip, Stall
from worker import Worker

from conftest import SANITIZED
from fastidx import datasets
from fastidx.base import network
from fastidx.datasets import download as download_module
from fastidx.datasets import registry

for package in ("pooch", "requests", "tqdm", "filelock"):
    pytest.importorskip(package)

MNIST = Sample("mnist")
FASHION = Sample("fashion-mnist")
QMNIST = Sample("qmnist")
LETTERS = Sample("emnist-letters")
SAMPLES = (MNIST, FASHION, QMNIST, LETTERS)
NAMES = list(MNIST.files)
IMAGES, LABELS = NAMES[:2]
LOCK = ".fastidx.lock"


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder for data, which does not exist yet."""
    monkeypatch.setenv("FASTIDX_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("FASTIDX_OFFLINE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(network, "PAUSE_S", 0.01)
    for variable in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.upper(), raising=False)
    for sample in SAMPLES:
        monkeypatch.setitem(registry.DATASETS, sample.name, sample.dataset)
    return tmp_path / "data"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[DatasetServer]:
    """The only mirror, with the files of all samples."""
    files = {path: data for sample in SAMPLES for path, data in sample.served().items()}
    with DatasetServer(files) as running:
        monkeypatch.setenv("FASTIDX_MIRROR", running.url)
        yield running


def files_in(folder: Path) -> list[str]:
    """What is there but the lock."""
    return sorted(path.name for path in folder.iterdir() if path.name != LOCK)


def refused(sample: Sample = MNIST, split: str = "train") -> str:
    with pytest.raises(datasets.DownloadError) as info:
        datasets.load(sample.name, split)
    assert isinstance(info.value, OSError)
    return str(info.value)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_download_and_load(sample: Sample, server: DatasetServer, root: Path) -> None:
    for split in datasets.splits(sample.name):
        images, labels = datasets.load(sample.name, split)
        np.testing.assert_array_equal(images, sample.expected(split)[0])
        np.testing.assert_array_equal(labels, sample.expected(split)[1])
    assert server.counts() == dict.fromkeys(sample.served(), 1)
    folder = root / sample.dataset.folder
    assert {name: (folder / name).read_bytes() for name in files_in(folder)} == sample.files


def test_only_what_is_needed(server: DatasetServer, root: Path) -> None:
    datasets.load("mnist", "test")
    assert set(server.counts()) == {f"/mnist/{name}" for name in NAMES[2:]}
    assert datasets.fetch("mnist") == {name: root / "mnist" / name for name in NAMES}
    assert server.counts() == dict.fromkeys(MNIST.served(), 1)


def test_fetch_into_a_folder(server: DatasetServer, tmp_path: Path) -> None:
    found = datasets.fetch("mnist", "test", folder=tmp_path / "a/b")
    assert found == {name: tmp_path / "a/b" / name for name in NAMES[2:]}
    assert files_in(tmp_path / "a/b") == sorted(NAMES[2:])
    assert len(server.requests) == 2


def test_files_can_be_read_by_others(server: DatasetServer, root: Path) -> None:  # noqa: ARG001
    path = datasets.fetch("mnist", "test")[NAMES[2]]
    other = root / "other"
    other.touch()
    assert path.stat().st_mode == other.stat().st_mode


def test_offline_touches_no_network(
    server: DatasetServer, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTIDX_OFFLINE", "1")
    with pytest.raises(datasets.MissingFileError, match="FASTIDX_OFFLINE"):
        datasets.load("mnist")
    assert server.requests == []
    assert not root.exists()


def fetch_elsewhere(**options: Any) -> subprocess.Popen[bytes]:
    """Start a process that fetches MNIST."""
    code = "import test_datasets_download as t; t.register(t.MNIST); t.datasets.fetch('mnist')"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, "-c", code], env=environment, **options)


def test_quiet_where_there_is_no_terminal(server: DatasetServer) -> None:
    process = fetch_elsewhere(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.communicate(timeout=60) == (b"", b"")
    assert len(server.requests) == 4


def test_bar_on_a_terminal(server: DatasetServer) -> None:
    """In a process whose stderr is a pseudo-terminal."""
    pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")
    parent, child = pty.openpty()
    termios.tcsetwinsize(child, (24, 100))
    process = fetch_elsewhere(stdout=subprocess.PIPE, stderr=child)
    assert process.communicate(timeout=60)[0] == b""
    os.close(child)
    shown = os.read(parent, 100_000).decode()
    os.close(parent)
    assert f"{IMAGES}: 100%" in shown and "35.7k" in shown
    assert len(server.requests) == 4


# Mirrors


def test_mirrors_in_order(
    server: DatasetServer, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with DatasetServer({}) as first, DatasetServer(MNIST.served()) as second:
        first.faults[f"/mnist/{LABELS}"] = iter([PORTAL])
        monkeypatch.setenv("FASTIDX_MIRROR", f"{first.url} {second.url}/  {server.url}")
        datasets.load("mnist")
    assert [request.status for request in first.requests] == [404, 200]
    assert len(second.requests) == 2 and server.requests == []
    assert files_in(root / "mnist") == sorted(NAMES[:2])


def test_public_mirrors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FASTIDX_MIRROR", raising=False)
    file = MNIST.dataset.splits["train"].images.file
    urls = download_module.urls_of(MNIST.dataset, file)
    assert urls == [base + IMAGES for base in MNIST.real.mirrors] and len(urls) == 3


def test_nobody_is_there(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with DatasetServer({}) as gone:
        pass
    monkeypatch.setenv("FASTIDX_MIRROR", gone.url)
    message = refused()
    assert f"{gone.url}/mnist/{IMAGES}: sent nothing, 3 times in a row" in message
    assert "Connection refused" in message and "FASTIDX_MIRROR" in message
    assert "object at" not in message
    assert max(map(len, message.splitlines()[:-1])) < 250
    assert str(root / "mnist" / IMAGES) in message
    assert files_in(root / "mnist") == []


def test_mirror_that_is_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTIDX_MIRROR", "s3://bucket")
    assert "No connection adapters" in refused()


# Breaks


def test_goes_on_where_it_broke_off(server: DatasetServer, root: Path) -> None:
    server.faults[f"/mnist/{IMAGES}"] = iter([Cut(10_000), Cut(5_000)])
    datasets.load("mnist")
    ranges = [request.range for request in server.requests if IMAGES in request.path]
    assert ranges == [None, "bytes=10000-", "bytes=15000-"]
    assert (root / "mnist" / IMAGES).read_bytes() == MNIST.files[IMAGES]


def test_begins_anew_where_there_are_no_ranges(server: DatasetServer, root: Path) -> None:
    server.ranges = False
    server.faults[f"/mnist/{IMAGES}"] = iter([Cut(10_000)])
    datasets.load("mnist")
    assert [r.status for r in server.requests if IMAGES in r.path] == [200, 200]
    assert (root / "mnist" / IMAGES).read_bytes() == MNIST.files[IMAGES]


def test_begins_anew_if_the_file_has_changed(server: DatasetServer) -> None:
    """The server's entity tag is another one after the break."""
    path = f"/mnist/{IMAGES}"
    server.files[path] = bytes(len(MNIST.files[IMAGES]))

    def faults() -> Iterator[Cut | None]:
        server.files[path] = b"\x1f\x8b" + bytes(len(MNIST.files[IMAGES]) - 2)
        yield Cut(10_000)
        server.files[path] = MNIST.files[IMAGES]
        yield None

    server.faults[path] = faults()
    datasets.load("mnist")
    assert [(r.range, r.status) for r in server.requests if r.path == path] == [
        (None, 200),
        ("bytes=10000-", 200),
    ]


@pytest.mark.parametrize(
    "answer",
    [
        Answer(b"x", 206, content_range="bytes 5-5/9"),
        Answer(b"x", 206),
        Answer(b"", 416),
        Answer(b"", 503),
        Answer(b"", 429),
    ],
    ids=["other range", "no range", "416", "503", "429"],
)
def test_odd_answers_to_a_range(answer: Answer, server: DatasetServer, root: Path) -> None:
    server.faults[f"/mnist/{IMAGES}"] = iter([Cut(10_000), answer])
    datasets.load("mnist")
    # Where ranges do not work, the last try asks for none.
    last = [request.range for request in server.requests if IMAGES in request.path][-1]
    assert last == (None if answer.status in (206, 416) else "bytes=10000-")
    assert (root / "mnist" / IMAGES).read_bytes() == MNIST.files[IMAGES]


def test_begins_anew_with_a_shorter_answer(server: DatasetServer, root: Path) -> None:
    """Nothing is left of the longer one that broke off."""
    name = "qmnist-test-images-idx3-ubyte.gz"
    server.ranges = False
    server.files[f"/qmnist/{name}"] = b"\x1f\x8b" + bytes(100_000)

    def faults() -> Iterator[Cut | None]:
        yield Cut(90_000)
        server.files[f"/qmnist/{name}"] = QMNIST.files[name]
        yield None

    server.faults[f"/qmnist/{name}"] = faults()
    datasets.load("qmnist", "test")
    assert (root / "qmnist" / name).read_bytes() == QMNIST.files[name]


@pytest.mark.parametrize("ranges", [True, False])
def test_breaks_without_end(ranges: bool, server: DatasetServer, root: Path) -> None:
    server.ranges = ranges
    server.faults[f"/mnist/{IMAGES}"] = itertools.chain([Cut(10_000)], itertools.repeat(Cut(0)))
    message = refused()
    assert "broke off after 10,000 bytes, 3 times in a row" in message
    assert files_in(root / "mnist") == []


def test_many_breaks_with_progress(
    server: DatasetServer, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download_module, "_PROGRESS_NBYTES", 3000)
    server.faults[f"/mnist/{IMAGES}"] = itertools.repeat(Cut(4000))
    datasets.load("mnist")
    assert len([r for r in server.requests if IMAGES in r.path]) == 9
    assert (root / "mnist" / IMAGES).read_bytes() == MNIST.files[IMAGES]


def test_breaks_without_progress(server: DatasetServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Much comes each time, but it is the same each time."""
    monkeypatch.setattr(download_module, "_PROGRESS_NBYTES", 3000)
    server.ranges = False
    server.faults[f"/mnist/{IMAGES}"] = itertools.repeat(Cut(4000))
    assert "broke off after 4,000 bytes" in refused()
    assert len(server.requests) == 4


def test_end_without_a_length(server: DatasetServer, root: Path) -> None:
    """A server that announces no length and hangs up: only the registry knows that it is short."""
    cut = Answer(MNIST.files[IMAGES][:999], content_length=False)
    server.faults[f"/mnist/{IMAGES}"] = itertools.repeat(cut)
    message = refused()
    assert f"sent 999 of {len(MNIST.files[IMAGES]):,} bytes" in message
    assert files_in(root / "mnist") == []


def test_server_that_says_nothing_more(
    server: DatasetServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "SILENCE_S", 0.2)
    server.faults[f"/mnist/{IMAGES}"] = itertools.repeat(Stall(3000, 1))
    assert "timed out" in refused()


def test_mirror_that_sends_too_slowly(
    server: DatasetServer, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mirror never falls silent, so no timeout of the socket notices."""
    monkeypatch.setattr(network, "WINDOW_S", 0.3)
    server.faults[f"/mnist/{IMAGES}"] = itertools.repeat(Drip(0.02))
    assert "bytes in 0 seconds" in refused()
    assert files_in(root / "mnist") == []
    server.faults.clear()
    assert datasets.load("mnist", "train")[0].size  # the folder's lock is free


def test_interruption_leaves_nothing(
    server: DatasetServer, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    server.faults[f"/mnist/{IMAGES}"] = iter([Cut(1000)])
    monkeypatch.setattr("time.sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        datasets.load("mnist")
    assert files_in(root / "mnist") == []


def test_what_a_killed_process_left_is_removed(server: DatasetServer, root: Path) -> None:
    server.faults[f"/mnist/{IMAGES}"] = itertools.repeat(Stall(3000, 20))
    process = fetch_elsewhere()
    incomplete = root / "mnist" / ".incomplete"
    for _ in range(1000):
        if incomplete.is_dir() and any(incomplete.iterdir()):
            break
        threading.Event().wait(0.02)
    process.kill()
    process.wait()
    assert len(list(incomplete.iterdir())) == 1
    server.faults.clear()
    datasets.fetch("mnist")
    assert files_in(root / "mnist") == sorted(NAMES)


# What is not the file


def test_captive_portal(server: DatasetServer, root: Path) -> None:
    server.faults = {path: itertools.repeat(PORTAL) for path in server.files}
    message = refused()
    assert "an HTML page" in message and "captive portal" in message and "log in" in message
    assert files_in(root / "mnist") == []


def test_captive_portal_that_says_so(server: DatasetServer) -> None:
    server.faults[f"/mnist/{IMAGES}"] = iter([Answer(b"", 511)])
    assert "captive portal" in refused()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(b'{"error": "quota"}'), "sends JSON text in place of the file"),
        (Answer(b"Rate limit exceeded"), "sends plain text in place of the file (b'Rate limit"),
        (Answer(b"", 404), "HTTP 404 Not Found"),
        (Answer(b"", 403), "HTTP 403 Forbidden"),
        (Answer(FASHION.files[IMAGES]), "announces 35,6"),
        (Answer(b"\x1f\x8b" * 100), "announces 200 bytes, expected 35,6"),
    ],
    ids=["JSON", "text", "404", "403", "Fashion", "short"],
)
def test_wrong_answers(answer: Answer, said: str, server: DatasetServer, root: Path) -> None:
    server.faults[f"/mnist/{IMAGES}"] = itertools.repeat(answer)
    assert said in refused()
    assert server.counts() == {f"/mnist/{IMAGES}": 1}
    assert files_in(root / "mnist") == []


def test_wrong_file_of_the_right_size(server: DatasetServer, root: Path) -> None:
    wrong = MNIST.files[IMAGES][:-1] + b"\1"
    server.files[f"/mnist/{IMAGES}"] = wrong
    message = refused()
    assert "not the file (35,6" in message and "35,651 bytes, SHA-256" in message
    assert files_in(root / "mnist") == []


def test_wrong_file_that_is_known(server: DatasetServer, root: Path) -> None:
    """Where no size is known, the hash tells."""
    name = "qmnist-test-images-idx3-ubyte.gz"
    server.files[f"/qmnist/{name}"] = MNIST.files[IMAGES]
    assert f"it is MNIST's {IMAGES}" in refused(QMNIST, "test")
    assert files_in(root / "qmnist") == []


def test_file_without_end(server: DatasetServer, root: Path) -> None:
    name = "qmnist-test-images-idx3-ubyte.gz"
    server.files[f"/qmnist/{name}"] = b"\x1f\x8b" + bytes(3 << 20)
    assert "sends more than the 1,095,616 bytes" in refused(QMNIST, "test")
    assert files_in(root / "qmnist") == []


def test_pooch_has_the_last_word(
    server: DatasetServer, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hash is of what is on the disk, not only of what came."""
    real = download_module._Transfer._check

    def damage(transfer: Any) -> None:
        real(transfer)
        for path in (root / "mnist" / ".incomplete").iterdir():
            path.write_bytes(b"damaged on the way to the disk")

    monkeypatch.setattr(download_module._Transfer, "_check", damage)
    assert "does not match the known hash" in refused()
    assert len(server.requests) == 1
    assert files_in(root / "mnist") == []


# What is there already


def test_corrupt_file_is_set_aside(server: DatasetServer, root: Path) -> None:
    datasets.load("mnist")
    (root / "mnist" / IMAGES).write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="it is plain text") as caught:
        images, _ = datasets.load("mnist")
    np.testing.assert_array_equal(images, MNIST.expected("train")[0])
    message = str(caught[0].message)
    assert str(root / "mnist" / IMAGES) in message and "fetched again" in message
    assert f"expected MNIST's {IMAGES} (35,651 bytes, SHA-256" in message
    assert f"set aside as {IMAGES}.corrupt" in message
    assert caught[0].filename == __file__
    assert (root / "mnist" / f"{IMAGES}.corrupt").read_bytes() == b"damaged"
    assert server.counts() == {f"/mnist/{IMAGES}": 2, f"/mnist/{LABELS}": 1}


def test_corrupt_archive_is_noticed_by_its_members(server: DatasetServer, root: Path) -> None:
    """An archive is not hashed each time; the checksums of what is read stand for that."""
    datasets.load("emnist-letters")
    path = root / "emnist" / "gzip.zip"
    data = bytearray(path.read_bytes())
    data[1000] ^= 0xFF
    path.write_bytes(data)
    with pytest.warns(UserWarning, match="set aside as gzip.zip.corrupt"):
        images, _ = datasets.load("emnist-letters")
    np.testing.assert_array_equal(images, LETTERS.expected("train")[0])
    assert server.counts() == {"/emnist/gzip.zip": 2}


def test_files_of_others_are_passed_over(server: DatasetServer, root: Path) -> None:
    root.mkdir()
    for name, data in FASHION.files.items():
        (root / name).write_bytes(data)
    with pytest.warns(UserWarning, match=r"it is Fashion-MNIST's .*; it is passed over"):
        images, _ = datasets.load("mnist")
    np.testing.assert_array_equal(images, MNIST.expected("train")[0])
    for name, data in FASHION.files.items():
        assert (root / name).read_bytes() == data
    assert len(server.requests) == 2


def test_what_is_there_is_not_fetched(server: DatasetServer, root: Path) -> None:
    raw = root / "MNIST/raw"
    raw.mkdir(parents=True)
    (raw / IMAGES).write_bytes(MNIST.files[IMAGES])
    found = datasets.fetch("mnist", "train")
    assert found == {IMAGES: raw / IMAGES, LABELS: root / "mnist" / LABELS}
    assert server.counts() == {f"/mnist/{LABELS}": 1}


# Folders


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount(folder, "size=64k")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder that cannot be written to, not even by root."""
    folder = tmp_path / "fixed"
    folder.mkdir()
    if os.geteuid() != 0:
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)
        return
    mount(folder, "ro,size=64k")
    yield folder
    subprocess.run(["umount", folder], check=True)


def mount(folder: Path, options: str) -> None:
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root can mount a file system")
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {done.stderr.strip()}")


def test_disk_that_is_too_small(server: DatasetServer, small_disk: Path) -> None:
    (small_disk / "filler").write_bytes(bytes(40_000))
    with pytest.raises(datasets.DownloadError, match="room on the disk for 35,651 bytes") as info:
        datasets.load("mnist", root=small_disk)
    assert str(small_disk / "mnist" / IMAGES) in str(info.value)
    assert server.requests == []
    assert files_in(small_disk / "mnist") == []


def test_disk_that_fills_up(server: DatasetServer, small_disk: Path) -> None:
    """The size is not known beforehand, or others write too: the disk is full in the middle."""
    (small_disk / "filler").write_bytes(bytes(40_000))
    with pytest.raises(datasets.DownloadError, match="room on the disk") as info:
        datasets.load("qmnist", root=small_disk)
    cause = info.value.__cause__
    assert isinstance(cause, OSError) and cause.errno == errno.ENOSPC
    assert len(server.requests) == 1
    assert files_in(small_disk / "qmnist") == []


def test_folder_that_cannot_be_written_to(server: DatasetServer, read_only: Path) -> None:
    with pytest.raises(datasets.DownloadError, match="that can be written to") as info:
        datasets.load("mnist", root=read_only)
    assert str(read_only / "mnist") in str(info.value)
    assert "FASTIDX_DATA_DIR" in str(info.value)
    assert server.requests == [] and list(read_only.iterdir()) == []


def test_folder_that_cannot_be_written_to_but_has_the_files(
    server: DatasetServer, tmp_path: Path
) -> None:
    folder = tmp_path / "shared"
    datasets.fetch("mnist", root=folder)
    if os.geteuid() == 0:
        done = subprocess.run(["mount", "--bind", "-o", "ro", folder, folder], capture_output=True)
        if done.returncode:
            pytest.skip(f"cannot mount a folder read-only here: {done.stderr!r}")
    else:
        (folder / "mnist").chmod(0o555)
    try:
        images, _ = datasets.load("mnist", root=folder)
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", folder], check=True)
    np.testing.assert_array_equal(images, MNIST.expected("train")[0])
    assert len(server.requests) == 4


def test_file_in_the_way(server: DatasetServer, root: Path) -> None:
    root.write_bytes(b"not a folder")
    assert str(root / "mnist") in refused()
    assert server.requests == []


# Several at once


def load_in_worker(name: str) -> int:
    """Load a sample in another process, and return the sum of its images."""
    register(*SAMPLES)
    return int(datasets.load(name)[0].sum())


def _together(functions: list[Any]) -> list[Any]:
    """Call all at the same moment, each in a thread."""
    barrier = threading.Barrier(len(functions))
    results: list[Any] = [None] * len(functions)

    def run(number: int) -> None:
        barrier.wait()
        try:
            results[number] = functions[number]()
        except BaseException as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.skipif(SANITIZED, reason="eight sanitized processes take too long")
def test_eight_processes_download_once(server: DatasetServer, root: Path) -> None:
    server.delay = 0.05
    workers = [Worker() for _ in range(8)]
    try:
        for worker in workers:
            worker(register)  # import everything first
        results = _together([lambda w=w: w(load_in_worker, "mnist") for w in workers])
    finally:
        for worker in workers:
            worker.close()
    assert results == [int(MNIST.expected("train")[0].sum())] * 8
    assert server.counts() == {f"/mnist/{name}": 1 for name in NAMES[:2]}
    assert files_in(root / "mnist") == sorted(NAMES[:2])


def test_eight_threads_download_once(server: DatasetServer, root: Path) -> None:
    server.delay = 0.02
    results = _together([lambda: datasets.fetch("mnist")] * 8)
    assert results == [{name: root / "mnist" / name for name in NAMES}] * 8
    assert server.counts() == dict.fromkeys(MNIST.served(), 1)


def test_processes_that_find_the_same_corrupt_file(server: DatasetServer, root: Path) -> None:
    datasets.fetch("mnist", "train")
    (root / "mnist" / IMAGES).write_bytes(b"damaged")
    server.delay = 0.05
    workers = [Worker(PYTHONWARNINGS="ignore") for _ in range(3)]
    try:
        results = _together([lambda w=w: w(load_quietly, "mnist") for w in workers])
    finally:
        for worker in workers:
            worker.close()
    assert results == [int(MNIST.expected("train")[0].sum())] * 3
    assert server.counts() == {f"/mnist/{IMAGES}": 2, f"/mnist/{LABELS}": 1}


def load_quietly(name: str) -> int:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load_in_worker(name)


# Packages


@pytest.mark.parametrize("package", ["pooch", "requests", "tqdm", "filelock"])
def test_missing_package(
    package: str, server: DatasetServer, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf'{package}.*pip install "fastidx\[datasets\]"'):
        datasets.load("mnist")
    assert server.requests == [] and not root.exists()


def test_what_is_here_needs_no_package(
    server: DatasetServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets.fetch("mnist")
    for package in ("pooch", "requests", "tqdm", "filelock"):
        monkeypatch.setitem(sys.modules, package, None)
    datasets.load("mnist")
    assert len(server.requests) == 4


def test_real_files_end_to_end(data_dir: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.DATASETS, "mnist", MNIST.real)
    files = {f"/mnist/{name}": (data_dir / name).read_bytes() for name in NAMES}
    with DatasetServer(files) as real:
        real.faults[f"/mnist/{IMAGES}"] = iter([Cut(5_000_000)])
        monkeypatch.setenv("FASTIDX_MIRROR", real.url)
        (x, y), (u, v) = datasets.load("mnist", ("train", "test"))
    assert (x.shape, y.shape, u.shape, v.shape) == (
        *((60000, 28, 28), (60000,), (10000, 28, 28), (10000,)),
    )
    assert real.counts() == {f"/mnist/{name}": 2 if name == IMAGES else 1 for name in NAMES}
    assert files_in(root / "mnist") == sorted(NAMES)
