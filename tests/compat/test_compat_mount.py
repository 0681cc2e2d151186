"""FileDataset.mount: a real mount, what it serves, and that it is gone whatever happens."""

from __future__ import annotations

import errno
import gzip
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets_samples import REAL, Sample

import fastidx
from fastidx.compat.opendatasets import MNIST, MountError, load_data
from fastidx.compat.opendatasets import mount as mounting
from fastidx.compat.opendatasets.server import Files
from fastidx.datasets import registry

SAMPLE = Sample("mnist")
NAMES = sorted(SAMPLE.files)
IMAGES = "train-images-idx3-ubyte"
NPY_HEADER = 128


@pytest.fixture(autouse=True)
def files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Have a sample of MNIST on this machine, and no network."""
    monkeypatch.setitem(registry.DATASETS, "mnist", SAMPLE.dataset)
    monkeypatch.setenv("FASTIDX_OFFLINE", "1")
    monkeypatch.setenv("FASTIDX_DATA_DIR", str(tmp_path / "cache"))
    (tmp_path / "cache" / "mnist").mkdir(parents=True)
    for name, data in SAMPLE.files.items():
        (tmp_path / "cache" / "mnist" / name).write_bytes(data)


@pytest.fixture
def fuse() -> None:
    """Skip where nothing can be mounted."""
    try:
        mounting._check_system()
    except (ImportError, MountError) as error:
        pytest.skip(f"FUSE is not here: {error}")


@pytest.fixture
def folder(tmp_path: Path, fuse: None) -> Iterator[Path]:  # noqa: ARG001
    """Offer a folder to mount on, and leave nothing mounted there, whatever fails."""
    path = tmp_path / "mounted"
    yield path
    mounting.unmount(path)


def is_mounted(path: Path) -> bool:
    mounts = Path("/proc/self/mounts").read_text()
    return any(line.split()[1] == str(path) for line in mounts.splitlines())


def wait_until_gone(path: Path) -> None:
    deadline = time.monotonic() + 20
    while is_mounted(path):
        assert time.monotonic() < deadline, f"{path} is still mounted"
        time.sleep(0.02)


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def array_of(name: str) -> Any:
    parts = {part.stem: array for part, array in SAMPLE.arrays.items()}
    return parts[name]


def test_what_is_served(folder: Path) -> None:
    stems = [name.removesuffix(".gz") for name in NAMES]
    with MNIST.get_file_dataset().mount(folder) as context:
        assert context.mount_point == str(folder) and is_mounted(folder)
        assert listed(folder) == sorted([*NAMES, *(f"{stem}.npy" for stem in stems)])
        for stem in stems:
            assert (folder / f"{stem}.gz").read_bytes() == SAMPLE.files[f"{stem}.gz"]
            array = np.load(folder / f"{stem}.npy")
            np.testing.assert_array_equal(array, array_of(stem), strict=True)
            whole = NPY_HEADER + array.nbytes
            assert (folder / f"{stem}.npy").stat().st_size == whole
        train = load_data(folder / f"{IMAGES}.gz")
        np.testing.assert_array_equal(train, array_of(IMAGES).reshape(60, 784))
    assert not is_mounted(folder) and list(folder.iterdir()) == []


def test_random_access(folder: Path) -> None:
    array = array_of(IMAGES)
    data = bytes(NPY_HEADER) + array.tobytes()
    with MNIST.get_file_dataset("train").mount(folder):
        assert len(listed(folder)) == 4
        descriptor = os.open(folder / f"{IMAGES}.npy", os.O_RDONLY)
        for offset in (40_000, 128, 46_999, 129, 47_167, 47_168, 60_000, 200):
            for nbytes in (1, 784, 10_000):
                expected = data[offset : offset + nbytes]
                assert os.pread(descriptor, nbytes, offset) == expected
        assert os.pread(descriptor, 6, 0) == b"\x93NUMPY"
        os.close(descriptor)


def test_memory_mapped(folder: Path) -> None:
    """Reading such memory holds the interpreter's lock while the server has to answer."""
    with MNIST.get_file_dataset().mount(folder):
        mapped = np.load(folder / f"{IMAGES}.npy", mmap_mode="r")
        assert mapped[59].tolist() == array_of(IMAGES)[59].tolist()
        assert mapped.tobytes() == array_of(IMAGES).tobytes()


