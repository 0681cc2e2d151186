"""The command line as a user meets it: output, complaints, exit codes, pipes, Ctrl-C, terminals."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastidx
from fastidx import reference, synthetic
from fastidx.cli import main as cli
from fastidx.cli.main import main

posix = pytest.mark.skipif(os.name != "posix", reason="needs pipes and signals as on POSIX")


def run(*arguments: str | Path, **environment: str | None) -> subprocess.CompletedProcess[bytes]:
    """Run ``python -m fastidx`` in a process with a changed environment."""
    return subprocess.run(command(*arguments), capture_output=True, env=env(environment))


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "fastidx", *map(str, arguments)]


def env(changes: dict[str, str | None]) -> dict[str, str]:
    """Return the environment without what the demo listens to, with `changes` (None removes)."""
    unset = dict.fromkeys(("FASTIDX_TEST_DATA", "NO_COLOR", "COLUMNS", "PYTHONIOENCODING"))
    merged = {**os.environ, "PYTHONUTF8": "1", "TERM": "xterm-256color", **unset, **changes}
    return {name: value for name, value in merged.items() if value is not None}


@pytest.fixture(scope="module")
def mnist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small set under MNIST's names."""
    folder = tmp_path_factory.mktemp("mnist")
    synthetic.write_set(folder, 50)
    return folder


@pytest.fixture
def images(mnist: Path) -> Path:
    return mnist / synthetic.IMAGES_NAME


