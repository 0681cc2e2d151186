"""Saving: the right bytes, the same bytes, and all of them or none."""

from __future__ import annotations

import errno
import gzip
import io
import os
import stat
import struct
import subprocess
import sys
import threading
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastidx import reference
from fastidx.errors import HeaderError, UnsupportedDTypeError
from fastidx.writing import save as writer
from fastidx.writing.save import save

Array = np.ndarray[Any, Any]

POSIX = pytest.mark.skipif(os.name != "posix", reason="POSIX permissions and file types")
OLD = b"the old file"
MIB = 1 << 20


def saved(array: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    save(file, array, **options)
    return file.getvalue()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Path]:
    """Give a file that must stay as it is, alone in its folder, whatever happens."""
    path = tmp_path / "old.gz"
    path.write_bytes(OLD)
    yield path
    assert path.read_bytes() == OLD
    assert names(tmp_path) == ["old.gz"]


# Bytes


@st.composite
def arrays(draw: st.DrawFn) -> Array:
    """Draw arrays of each type, shape and byte order, contiguous or not, down to no dimension."""
    kind = draw(st.sampled_from(["u1", "i1", "i2", "i4", "f4", "f8"]))
    dtype = np.dtype(draw(st.sampled_from("<>")) + kind)
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=5)))
    nbytes = dtype.itemsize * int(np.prod(shape, dtype=int))
    array = np.frombuffer(draw(st.binary(min_size=nbytes, max_size=nbytes)), dtype).reshape(shape)
    if array.ndim:
        axis = draw(st.integers(0, array.ndim - 1))
        array = np.flip(array, axis) if draw(st.booleans()) else np.repeat(array, 2, axis)[::2]
    return array.T if draw(st.booleans()) else array


@given(arrays(), st.sampled_from([None, "gzip"]), st.integers(1, 40))
def test_bytes_are_those_of_the_reference(array: Array, compression: Any, nbytes: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "_SLICE_NBYTES", max(nbytes, array.itemsize))
        data = saved(array, compression=compression)
    assert (gzip.decompress(data) if compression else data) == reference.dumps(array)


def test_layout_is_as_written_out() -> None:
    array = np.array([[1, -2], [3, -4]], dtype="<i2")
    assert saved(array).hex(" ", -2) == "0000 0b02 0000 0002 0000 0002 0001 fffe 0003 fffc"
    assert saved(array.T).hex(" ", -2).endswith("0001 0003 fffe fffc")
    assert saved(np.array(-1, dtype="<i4")).hex(" ", 4) == "00000c00 ffffffff"
    assert saved(np.empty((2, 0), np.uint8)).hex(" ", 4) == "00000802 00000002 00000000"


@pytest.mark.parametrize(
    "array",
    [
        np.arange(3 * MIB, dtype="u1"),
        np.arange(MIB + 1, dtype="<f4").reshape(-1, 1),
        np.arange(600 * 700, dtype="<f8").reshape(600, 700).T,
        np.arange(2 * MIB, dtype=">i4")[::-3],
        np.broadcast_to(np.float32(1.5), (1000, 700)),
    ],
    ids=["u1", "f4", "transposed", "strided", "broadcast"],
)
def test_arrays_of_several_slices(array: Array) -> None:
    assert saved(array) == reference.dumps(array)


def test_as_many_dimensions_as_numpy_holds() -> None:
    array = np.arange(4, dtype="<i2").reshape((2,) + (1,) * 62 + (2,))
    assert saved(array) == reference.dumps(array)
    assert reference.load(saved(array)).ndim == 64


def test_anything_that_asarray_takes() -> None:
    class Wrapper:
        def __array__(self, dtype: object = None, copy: object = None) -> Array:
            return np.array([1, 2], dtype="u1")

    assert saved(Wrapper()) == reference.dumps(np.array([1, 2], dtype="u1"))
    assert saved([[0.5], [1.5]]) == reference.dumps(np.array([[0.5], [1.5]]))
    assert saved(memoryview(b"\1\2")) == reference.dumps(np.array([1, 2], dtype="u1"))
    assert saved(np.float32(2)) == reference.dumps(np.array(2, dtype="f4"))