def test_what_is_open_stays_readable(folder: Path) -> None:
    with MNIST.get_file_dataset().mount(folder):
        file = (folder / f"{IMAGES}.npy").open("rb")
    with file:
        assert not is_mounted(folder)
        np.testing.assert_array_equal(np.load(file), array_of(IMAGES))


def test_server_ends_when_nothing_is_open_any_more(folder: Path) -> None:
    with MNIST.get_file_dataset().mount(folder) as context:
        server = context._server
        file = (folder / f"{IMAGES}.npy").open("rb")
    assert server is not None and server.poll() is None
    file.close()
    assert server.wait(timeout=20) == 0


def test_read_only(folder: Path) -> None:
    with MNIST.get_file_dataset().mount(folder):
        for action in (
            lambda: (folder / NAMES[0]).write_bytes(b""),
            lambda: (folder / "new").write_bytes(b""),
            (folder / NAMES[0]).unlink,
            lambda: (folder / NAMES[0]).rename(folder / "other"),
            (folder / "sub").mkdir,
        ):
            with pytest.raises(OSError) as info:  # noqa: PT011
                action()
            assert info.value.errno == errno.EROFS
        assert not os.access(folder / NAMES[0], os.W_OK)
        with pytest.raises(FileNotFoundError):
            (folder / "other").stat()


def test_temporary_folder(fuse: None) -> None:  # noqa: ARG001
    context = MNIST.get_file_dataset().mount()
    with context:
        folder = Path(context.mount_point)
        assert is_mounted(folder)
    assert not folder.exists()


def test_start_and_stop(folder: Path) -> None:
    context = MNIST.get_file_dataset().mount(str(folder))
    for _ in range(2):
        context.start()
        assert is_mounted(folder)
        with pytest.raises(MountError, match="is mounted already"):
            context.start()
        assert is_mounted(folder)
        context.stop()
        assert not is_mounted(folder)
        context.stop()


def test_server_ends(folder: Path) -> None:
    context = MNIST.get_file_dataset().mount(folder)
    with context:
        assert context._server is not None
        server = context._server
        scratch = context._scratch
        assert scratch is not None and scratch.is_dir()
    assert server.wait(timeout=20) == 0
    assert not scratch.exists()


def test_error_inside(folder: Path) -> None:
    with pytest.raises(ZeroDivisionError), MNIST.get_file_dataset().mount(folder):
        1 / 0  # noqa: B018
    assert not is_mounted(folder)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_program_that_is_killed(folder: Path, number: signal.Signals) -> None:
    program = (
        "import sys, time; sys.path[:0] = sys.argv[2:]; "
        "import datasets_samples as s; s.register(s.Sample('mnist')); "
        "from fastidx.compat.opendatasets import MNIST; "
        "MNIST.get_file_dataset().mount(sys.argv[1]).start(); "
        "print('mounted', flush=True); time.sleep(60)"
    )
    command = [
        sys.executable,
        "-c",
        program,
        str(folder),
        str(Path(__file__).parents[1] / "support"),
    ]
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **options) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"mounted\n"
        assert is_mounted(folder)
        process.send_signal(number)
    wait_until_gone(folder)


def test_server_that_is_killed(folder: Path) -> None:
    context = MNIST.get_file_dataset().mount(folder)
    with context:
        assert context._server is not None
        context._server.kill()
        context._server.wait()
        with pytest.raises(OSError, match="not connected"):
            listed(folder)
    assert not is_mounted(folder)


def test_leftover_of_a_killed_server(folder: Path) -> None:
    context = MNIST.get_file_dataset().mount(folder)
    context.start()
    assert context._server is not None
    context._server.kill()
    context._server.wait()
    with MNIST.get_file_dataset().mount(folder):
        assert len(listed(folder)) == 8
    context.stop()
    assert not is_mounted(folder)


def test_forked_process_reads(folder: Path) -> None:
    with MNIST.get_file_dataset().mount(folder):
        command = ["cat", str(folder / NAMES[0])]
        result = subprocess.run(command, capture_output=True, check=True)
        assert result.stdout == SAMPLE.files[NAMES[0]]
        assert is_mounted(folder)


