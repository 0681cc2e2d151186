"""The commands on whole files: cat, convert, index and verify, on good files and bad."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import types
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_cli import command, env, in_terminal, posix, run

import fastidx
from conftest import SANITIZED
from fastidx.cli.main import main
from fastidx.transfer import copy as transfer

TYPES = ["u1", "i1", "i2", "i4", "f4", "f8"]
SHAPES = [(), (0,), (7,), (3, 0, 2), (500, 28, 28), (2, 3, 5, 7)]


@pytest.fixture
def images(tmp_path: Path, rng: np.random.Generator) -> tuple[Path, np.ndarray[Any, Any]]:
    """A gzipped file of three pieces and a bit, and what it holds."""
    array = rng.integers(0, 9, (4500, 28, 28)).astype("u1")
    path = tmp_path / "images.gz"
    fastidx.save(path, array, level=1)
    return path, array


def load_any(path: Path) -> np.ndarray[Any, Any]:
    """Load a file by what other programs know of its format, which is what its name says."""
    if path.suffix not in (".npy", ".npz"):
        return fastidx.load(path)
    loaded = np.load(path)
    array: np.ndarray[Any, Any] = loaded if path.suffix == ".npy" else loaded["arr_0"]
    if path.suffix == ".npz":
        loaded.close()
    return array


def only_complaint(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what was complained of, in one line and with nothing on stdout."""
    output = capsys.readouterr()
    (line,) = output.err.splitlines()
    assert output.out == ""
    return line.removeprefix("fastidx: ")