def test_array_is_neither_changed_nor_kept() -> None:
    array = np.arange(10, dtype="<i4")
    array.setflags(write=False)
    before = sys.getrefcount(array)
    saved(array, compression="gzip")
    assert array.tolist() == list(range(10))
    assert sys.getrefcount(array) == before


# Compression


@pytest.mark.parametrize(
    ("name", "compression", "gzipped"),
    [
        ("a.idx", "infer", False),
        ("a.idx.gz", "infer", True),
        ("A.GZ", "infer", True),
        ("agz", "infer", False),
        ("a.gz", None, False),
        ("a.idx", "gzip", True),
    ],
)
def test_compression_follows_option_and_name(
    tmp_path: Path, name: str, compression: Any, gzipped: bool
) -> None:
    array = np.arange(100, dtype="u1")
    save(tmp_path / name, array, compression=compression)
    content = (tmp_path / name).read_bytes()
    assert content.startswith(b"\x1f\x8b") == gzipped
    assert (gzip.decompress(content) if gzipped else content) == reference.dumps(array)


def test_file_objects_are_plain_unless_told_otherwise(tmp_path: Path) -> None:
    array = np.arange(100, dtype="u1")
    # A GzipFile has a name in .gz: gzipping for it would gzip twice.
    with gzip.open(tmp_path / "a.gz", "wb") as file:
        save(file, array)
        assert not file.closed
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()) == reference.dumps(array)
    assert gzip.decompress(saved(array, compression="gzip")) == reference.dumps(array)


def test_gzip_header_says_nothing_of_where_and_when() -> None:
    # Magic, CM 8, FLG 0, MTIME 0; XFL 4 for the fastest and 2 for the smallest; OS unknown.
    for level, extra in [(0, 0), (1, 4), (5, 0), (6, 0), (9, 2)]:
        content = saved(np.zeros(99, "u1"), compression="gzip", level=level)
        assert content[:10] == bytes([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, extra, 255])


def test_level_reaches_zlib() -> None:
    array = np.random.default_rng(0).integers(0, 4, 50_000).astype("u1")
    data = reference.dumps(array)
    for level in range(10):
        content = saved(array, compression="gzip", level=level)
        assert gzip.decompress(content) == data
        compressor = zlib.compressobj(level, zlib.DEFLATED, -15)
        assert content[10:-8] == compressor.compress(data) + compressor.flush()
    assert content[-8:] == struct.pack("<II", zlib.crc32(data), len(data))