def test_folder_in_use(folder: Path) -> None:
    folder.mkdir()
    (folder / "file").write_text("mine")
    with pytest.raises(MountError, match="expected an empty folder") as info:
        MNIST.get_file_dataset().mount(folder).start()
    assert info.value.filename == str(folder) and not is_mounted(folder)
    (folder / "file").unlink()
    with (
        MNIST.get_file_dataset().mount(folder),
        pytest.raises(MountError, match="expected an empty folder"),
    ):
        MNIST.get_file_dataset("test").mount(folder).start()
    assert not is_mounted(folder)


def test_files_that_were_unpacked(folder: Path, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "cache" / "mnist").mkdir(parents=True)
    for name in NAMES:
        plain = tmp_path / "cache" / "mnist" / name.removesuffix(".gz")
        plain.write_bytes(SAMPLE.plain(name))
    with MNIST.get_file_dataset().mount(folder):
        for name in NAMES:
            assert gzip.decompress((folder / name).read_bytes()) == SAMPLE.plain(name)


def test_real_files(folder: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not all((data_dir / name).is_file() for name in NAMES):
        pytest.skip("FASTIDX_TEST_DATA holds no MNIST")
    monkeypatch.setitem(registry.DATASETS, "mnist", REAL["mnist"])
    monkeypatch.setenv("FASTIDX_DATA_DIR", str(data_dir))
    with MNIST.get_file_dataset().mount(folder):
        mapped = np.load(folder / f"{IMAGES}.npy", mmap_mode="r")
        expected = fastidx.load(data_dir / f"{IMAGES}.gz")
        np.testing.assert_array_equal(mapped[59_000:], expected[59_000:])
        np.testing.assert_array_equal(fastidx.load(folder / f"{IMAGES}.gz"), expected)
        np.testing.assert_array_equal(mapped, expected)


def test_missing_files_are_said_before_anything_is_mounted(folder: Path, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(FileNotFoundError, match="FASTIDX_OFFLINE is set"):
        MNIST.get_file_dataset().mount(folder).start()
    assert not is_mounted(folder)


def test_without_mfusepy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ImportError, match=r'mfusepy.*pip install "fastidx\[mount\]".*apt install'):
        MNIST.get_file_dataset().mount(tmp_path / "m").start()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("which", lambda _: None, "found no fusermount3; install it with: apt install fuse3"),
        ("exists", lambda _: False, "needs the device /dev/fuse, .*--device /dev/fuse"),
    ],
)
def test_without_fuse(
    name: str, value: Any, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: "found")
    monkeypatch.setattr(shutil, "which", lambda _: "/bin/true")
    monkeypatch.setattr(shutil if name == "which" else Path, name, value)
    with pytest.raises(MountError, match=message):
        MNIST.get_file_dataset().mount(tmp_path / "m").start()
    assert not (tmp_path / "m").is_dir()


def test_without_libfuse(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSE_LIBRARY_PATH", "/nowhere/libfuse.so.2")
    with pytest.raises(MountError, match=r"libfuse is missing .*apt install fuse3 libfuse2"):
        MNIST.get_file_dataset().mount(folder).start()
    assert not is_mounted(folder)


def test_on_another_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(MountError, match=r"works on Linux only, this is win32; use download\(\)"):
        MNIST.get_file_dataset().mount("m").start()


def test_operations(tmp_path: Path) -> None:
    """The same without a mount, for systems that have none."""
    sources = {name: str(tmp_path / "cache" / "mnist" / name) for name in NAMES}
    served = Files(sources)
    assert set(served.readdir("/", 0)) >= {".", "..", *NAMES, f"{IMAGES}.npy"}
    size = served.getattr(f"/{IMAGES}.npy")["st_size"]
    data = served.read(f"/{IMAGES}.npy", size + 10, 0, 0)
    assert len(data) == size and data[NPY_HEADER:] == array_of(IMAGES).tobytes()
    assert served.read(f"/{IMAGES}.npy", 10, 125, 0) == data[125:135]
    assert served.read(f"/{IMAGES}.npy", 10, size, 0) == b""
    assert served.read(f"/{IMAGES}.gz", 9, 5, 0) == SAMPLE.files[f"{IMAGES}.gz"][5:14]
    assert served.open(f"/{IMAGES}.npy", os.O_RDONLY) == 0
    with pytest.raises(OSError, match="Read-only"):
        served.open(f"/{IMAGES}.npy", os.O_RDWR)
    with pytest.raises(FileNotFoundError):
        served.getattr("/other")
    served.destroy("/")