class TestConvert:
    @pytest.mark.parametrize("target", ["x.npy", "x.npz", "x.idx", "x.gz"])
    @pytest.mark.parametrize("source", ["s.npy", "s.npz", "s.idx", "s.gz"])
    def test_every_way(self, source: str, target: str, tmp_path: Path, rng: Any) -> None:
        for number, code in enumerate(TYPES):
            shape = SHAPES[number]
            array = np.frombuffer(rng.bytes(8 * 400_000), code)[: np.prod(shape, dtype=int)]
            array = array.reshape(shape)
            path, result = tmp_path / source, tmp_path / target
            if path.suffix == ".npy":
                np.save(path, array)
            elif path.suffix == ".npz":
                np.savez(path, array)
            else:
                fastidx.save(path, array)
            assert main(["convert", str(path), str(result)]) == 0
            found = load_any(result)
            assert found.dtype == array.dtype and found.shape == shape
            assert found.tobytes() == array.tobytes()  # NaNs too, bit by bit
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted({source, target})

    @pytest.mark.parametrize("shape", SHAPES)
    def test_npy_is_numpys(self, shape: tuple[int, ...], tmp_path: Path) -> None:
        array = np.arange(np.prod(shape, dtype=int), dtype="i4").reshape(shape)
        fastidx.save(tmp_path / "x.idx", array)
        np.save(tmp_path / "expected.npy", array)
        assert main(["convert", str(tmp_path / "x.idx"), str(tmp_path / "x.npy")]) == 0
        assert (tmp_path / "x.npy").read_bytes() == (tmp_path / "expected.npy").read_bytes()

    @pytest.mark.parametrize("compression", ["gzip", "bgzf", "none"])
    def test_compression_of_idx_is_that_of_save(
        self, compression: Any, images: tuple[Path, Any], tmp_path: Path
    ) -> None:
        source, array = images
        target, expected = tmp_path / "x", tmp_path / "expected"
        assert main(["convert", str(source), str(target), "--compression", compression]) == 0
        fastidx.save(expected, array, compression=None if compression == "none" else compression)
        assert target.read_bytes() == expected.read_bytes()

    @pytest.mark.parametrize(
        ("option", "method"),
        [
            ([], zipfile.ZIP_DEFLATED),
            (["--compression", "gzip"], zipfile.ZIP_DEFLATED),
            (["--compression", "none"], zipfile.ZIP_STORED),
        ],
    )
    def test_compression_of_npz(
        self, option: list[str], method: int, images: tuple[Path, Any], tmp_path: Path
    ) -> None:
        written = []
        for name in ("a.npz", "b.npz"):
            assert main(["convert", str(images[0]), str(tmp_path / name), *option]) == 0
            written.append((tmp_path / name).read_bytes())
        with zipfile.ZipFile(tmp_path / "a.npz") as archive:
            assert [member.compress_type for member in archive.infolist()] == [method]
        assert written[0] == written[1]

    @pytest.mark.parametrize("code", [">i4", ">f8"])
    def test_byte_orders(self, code: str, tmp_path: Path) -> None:
        array = np.arange(100_000, dtype=code)
        np.save(tmp_path / "x.npy", array)
        for target in ("x.idx", "native.npy"):
            assert main(["convert", str(tmp_path / "x.npy"), str(tmp_path / target)]) == 0
            found = load_any(tmp_path / target)
            assert found.dtype.isnative
            np.testing.assert_array_equal(found, array)

    @pytest.mark.parametrize("source", ["x.npy", "x.npz"])
    def test_fortran_order(self, source: str, tmp_path: Path, rng: Any) -> None:
        array = np.asfortranarray(rng.integers(0, 1000, (300, 70, 33)).astype("i2"))
        save: Callable[..., None] = np.save if source == "x.npy" else np.savez
        save(tmp_path / source, array)
        assert main(["convert", str(tmp_path / source), str(tmp_path / "x.idx")]) == 0
        np.testing.assert_array_equal(fastidx.load(tmp_path / "x.idx"), array)

    def test_npy_of_version_2(self, tmp_path: Path) -> None:
        array = np.arange(9, dtype="f4")
        with (tmp_path / "x.npy").open("wb") as file:
            np.lib.format.write_array(file, array, version=(2, 0))
        assert main(["convert", str(tmp_path / "x.npy"), str(tmp_path / "x.idx")]) == 0
        np.testing.assert_array_equal(fastidx.load(tmp_path / "x.idx"), array)

    def test_onto_itself(self, images: tuple[Path, Any]) -> None:
        path, array = images
        assert main(["convert", str(path), str(path), "--compression", "bgzf"]) == 0
        np.testing.assert_array_equal(fastidx.load(path), array)
        assert path.read_bytes()[12:14] == b"BC"

    def test_keys(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        source, target = str(tmp_path / "x.npz"), str(tmp_path / "x.idx")
        np.savez(source, images=np.arange(5, dtype="u1"), labels=np.arange(3, dtype="u1"))
        assert main(["convert", source, target]) == 1
        complaint = only_complaint(capsys)
        assert "expected one array, found 2 arrays; choose one of images, labels" in complaint
        assert main(["convert", source, target, "--key", "points"]) == 1
        assert "expected an array named 'points'" in only_complaint(capsys)
        assert main(["convert", source, target, "--key", "labels"]) == 0
        assert fastidx.load(target).tolist() == [0, 1, 2]
        renamed = str(tmp_path / "y.npz")
        assert main(["convert", target, renamed, "--key", "digits"]) == 0
        with np.load(renamed) as arrays:
            assert arrays.files == ["digits"]
        assert main(["convert", source, renamed, "--key", "images"]) == 0
        with np.load(renamed) as arrays:
            assert arrays.files == ["images"]

    @pytest.mark.parametrize(
        ("target", "options", "complaint"),
        [
            ("x.xz", [], ".xz cannot be written"),
            ("x.npy.gz", [], ".npy.gz cannot be written"),
            ("x.npy", ["--compression", "gzip"], "a .npy file cannot have 'gzip'"),
            ("x.npz", ["--compression", "bgzf"], "a .npz file cannot have 'bgzf'"),
            ("x.gz", ["--compression", "xz"], "invalid choice"),
            ("x.gz", ["--key", "x"], "neither SRC nor DST is a .npz file"),
        ],
    )
    def test_a_wrong_command_line(
        self,
        target: str,
        options: list[str],
        complaint: str,
        images: tuple[Path, Any],
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        with pytest.raises(SystemExit) as leaving:
            main(["convert", str(images[0]), str(tmp_path / target), *options])
        assert leaving.value.code == 2
        assert complaint in capsys.readouterr().err
        assert [path.name for path in tmp_path.iterdir()] == [images[0].name]

    @pytest.mark.parametrize("target", ["x.npy", "x.npz", "x.idx", "x.gz"])
    @pytest.mark.parametrize("damage", ["cut", "checksum", "trailing"])
    def test_a_failure_leaves_the_old_file(
        self,
        damage: str,
        target: str,
        images: tuple[Path, Any],
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """Each is noticed when most has been written."""
        path, array = images
        data = bytearray(path.read_bytes())
        if damage == "cut":
            del data[-3000:]
        elif damage == "checksum":
            data[-8] ^= 1
        else:
            buffer = io.BytesIO()
            fastidx.save(buffer, array, compression=None)
            data = bytearray(buffer.getvalue() + b"more")
        path.write_bytes(data)
        old = tmp_path / target
        old.write_bytes(b"old")
        assert main(["convert", str(path), str(old)]) == 1
        assert str(path) in only_complaint(capsys)
        assert old.read_bytes() == b"old"
        assert len(list(tmp_path.iterdir())) == 2

    @pytest.mark.parametrize(
        ("make", "complaint"),
        [
            (lambda good: good[:-1], "expected 32 data bytes, as the header says, found 31"),
            (lambda good: good[:-4], "found 28"),
            (lambda good: good + b"\0", "expected the end after 32 data bytes"),
            (lambda good: good[:9], "found a damaged one"),
            (lambda good: good[:8] + b"\xff\xff" + good[10:], "found a damaged one"),
            (lambda good: good.replace(b"(8,)", b"(8;)"), "found a damaged one"),
            (lambda good: good.replace(b"(8,), } ", b"(-8,), }"), "no array has the shape"),
            (
                lambda good: good.replace(b"(8,), }" + 20 * b" ", b"(%s,), }" % (21 * b"9")),
                "no array",
            ),
            (lambda good: good.replace(b"<i4", b"<i8"), "found int64; convert it in numpy"),
            (lambda good: good.replace(b"'<i4'", b"'|O' "), "found object"),
            (lambda good: good.replace(b"\x01\0", b"\x09\0", 1), "found a damaged one"),
        ],
    )
    @pytest.mark.parametrize("name", ["x.npy", "x.npz"])
    def test_bad_npy(
        self,
        name: str,
        make: Callable[[bytes], bytes],
        complaint: str,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        buffer = io.BytesIO()
        np.save(buffer, np.arange(8, dtype="<i4"))
        bad = make(buffer.getvalue())
        assert bad != buffer.getvalue()
        if name == "x.npy":
            (tmp_path / name).write_bytes(bad)
        else:
            with zipfile.ZipFile(tmp_path / name, "w") as archive:
                archive.writestr("a.npy", bad)
        assert main(["convert", str(tmp_path / name), str(tmp_path / "x.idx")]) == 1
        told = only_complaint(capsys)
        assert told.startswith(str(tmp_path / name))
        assert complaint in told
        assert not (tmp_path / "x.idx").exists()

    def test_more_dimensions_than_an_array_has(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with (tmp_path / "x.npy").open("wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": (1,) * 65}
            np.lib.format.write_array_header_1_0(file, header)
            file.write(b"\0")
        assert main(["convert", str(tmp_path / "x.npy"), str(tmp_path / "x.idx")]) == 1
        assert "no array has the shape" in only_complaint(capsys)

    def test_bad_npz(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path, target = tmp_path / "x.npz", str(tmp_path / "x.idx")
        for save in (np.savez, np.savez_compressed):
            save(path, np.arange(5000, dtype="i4"))
            damaged = bytearray(path.read_bytes())
            damaged[3000] ^= 0x55
            path.write_bytes(damaged)
            assert main(["convert", str(path), target]) == 1
            assert "found a damaged one" in only_complaint(capsys)
        path.write_bytes(damaged[:4000])
        assert main(["convert", str(path), target]) == 1
        assert "found a damaged zip archive or none" in only_complaint(capsys)
        with zipfile.ZipFile(path, "w"):
            pass
        assert main(["convert", str(path), target]) == 1
        assert "found 0 arrays" in only_complaint(capsys)
        assert not Path(target).exists()

    def test_a_zip_archive_of_other_files_is_no_npz(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
            archive.writestr("readme.txt", "hello")
        assert main(["convert", str(tmp_path / "x.zip"), str(tmp_path / "x.npy")]) == 1
        assert "expected an IDX file" in only_complaint(capsys)

    @posix
    @pytest.mark.parametrize("kind", ["npy", "idx"])
    def test_pipes(self, kind: str, images: tuple[Path, Any], tmp_path: Path) -> None:
        path, array = images
        data = path.read_bytes()
        if kind == "npy":
            buffer = io.BytesIO()
            np.save(buffer, array)
            data = buffer.getvalue()
        done = subprocess.run(
            command("convert", "/dev/stdin", tmp_path / "x.idx"), input=data, capture_output=True
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
        np.testing.assert_array_equal(fastidx.load(tmp_path / "x.idx"), array)

    @pytest.mark.slow
    @pytest.mark.skipif(sys.platform != "linux", reason="peak memory is told by Linux's /proc")
    @pytest.mark.skipif(SANITIZED, reason="a sanitizer's own memory cannot be told apart")
    def test_memory_is_bounded(self, isolated: Callable[..., Any], tmp_path: Path) -> None:
        """200 MB there and back take a few MB: pieces, buffers and the compressors' state."""
        pixels = np.random.default_rng(7).integers(0, 256, (1, 28, 28)).astype("u1")
        shape = (256_000, 28, 28)
        fastidx.save(tmp_path / "x.gz", np.broadcast_to(pixels, shape), level=1)
        steps = ["x.gz", "x.npy", "bgzf.gz", "x.npz", "x.idx"]
        paths = [str(tmp_path / name) for name in steps]
        extra = isolated(memory_of_conversions, paths)
        assert fastidx.info(paths[-1]).shape == shape
        assert dict(zip(steps[1:], extra, strict=True)) == {
            name: pytest.approx(0, abs=16 << 20) for name in steps[1:]
        }
        with fastidx.open(paths[-1]) as reader:
            np.testing.assert_array_equal(reader[-1:], pixels)


def memory_of_conversions(paths: list[str]) -> list[int]:
    """Convert each file to the next; return by how many bytes each raised the peak of memory."""

    def status(field: str) -> int:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith(field))

    extra = []
    for source, target in pairwise(paths):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forgets the peak
        before = status("VmRSS")
        compression = "bgzf" if Path(target).name.startswith("bgzf") else "infer"
        assert main(["convert", source, target, "--compression", compression]) == 0
        extra.append(status("VmHWM") - before)
    return extra


class TestCat:
    @pytest.mark.parametrize(
        ("options", "items"),
        [
            ([], slice(None)),
            (["--start", "4000"], slice(4000, None)),
            (["--stop", "2"], slice(2)),
            (["--start", "1000", "--stop", "3000"], slice(1000, 3000)),
            (["--start", "-3"], slice(-3, None)),
            (["--start", "-3", "--stop", "-1"], slice(-3, -1)),
            (["--start", "9", "--stop", "5"], slice(0)),
            (["--start", "9999"], slice(0)),
        ],
    )
    @pytest.mark.parametrize("indexed", [False, True])
    def test_items(
        self,
        options: list[str],
        items: slice,
        indexed: bool,
        images: tuple[Path, Any],
        tmp_path: Path,
        capfdbinary: pytest.CaptureFixture[bytes],
    ) -> None:
        path, array = images
        if indexed:
            assert main(["index", str(path), "--spacing", "100000"]) == 0
            capfdbinary.readouterr()
        assert main(["cat", str(path), *options]) == 0
        output = capfdbinary.readouterr()
        assert output.err == b""
        np.testing.assert_array_equal(np.load(io.BytesIO(output.out)), array[items])
        for out in ("x.npy", "x.npz", "x.gz"):
            assert main(["cat", str(path), *options, "--out", str(tmp_path / out)]) == 0
            np.testing.assert_array_equal(load_any(tmp_path / out), array[items])

    def test_plain_files(self, tmp_path: Path) -> None:
        array = np.arange(60, dtype="f8").reshape(20, 3)
        fastidx.save(tmp_path / "x.idx", array)
        done = run("cat", tmp_path / "x.idx", "--start", "5", "--stop", "7")
        assert (done.returncode, done.stderr) == (0, b"")
        np.testing.assert_array_equal(np.load(io.BytesIO(done.stdout)), array[5:7])

    def test_a_single_element(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = tmp_path / "x.idx"
        fastidx.save(path, np.float32(1.5))
        assert np.load(io.BytesIO(run("cat", path).stdout)) == np.float32(1.5)
        assert main(["cat", str(path), "--start", "0"]) == 1
        assert "found a single element" in only_complaint(capsys)

    @posix
    def test_a_terminal_gets_text(self, images: tuple[Path, Any]) -> None:
        path, array = images
        arguments = command("cat", path, "--start", "7", "--stop", "8")
        output = in_terminal(arguments, env({"COLUMNS": "200"}))
        rows = output.replace("[", " ").replace("]", " ").split()
        assert [int(value) for value in rows] == array[7].reshape(-1).tolist()
        assert len(output.splitlines()) == 28

    def test_all_of_a_damaged_file_is_refused(
        self, images: tuple[Path, Any], tmp_path: Path
    ) -> None:
        path, _ = images
        data = bytearray(path.read_bytes())
        data[-8] ^= 1
        path.write_bytes(data)
        done = run("cat", path, "--out", tmp_path / "x.npy")
        assert done.returncode == 1
        assert b"CRC-32" in done.stderr
        assert not (tmp_path / "x.npy").exists()

    @posix
    def test_an_unread_pipe_is_quiet(self, images: tuple[Path, Any]) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(command("cat", images[0]), stdout=writer, stderr=subprocess.PIPE)
        os.close(writer)
        assert (done.returncode, done.stderr) == (141, b"")


class TestIndex:
    def test_it_is_used(self, images: tuple[Path, Any]) -> None:
        path, array = images
        done = run("index", path, "--spacing", "100000")
        assert (done.returncode, done.stderr) == (0, b"")
        beside = Path(f"{path}.gzidx")
        assert done.stdout.decode().startswith(f"wrote {beside}: ")
        assert len(fastidx.GzipIndex.load(beside).points) > 5
        with fastidx.open(path, index="auto") as reader:
            np.testing.assert_array_equal(reader[4000], array[4000])

    def test_out_and_spacing(self, images: tuple[Path, Any], tmp_path: Path) -> None:
        path, _ = images
        for name, spacing in (("few", "2000000"), ("many", "50000")):
            arguments = ["index", str(path), "--out", str(tmp_path / name), "--spacing", spacing]
            assert main(arguments) == 0
        few, many = (fastidx.GzipIndex.load(tmp_path / name) for name in ("few", "many"))
        assert 1 <= len(few.points) < 4 < 20 < len(many.points)
        assert not Path(f"{path}.gzidx").exists()

    def test_what_cannot_have_one(
        self, images: tuple[Path, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        fastidx.save(tmp_path / "x.idx", np.arange(9, dtype="u1"))
        cut = tmp_path / "cut.gz"
        cut.write_bytes(images[0].read_bytes()[:-3000])
        for path, complaint in ((tmp_path / "x.idx", "found plain"), (cut, "was cut")):
            assert main(["index", str(path)]) == 1
            told = only_complaint(capsys)
            assert told.startswith(str(path)) and complaint in told
            assert not Path(f"{path}.gzidx").exists()

    @pytest.mark.parametrize("spacing", ["0", "-1", "many"])
    def test_a_wrong_spacing(self, spacing: str) -> None:
        with pytest.raises(SystemExit) as leaving:
            main(["index", "x.gz", "--spacing", spacing])
        assert leaving.value.code == 2


class TestVerify:
    def test_real_files(self, data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["verify", str(data_dir / "t10k-images-idx3-ubyte.gz")]) == 0
        said = capsys.readouterr().out
        assert said.endswith("gzip, checksums right, MNIST's t10k-images-idx3-ubyte.gz\n")

    def test_good_and_bad(self, images: tuple[Path, Any], tmp_path: Path) -> None:
        good, _ = images
        plain, damaged, page = tmp_path / "x.idx", tmp_path / "damaged.gz", tmp_path / "page.gz"
        fastidx.save(plain, np.arange(9, dtype="i2"))
        data = bytearray(good.read_bytes())
        data[-8] ^= 1
        damaged.write_bytes(data)
        page.write_text("<!DOCTYPE html><title>404</title>")
        done = run("verify", good, damaged, plain, tmp_path / "nowhere", page)
        assert done.returncode == 1
        first, second = done.stdout.decode().splitlines()
        assert first.startswith(f"{good}: good: uint8, 4500 x 28 x 28, gzip, checksums right")
        assert second.startswith(f"{plain}: good: int16, 9, plain, without a checksum")
        complaints = done.stderr.decode().splitlines()
        expected = [(damaged, "CRC-32"), (tmp_path / "nowhere", "No such file"), (page, "HTML")]
        for complaint, (path, what) in zip(complaints, expected, strict=True):
            assert complaint.startswith(f"fastidx: {path}: ") and what in complaint

    def test_all_good_is_0(
        self, images: tuple[Path, Any], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["verify", str(images[0]), str(images[0])]) == 0
        output = capsys.readouterr()
        assert (len(output.out.splitlines()), output.err) == (2, "")

    @pytest.mark.parametrize(
        ("known", "told"),
        [("MNIST's train-images-idx3-ubyte.gz", ", MNIST's train-"), (None, ", of no known data")],
    )
    def test_data_sets(
        self,
        known: str | None,
        told: str,
        images: tuple[Path, Any],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        datasets: Any = types.ModuleType("fastidx.datasets")
        datasets.identify = lambda path: known if path == str(images[0]) else "?"
        monkeypatch.setitem(sys.modules, "fastidx.datasets", datasets)
        assert main(["verify", str(images[0])]) == 0
        assert told in capsys.readouterr().out


class TestProgress:
    class Bar:
        """Stands for tqdm's and keeps what it was told."""

        made: list[TestProgress.Bar]

        def __init__(self, **options: Any) -> None:
            self.options = options
            self.done = 0
            self.made.append(self)

        def __enter__(self) -> TestProgress.Bar:
            return self

        def __exit__(self, *_: object) -> None:
            self.closed = True

        def update(self, n: int) -> None:
            self.done += n

    @pytest.fixture
    def bars(self, monkeypatch: pytest.MonkeyPatch) -> list[Bar]:
        tqdm: Any = types.ModuleType("tqdm")
        tqdm.tqdm = self.Bar
        self.Bar.made = []
        monkeypatch.setitem(sys.modules, "tqdm", tqdm)
        return self.Bar.made

    @staticmethod
    def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    def test_on_a_terminal(
        self, bars: list[Bar], images: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.terminal(monkeypatch)
        path, array = images
        for arguments in (
            ["convert", str(path), str(path.with_name("x.npy"))],
            ["verify", str(path)],
            ["cat", str(path), "--start", "0", "--out", str(path.with_name("y.npy"))],
        ):
            assert main(arguments) == 0
            bar = bars.pop()
            assert (bar.done, bar.closed, bar.options["total"]) == (
                array.nbytes,
                True,
                array.nbytes,
            )
            assert bar.options["desc"] == path.name
        assert not bars

    def test_of_an_index(
        self, bars: list[Bar], images: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert main(["index", str(images[0])]) == 0
        assert not bars
        self.terminal(monkeypatch)
        assert main(["index", str(images[0])]) == 0
        (bar,) = bars
        assert bar.done == bar.options["total"] == images[1].nbytes + 16
        assert bar.closed

    def test_quiet_elsewhere(self, bars: list[Bar], images: tuple[Path, Any]) -> None:
        assert main(["verify", str(images[0])]) == 0
        assert not bars

    def test_without_tqdm(
        self,
        images: tuple[Path, Any],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self.terminal(monkeypatch)
        monkeypatch.setitem(sys.modules, "tqdm", None)
        assert main(["verify", str(images[0])]) == 0
        assert capsys.readouterr().err == ""

    @posix
    def test_the_genuine_one(self, images: tuple[Path, Any]) -> None:
        """Its options are right, and short work shows nothing."""
        pytest.importorskip("tqdm", reason="tqdm is not installed (extra: cli)")
        path, _ = images
        code = (  # a terminal without a size, as in_terminal makes it, would get no bar
            "import fcntl, struct, sys, termios; "
            "from fastidx.cli import data as cli_data, main as cli; "
            "fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack('4H', 24, 80, 0, 0)); "
            "cli_data._BAR_DELAY_S = float(sys.argv.pop(1)); sys.stderr = sys.stdout; "
            "sys.exit(cli.main(sys.argv[1:]))"
        )
        for delay, shown in (("0", True), ("60", False)):
            arguments = [sys.executable, "-c", code, delay, "verify", str(path)]
            output = in_terminal(arguments, env({}))
            assert ("images.gz:" in output and "3.5" in output) == shown
            assert "good" in output


def test_values_are_taken_in_pieces(images: tuple[Path, Any]) -> None:
    path, array = images
    with transfer.open_values(str(path)) as values:
        sizes = [part.nbytes for part in values.parts]
    assert sum(sizes) == array.nbytes
    assert max(sizes) <= 1 << 20