def test_gzip_bytes_are_reproducible_across_names_times_and_layouts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = np.arange(3 * MIB // 4, dtype="<i4").reshape(3, -1)
    save(tmp_path / "one.gz", array)
    monkeypatch.setattr("time.time", lambda: 4e9)
    save(tmp_path / "two.gz", np.asfortranarray(array.astype(">i4")))
    assert (tmp_path / "one.gz").read_bytes() == (tmp_path / "two.gz").read_bytes()
    assert (tmp_path / "one.gz").read_bytes() == saved(array, compression="gzip")


# Refusals


@pytest.mark.parametrize("level", [-1, 10])
def test_level_out_of_range_is_refused_even_where_it_is_not_used(old: Path, level: int) -> None:
    with pytest.raises(ValueError, match=f"level: expected an integer from 0 to 9, found {level}"):
        save(old, np.zeros(3, "u1"), compression=None, level=level)


def test_other_misuse_is_refused(old: Path) -> None:
    with pytest.raises(ValueError, match=r"'infer', 'gzip', 'bgzf' or None \(plain\), found 'xz'"):
        save(old, np.zeros(3, "u1"), compression="xz")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="float"):
        save(old, np.zeros(3, "u1"), level=6.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"path or a binary file object.*found ndarray"):
        save(np.zeros(3, "u1"), str(old))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="found bytes"):
        save(os.fsencode(old), np.zeros(3, "u1"))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="str"):
        save(io.StringIO(), np.zeros(3, "u1"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("array", "advice"),
    [
        (np.zeros(3, "u2"), "int32"),
        ([1, 2, 3], "int32"),
        ([True], "uint8"),
        (np.zeros(3, "u4"), "float64"),
        ("text", "no type of IDX"),
    ],
)
def test_unsupported_type_names_file_and_nearest_type(old: Path, array: Any, advice: str) -> None:
    with pytest.raises(UnsupportedDTypeError) as caught:
        save(old, array)
    assert str(caught.value).startswith(f"{old}: expected an array of a type that IDX has")
    assert advice in str(caught.value).split(";")[1]


def test_file_object_is_named_and_untouched_by_a_refusal(tmp_path: Path) -> None:
    with (tmp_path / "x.idx").open("wb") as file:
        with pytest.raises(UnsupportedDTypeError, match=r"x\.idx: expected"):
            save(file, [1j])
        assert file.tell() == 0
    with pytest.raises(UnsupportedDTypeError, match="<file object>: expected"):
        saved([1j])


def test_dimension_of_33_bits_is_refused(old: Path) -> None:
    with pytest.raises(HeaderError, match="found 4,294,967,296"):
        save(old, np.broadcast_to(np.uint8(0), (2**32, 1)))


# File objects


class Raw(io.RawIOBase):
    """An unbuffered file that takes at most ``most`` bytes at a time."""

    def __init__(self, most: int) -> None:
        self.most, self.content = most, bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.content += bytes(data)[: self.most]
        return min(self.most, len(data))


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_partial_writes_are_completed(compression: Any) -> None:
    array = np.arange(1000, dtype="<i4")
    file = Raw(7)
    save(file, array, compression=compression)
    assert bytes(file.content) == saved(array, compression=compression)


def test_a_file_that_takes_nothing_is_an_error_not_a_hang() -> None:
    with pytest.raises(OSError, match="accepted none of 8 bytes"):
        save(Raw(0), np.zeros(3, "u1"))


def test_write_may_return_nothing() -> None:
    class Parts(list[bytes]):
        def write(self, data: bytes) -> None:
            self.append(data)

    parts = Parts()
    save(parts, np.arange(3 * MIB, dtype="u1"))
    assert b"".join(parts) == reference.dumps(np.arange(3 * MIB, dtype="u1"))
    assert max(map(len, parts)) <= MIB


def test_file_object_is_written_from_its_position_and_left_open(tmp_path: Path) -> None:
    array = np.arange(5, dtype="u1")
    with (tmp_path / "two").open("w+b") as file:
        file.write(b"before")
        save(file, array)
        file.write(b"after")
    assert (tmp_path / "two").read_bytes() == b"before" + reference.dumps(array) + b"after"


# Replacement


@pytest.mark.parametrize("kind", [str, Path])
def test_existing_file_is_replaced(tmp_path: Path, kind: type) -> None:
    path = tmp_path / "a.idx"
    path.write_bytes(bytes(1000))
    save(kind(path), np.zeros(3, "u1"))
    assert path.read_bytes() == reference.dumps(np.zeros(3, "u1"))
    assert names(tmp_path) == ["a.idx"]


def test_relative_and_long_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    longest = "n" * 252 + ".gz"
    save(longest, np.zeros(3, "u1"))
    save("a", np.zeros(3, "u1"))
    assert names(tmp_path) == ["a", longest]


def test_a_reader_of_the_old_file_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "a.idx"
    save(path, np.arange(3 * MIB, dtype="u1"))
    mapped = np.memmap(path, "u1", "r", offset=8)
    if os.name == "nt":
        pytest.skip("Windows does not replace a file that is mapped")
    save(path, mapped[::-1])
    assert np.array_equal(reference.load_frombuffer(path), np.arange(3 * MIB, dtype="u1")[::-1])
    assert np.array_equal(mapped, np.arange(3 * MIB, dtype="u1"))


@POSIX
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o755])
def test_mode_of_the_old_file_is_kept(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a.idx"
    path.write_bytes(OLD)
    path.chmod(mode)
    save(path, np.zeros(3, "u1"))
    assert stat.S_IMODE(path.stat().st_mode) == mode


@POSIX
@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_mode_of_a_new_file_follows_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        save(tmp_path / "a.idx", np.zeros(3, "u1"))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.idx").stat().st_mode) == 0o666 & ~umask


@POSIX
def test_mode_holds_while_the_file_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "secret.idx"
    path.write_bytes(OLD)
    path.chmod(0o600)
    modes = []
    monkeypatch.setattr(os, "fsync", lambda fd: modes.append(stat.S_IMODE(os.fstat(fd).st_mode)))
    save(path, np.zeros(3, "u1"))
    assert modes == [0o600]


@POSIX
def test_symbolic_link_is_followed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    link, loose = tmp_path / "link.idx", tmp_path / "loose.idx"
    (folder / "file").write_bytes(OLD)
    link.symlink_to(Path("folder", "file"))
    loose.symlink_to(Path("folder", "new"))
    for path, target in ((link, folder / "file"), (loose, folder / "new")):
        save(path, np.zeros(3, "u1"))
        assert path.is_symlink()
        assert target.read_bytes() == reference.dumps(np.zeros(3, "u1"))
    assert names(folder) == ["file", "new"]


@POSIX
def test_loop_of_links_is_an_error_and_stays(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    with pytest.raises(OSError, match="loop") as caught:
        save(loop, np.zeros(3, "u1"))
    assert caught.value.errno == errno.ELOOP
    assert loop.is_symlink()


@POSIX
def test_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()), daemon=True)
    reader.start()
    save(pipe, np.arange(MIB, dtype="u1"))
    reader.join(10)
    assert received == [reference.dumps(np.arange(MIB, dtype="u1"))]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@POSIX