class TestMain:
    def test_version(self) -> None:
        done = run("--version")
        assert done.returncode == 0
        assert done.stdout.decode().strip() == f"fastidx {fastidx.__version__}"

    @pytest.mark.parametrize(
        "arguments", [[], ["nonsense"], ["info"], ["bench"], ["bench", "x", "--rounds", "0"]]
    )
    def test_a_wrong_command_line_is_2(
        self, arguments: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as leaving:
            main(arguments)
        assert leaving.value.code == 2
        assert "usage: fastidx" in capsys.readouterr().err

    @pytest.mark.parametrize("name", ["info", "bench", "demo"])
    def test_help(self, name: str, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as leaving:
            main([name, "--help"])
        assert leaving.value.code == 0
        assert f"usage: fastidx {name}" in capsys.readouterr().out

    def test_an_unread_pipe_is_quiet(self, images: Path) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        # Unbuffered output would fail at once; buffered output also fails when it is flushed.
        buffered = env({"PYTHONUNBUFFERED": None})
        done = subprocess.run(
            command("info", images), stdout=writer, stderr=subprocess.PIPE, env=buffered
        )
        os.close(writer)
        assert done.stderr == b""
        assert done.returncode == 141

    @posix
    def test_ctrl_c_is_130(self, tmp_path: Path) -> None:
        """It comes while the command waits for the other end of a named pipe."""
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        child = subprocess.Popen(command("bench", pipe), stderr=subprocess.PIPE)
        with pipe.open("wb"):  # returns when the child has opened its end
            child.send_signal(signal.SIGINT)
            _, complaints = child.communicate(timeout=60)
        assert complaints.decode().splitlines() == ["fastidx: interrupted"]
        assert child.returncode == 130

    @pytest.mark.parametrize(
        ("error", "complaint"),
        [
            (MemoryError("Unable to allocate 3 TiB"), "fastidx: Unable to allocate 3 TiB\n"),
            (MemoryError(), "fastidx: MemoryError\n"),
            (OSError(28, "No space left on device"), "[Errno 28] No space left on device\n"),
            (fastidx.IdxError("x.gz: two\nlines"), "fastidx: x.gz: two lines\n"),
        ],
    )
    def test_errors_are_one_line(
        self,
        error: Exception,
        complaint: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        def fail(_: object) -> None:
            raise error

        monkeypatch.setattr(cli, "info", fail)
        assert main(["bench", "x.gz"]) == 1
        assert capsys.readouterr().err.endswith(complaint)

    def test_mistakes_of_ours_are_not_hidden(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cli, "info", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            main(["bench", "x.gz"])

    def test_info_starts_light(self, images: Path) -> None:
        code = (
            "import sys, fastidx.cli.main as cli; cli.main(sys.argv[1:]); "
            "print(*sorted({'matplotlib', 'statistics', 'tempfile', 'fastidx.plots', "
            "'fastidx.synthetic', 'fastidx.reference', 'fractions'} & set(sys.modules)))"
        )
        done = subprocess.run([sys.executable, "-c", code, "info", images], capture_output=True)
        assert done.returncode == 0
        assert done.stdout.splitlines()[-1] == b""


class TestInfo:
    def test_table(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        fastidx.save(tmp_path / "a.gz", np.zeros((600, 28, 28), np.uint8))
        fastidx.save(tmp_path / "scalar", np.float64(0.5))
        assert main(["info", str(tmp_path / "a.gz"), str(tmp_path / "scalar")]) == 0
        head, gz, scalar = capsys.readouterr().out.splitlines()
        stored = (tmp_path / "a.gz").stat().st_size
        ratio = f"{(16 + 470400) / stored:.2f}"
        columns = partial(re.split, r"  +")
        assert columns(head)[:5] == ["file", "type", "dtype", "shape", "data bytes"]
        assert columns(head)[5:] == ["compression", "file bytes", "ratio"]
        shape = ["0x08", "uint8", "600 x 28 x 28", "470,400"]
        assert columns(gz) == [str(tmp_path / "a.gz"), *shape, "gzip", f"{stored:,}", ratio]
        rest = ["0x0E", "float64", "scalar", "8", "none", "12", "1.00"]
        assert columns(scalar) == [str(tmp_path / "scalar"), *rest]

    def test_columns_are_aligned(self, mnist: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["info", *map(str, sorted(mnist.iterdir()))]) == 0
        head, *rows = capsys.readouterr().out.splitlines()
        assert len(rows) == 2
        assert {row.index("uint8") for row in rows} == {head.index("dtype")}
        assert len({len(line) for line in (head, *rows)}) == 1

    def test_failures_do_not_stop_the_others(self, images: Path, tmp_path: Path) -> None:
        page = tmp_path / "page.gz"
        page.write_text("<!DOCTYPE html><title>404</title>")
        done = run("info", page, tmp_path / "nowhere", images, tmp_path)
        assert done.returncode == 1
        assert str(images) in done.stdout.decode()
        assert len(done.stdout.splitlines()) == 2
        complaints = done.stderr.decode().splitlines()
        assert len(complaints) == 3
        assert re.match(rf"fastidx: .*{re.escape(page.name)}.*HTML", complaints[0])
        assert complaints[1] == f"fastidx: {tmp_path / 'nowhere'}: No such file or directory"
        assert complaints[2].startswith(f"fastidx: {tmp_path}: ")

    def test_only_failures_print_no_table(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["info", "nowhere"]) == 1
        assert capsys.readouterr().out == ""


class TestBench:
    def test_output(self, images: Path) -> None:
        done = run("bench", images, "--rounds", "2")
        assert (done.returncode, done.stderr) == (0, b"")
        head, medians, struct, frombuffer, ours, equal = done.stdout.decode().splitlines()
        assert head.startswith(f"{images}: uint8, 50 x 28 x 28, 39,200 bytes from ")
        assert medians.startswith("medians of 2 alternating loads")
        time = r" +\d+\.\d{3} ms"
        factor = r"   fastidx is \d+\.\d times as fast"
        assert re.fullmatch(rf"reference: gzip \+ struct{time}{factor}", struct)
        assert re.fullmatch(rf"gzip \+ numpy\.frombuffer{time}{factor}", frombuffer)
        assert re.fullmatch(rf"fastidx{time}", ours)
        assert equal == "equal: yes"

    def test_the_factor_is_that_of_the_medians(self, images: Path) -> None:
        lines = run("bench", images, "--rounds", "3").stdout.decode().splitlines()[2:5]
        struct, frombuffer, ours = (float(re.findall(r"([\d.]+) ms", line)[0]) for line in lines)
        for line, seconds in zip(lines, (struct, frombuffer), strict=False):
            told = float(re.findall(r"is ([\d.]+) times", line)[0])
            assert told == pytest.approx(seconds / ours, rel=0.03, abs=0.06)

    @pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8"])
    def test_every_type(self, dtype: str, tmp_path: Path, rng: np.random.Generator) -> None:
        """Random bits: among the floats are NaNs, which must count as equal."""
        values = np.frombuffer(rng.bytes(8 * 4096), dtype)
        fastidx.save(tmp_path / "x.gz", values)
        assert main(["bench", str(tmp_path / "x.gz"), "--rounds", "1"]) == 0

    @pytest.mark.parametrize(
        "other",
        [
            lambda array: array + 1,
            lambda array: array[:-1],
            lambda array: array.astype(np.int16),
        ],
        ids=["values", "shape", "dtype"],
    )
    def test_a_difference_is_told(
        self,
        other: Callable[[Any], Any],
        images: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        genuine = reference.load
        monkeypatch.setattr(reference, "load", lambda path: other(genuine(path)))
        assert main(["bench", str(images), "--rounds", "1"]) == 1
        assert capsys.readouterr().out.endswith("equal: NO, the readers disagree\n")

    def test_a_nan_in_one_place_only_is_a_difference(self) -> None:
        a = np.array([1.0, np.nan, 2.0])
        assert cli._same(a, a.copy())
        assert not cli._same(a, np.array([np.nan, 1.0, 2.0]))
        assert not cli._same(np.array([0.0]), np.array([-0.0]))

    def test_rounds_end_with_the_budget(
        self, images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(cli, "_BUDGET_S", 0.0)
        assert main(["bench", str(images), "--rounds", "50"]) == 0
        assert "medians of 3 alternating" in capsys.readouterr().out

    def test_truncated_file(self, images: Path, tmp_path: Path) -> None:
        cut = tmp_path / "cut.gz"
        cut.write_bytes(images.read_bytes()[:-500])
        done = run("bench", cut)
        assert done.returncode == 1
        (complaint,) = done.stderr.decode().splitlines()
        assert complaint.startswith("fastidx: ")
        assert "cut.gz" in complaint


class TestDemo:
    def test_plain(self, mnist: Path) -> None:
        """What a pipe gets: blocks without colour, of 80 columns, five digits a row."""
        done = run("demo", "--data", mnist)
        assert (done.returncode, done.stderr) == (0, b"")
        lines = done.stdout.decode().splitlines()
        assert lines[0].startswith(f"{mnist / synthetic.IMAGES_NAME}: uint8, 50 x 28 x 28")
        assert lines[1].startswith(f"{mnist / synthetic.LABELS_NAME}: uint8, 50, 50 bytes")
        assert "equal: yes" in lines
        sheet = lines[-16:]
        labels = [int(label) for line in (sheet[7], sheet[15]) for label in line.split()]
        assert labels == synthetic.digits(10)[1].tolist()
        drawn = "".join(sheet[:7] + sheet[8:15])
        assert set(drawn) <= set(" ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█")
        assert drawn.count("█") > 50
        assert max(map(len, sheet)) <= 80

    def test_the_terminals_width_is_used(self, mnist: Path) -> None:
        lines = run("demo", "--data", mnist, COLUMNS="150").stdout.decode().splitlines()
        assert len(lines[-1].split()) == 10

    def test_ascii_where_the_encoding_has_no_blocks(self, mnist: Path) -> None:
        done = run("demo", "--data", mnist, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
        assert (done.returncode, done.stderr) == (0, b"")
        sheet = done.stdout.decode("ascii").splitlines()[-20:]
        assert set("".join(sheet[:9] + sheet[10:19])) <= set(" .:-=+*#%@")
        assert "@" in "".join(sheet)

    @posix
    @pytest.mark.parametrize(
        ("environment", "coloured"),
        [
            ({}, True),
            ({"NO_COLOR": ""}, True),
            ({"NO_COLOR": "1"}, False),
            ({"TERM": "dumb"}, False),
        ],
    )
    def test_terminal(
        self, mnist: Path, environment: dict[str, str | None], coloured: bool
    ) -> None:
        output = in_terminal(command("demo", "--data", mnist), env(environment))
        assert "equal: yes" in output
        assert bool(re.search(r"\x1b\[38;5;\d+;48;5;\d+m▀", output)) == coloured
        assert ("\x1b" in output) == coloured

    def test_environment_names_the_data(self, mnist: Path) -> None:
        assert run("demo", FASTIDX_TEST_DATA=str(mnist)).stdout.startswith(bytes(mnist))

    @pytest.mark.parametrize("suffix", ["", ".gz"])
    @pytest.mark.parametrize("separator", ["-", "."])
    def test_other_names(
        self, suffix: str, separator: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        images, labels = synthetic.digits(10)
        fastidx.save(tmp_path / f"train-images{separator}idx3-ubyte{suffix}", images)
        fastidx.save(tmp_path / f"train-labels{separator}idx1-ubyte{suffix}", labels)
        assert main(["demo", "--data", str(tmp_path)]) == 0
        assert "10 x 28 x 28" in capsys.readouterr().out

    def test_synthetic_where_nothing_is(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.delenv("FASTIDX_TEST_DATA", raising=False)
        folders = []

        def write_few(folder: str) -> tuple[Path, Path]:
            folders.append(folder)
            return genuine(folder, 60)

        genuine = synthetic.write_set
        monkeypatch.setattr(synthetic, "write_set", write_few)
        assert main(["demo"]) == 0
        output = capsys.readouterr().out
        assert "drawing synthetic digits" in output
        assert "60 x 28 x 28" in output
        assert not Path(folders[0]).exists()

    def test_synthetic_where_the_named_folder_has_no_mnist(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("FASTIDX_TEST_DATA", str(tmp_path))
        few = partial(synthetic.write_set, n=10)
        monkeypatch.setattr(synthetic, "write_set", few)
        assert main(["demo"]) == 0
        assert "drawing synthetic digits" in capsys.readouterr().out

    def test_asked_for_data_must_be_there(self, tmp_path: Path) -> None:
        done = run("demo", "--data", tmp_path)
        assert (done.returncode, done.stdout) == (1, b"")
        (complaint,) = done.stderr.decode().splitlines()
        assert complaint.startswith(f"fastidx: {tmp_path}: expected a folder with MNIST")

    def test_missing_labels_are_named(
        self, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / images.name).write_bytes(images.read_bytes())
        assert main(["demo", "--data", str(tmp_path)]) == 1
        assert "no train-labels-idx1-ubyte[.gz]" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("images", "labels", "complaint"),
        [
            (np.zeros((3, 28, 28), np.uint8), np.zeros(4, np.uint8), "expected 3 labels"),
            (np.zeros((3, 784), np.uint8), np.zeros(3, np.uint8), "nothing to draw"),
            (np.zeros((0, 28, 28), np.uint8), np.zeros(0, np.uint8), "nothing to draw"),
        ],
    )
    def test_files_that_do_not_fit(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        complaint: str,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        fastidx.save(tmp_path / synthetic.IMAGES_NAME, images)
        fastidx.save(tmp_path / synthetic.LABELS_NAME, labels)
        assert main(["demo", "--data", str(tmp_path)]) == 1
        assert complaint in capsys.readouterr().err

    def test_png(self, mnist: Path, tmp_path: Path) -> None:
        pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra: plot)")
        picture = tmp_path / "digits"  # PNG whatever the name
        done = run("demo", "--data", mnist, "--png", picture)
        assert done.returncode == 0
        assert done.stdout.decode().splitlines()[-1] == f"wrote {picture}"
        assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")

    def test_png_without_matplotlib(
        self, mnist: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        assert main(["demo", "--data", str(mnist), "--png", "x.png"]) == 1
        output = capsys.readouterr()
        assert output.out == ""  # refused before the work
        assert 'pip install "fastidx[plot]"' in output.err

    @pytest.mark.slow
    def test_whole_synthetic_set(self) -> None:
        done = run("demo")
        assert (done.returncode, done.stderr) == (0, b"")
        assert "60000 x 28 x 28, 47,040,000 bytes" in done.stdout.decode()

    @pytest.mark.slow
    def test_real_mnist(self, data_dir: Path) -> None:
        done = run("demo", FASTIDX_TEST_DATA=str(data_dir))
        assert (done.returncode, done.stderr) == (0, b"")
        output = done.stdout.decode()
        assert "47,040,000 bytes from 9,912,422 (gzip)" in output
        assert output.splitlines()[-9].split() == ["5", "0", "4", "1", "9"]


def in_terminal(arguments: list[str], environment: dict[str, str]) -> str:
    """Run a command whose stdout is a terminal and return what it wrote there."""
    import pty

    master, slave = pty.openpty()
    child = subprocess.Popen(arguments, stdout=slave, env=environment)
    os.close(slave)
    written = b""
    try:
        while chunk := os.read(master, 65536):
            written += chunk
    except OSError:  # how Linux tells that the other end is closed
        pass
    os.close(master)
    assert child.wait(timeout=60) == 0
    return written.decode()