def test_device_is_written_to_and_not_replaced() -> None:
    save(os.devnull, np.zeros(3, "u1"))
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


# Failures


def fail_in_zlib(patch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(*_: object) -> None:
        raise error

    patch.setattr(zlib, "crc32", fail)


def fail_in_fsync(patch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(_: int) -> None:
        raise error

    patch.setattr(os, "fsync", fail)


def fail_in_replace(patch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(*_: object) -> None:
        raise error

    patch.setattr(os, "replace", fail)


@pytest.mark.parametrize("error", [OSError(5, "broken"), KeyboardInterrupt(), MemoryError()])
@pytest.mark.parametrize("fail", [fail_in_zlib, fail_in_fsync, fail_in_replace])
def test_failure_at_any_stage_leaves_the_old_file_alone(
    old: Path, monkeypatch: pytest.MonkeyPatch, fail: Any, error: BaseException
) -> None:
    fail(monkeypatch, error)
    with pytest.raises(type(error)) as caught:
        save(old, np.arange(100, dtype="u1"))
    monkeypatch.undo()
    assert caught.value is error


@pytest.mark.parametrize("fail", [fail_in_zlib, fail_in_fsync, fail_in_replace])
def test_failure_leaves_no_new_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fail: Any
) -> None:
    fail(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path / "new.gz", np.arange(100, dtype="u1"))
    assert not names(tmp_path)


def test_array_that_fails_touches_nothing(old: Path) -> None:
    class Failing:
        def __array__(self, dtype: object = None, copy: object = None) -> Array:
            raise RuntimeError("no array today")

    with pytest.raises(RuntimeError, match="no array today"):
        save(old, Failing())


def test_all_is_on_the_disk_before_the_old_file_goes(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synchronised: list[int] = []

    def replace(_: str, target: str) -> None:
        assert synchronised == [len(reference.dumps(np.zeros(9, "u1")))]
        assert Path(target).read_bytes() == OLD
        raise InterruptedError(errno.EINTR, "seen")

    monkeypatch.setattr(os, "fsync", lambda fd: synchronised.append(os.fstat(fd).st_size))
    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(InterruptedError, match="seen"):
        save(old, np.zeros(9, "u1"), compression=None)


def test_missing_folder_is_named_by_the_callers_path(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "a.idx"
    with pytest.raises(FileNotFoundError) as caught:
        save(path, np.zeros(3, "u1"))
    assert caught.value.filename == str(path)
    assert not names(tmp_path)


@pytest.mark.parametrize("name", ["folder", "folder/", "new/", ""])
def test_folder_or_no_name_is_a_natural_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    # Python's own open says IsADirectoryError for some, and on Windows PermissionError.
    with pytest.raises(OSError, match=r"(?i)directory|permission"):
        save(name, np.zeros(3, "u1"))
    assert names(tmp_path) == ["folder"]
    assert not names(Path("folder"))


# The first argument is what to do once all is imported; the superuser becomes nobody for it.
UNPRIVILEGED = """
import os, sys
import numpy as np
import fastidx.writing.compress
from fastidx.writing.save import save
if os.geteuid() == 0:
    os.seteuid(65534)
try:
    save(sys.argv[1], np.zeros(3, "u1"))
except PermissionError as error:
    print(error.filename)
"""


def unprivileged(name: str, folder: Path) -> str:
    # From within the folder, as nobody may not pass through the folders above it.
    command = [sys.executable, "-c", UNPRIVILEGED, name]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@POSIX
def test_read_only_folder_is_a_natural_error(old: Path) -> None:
    folder = old.parent
    folder.chmod(0o555)
    old.chmod(0o666)
    try:
        assert unprivileged("old.gz", folder) == "old.gz"
        assert unprivileged("new.gz", folder) == "new.gz"
    finally:
        folder.chmod(0o700)


@POSIX
def test_read_only_file_is_not_replaced(old: Path) -> None:
    folder = old.parent
    folder.chmod(0o777)
    old.chmod(0o444)
    assert unprivileged("old.gz", folder) == "old.gz"


@POSIX
def test_writable_file_in_a_writable_folder_is_replaced_by_anyone(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    path = tmp_path / "a.idx"
    path.write_bytes(OLD)
    path.chmod(0o666)
    assert unprivileged("a.idx", tmp_path) == ""
    assert path.read_bytes() == reference.dumps(np.zeros(3, "u1"))


LIMITED = """
import resource, sys
import numpy as np
from fastidx.writing.save import save
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
try:
    save(sys.argv[1], np.zeros(3_000_000, "u1"), compression=None)
except OSError as error:
    print(error.errno, error.filename)
"""


@POSIX
def test_full_disk_leaves_the_old_file_alone(old: Path) -> None:
    command = [sys.executable, "-c", LIMITED, str(old)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(errno.EFBIG), str(old)]


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_memory_stays_bounded(tmp_path: Path, compression: Any) -> None:
    # As large as a map may be without its pages being there: a file of 64 MiB, all hole.
    with (tmp_path / "data").open("wb") as file:
        file.truncate(64 * MIB)
    mapped = np.memmap(tmp_path / "data", "<i4", "r")
    tracemalloc.start()
    try:
        save(tmp_path / "a.idx", mapped.reshape(4, -1).T, compression=compression, level=1)
        assert tracemalloc.get_traced_memory()[1] < 5 * MIB
    finally:
        tracemalloc.stop()
    assert reference.load_frombuffer(tmp_path / "a.idx").shape == (4 * MIB, 4)
