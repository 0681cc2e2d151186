"""``fastidx show``: what is drawn, of files and data sets, and what is said where that fails."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from datasets_samples import REAL
from test_cli import command, env, in_terminal, posix, run

import fastidx
from fastidx import synthetic
from fastidx.cli.main import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small set under MNIST's names."""
    folder = tmp_path_factory.mktemp("mnist")
    synthetic.write_set(folder, 50)
    return folder


@pytest.fixture
def images(folder: Path) -> Path:
    return folder / synthetic.IMAGES_NAME


@pytest.fixture
def labels(folder: Path) -> Path:
    return folder / synthetic.LABELS_NAME


def shown_labels(output: str) -> list[int]:
    """The labels below the images, in the order of the images."""
    lines = [line for line in output.splitlines() if re.fullmatch(r"[ \d]+", line) and line.strip()]
    return [int(label) for line in lines for label in line.split()]


def complaint(*arguments: str | Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that is said of a failure."""
    assert main(["show", *map(str, arguments)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("fastidx: ") and said.count("\n") == 1
    return said


def test_first_images_with_their_labels(images: Path, labels: Path) -> None:
    done = run("show", images, "--labels", labels, "-n", "7", "--first")
    assert (done.returncode, done.stderr) == (0, b"")
    output = done.stdout.decode("ascii")  # a pipe gets no blocks
    assert output.startswith(f"{images}: uint8, 50 x 28 x 28; 7 of 50 images\n")
    assert shown_labels(output) == fastidx.load(labels)[:7].tolist()
    assert "@" in output
    assert max(map(len, output.splitlines()[1:])) <= 80


def test_a_random_choice_can_be_repeated(
    images: Path, labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def drawn(*options: str) -> str:
        assert main(["show", str(images), "--labels", str(labels), "-n", "12", *options]) == 0
        return capsys.readouterr().out

    assert drawn() == drawn() == drawn("--seed", "0") != drawn("--seed", "1")


def test_more_than_there_are(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(images), "-n", "1000"]) == 0
    assert "50 of 50 images" in capsys.readouterr().out


@posix
@pytest.mark.parametrize(
    ("environment", "pattern"),
    [
        ({"COLORTERM": "truecolor"}, r"\x1b\[38;2;\d+;\d+;\d+;48;2;\d+;\d+;\d+m▀"),
        ({"COLORTERM": None}, r"\x1b\[38;5;\d+;48;5;\d+m▀"),
        ({"NO_COLOR": "1"}, r"^[^\x1b]*$"),
        ({"TERM": "dumb"}, r"^[^\x1b]*$"),
    ],
)
def test_terminals(images: Path, environment: dict[str, str | None], pattern: str) -> None:
    assert re.search(pattern, in_terminal(command("show", images), env(environment)))


@posix
def test_a_reader_that_leaves_is_no_failure_to_speak_of(images: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        command("show", images), stdout=writer, stderr=subprocess.PIPE, env=env({})
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_png(
    images: Path, labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra: plot)")
    from matplotlib.image import imread

    out = tmp_path / "sheet.png"
    assert main(["show", str(images), "--labels", str(labels), "--png", str(out)]) == 0
    assert capsys.readouterr().out.endswith(f"wrote {out}\n")
    picture = imread(out)
    assert picture.shape[1] > picture.shape[0] > 100


def test_png_without_matplotlib(
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    said = complaint(images, "--png", tmp_path / "x.png", capsys=capsys)
    assert 'pip install "fastidx[plot]"' in said
    assert not (tmp_path / "x.png").exists()


def test_only_what_is_drawn_is_read(tmp_path: Path) -> None:
    # The file ends behind its tenth image: the first ones can be drawn all the same.
    content = np.random.default_rng(1).integers(0, 256, (3000, 28, 28), np.uint8)
    path = tmp_path / "cut.gz"
    fastidx.save(path, content)
    path.write_bytes(path.read_bytes()[:500_000])
    done = run("show", path, "-n", "3", "--first")
    assert (done.returncode, done.stderr) == (0, b"")
    assert run("show", path, "-n", "3").returncode == 1


@pytest.mark.parametrize("dtype", ["i1", "i4", "f4"])
def test_other_types_are_drawn_from_least_to_greatest(
    dtype: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ramp = np.linspace(-100, 100, 28 * 28).reshape(1, 28, 28).astype(dtype)
    fastidx.save(tmp_path / "x", ramp)
    assert main(["show", str(tmp_path / "x")]) == 0
    lines = capsys.readouterr().out.splitlines()[2:]
    assert lines[0].strip(" .") == "" and set(lines[-1].strip()) == {"@"}


def test_what_cannot_be_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = {
        "labels": (np.zeros(5, np.uint8), "these may be labels"),
        "colours": (np.zeros((2, 3, 3, 3), np.uint8), "only grey images"),
        "none": (np.zeros((2, 0, 3), np.uint8), "nothing to draw"),
        "nan": (np.full((1, 2, 2), np.nan), "finite|NaN|nan"),
    }
    for name, (array, message) in cases.items():
        fastidx.save(tmp_path / name, array)
        assert re.search(message, complaint(tmp_path / name, capsys=capsys))


def test_labels_that_do_not_fit(
    images: Path, labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "expected labels" in complaint(images, "--labels", images, capsys=capsys)
    fastidx.save(tmp_path / "few", fastidx.load(labels)[:-1])
    said = complaint(images, "--labels", tmp_path / "few", capsys=capsys)
    assert "expected 50 labels" in said and "found 49" in said


@pytest.mark.parametrize(
    "options",
    [["-n", "0"], ["-n", "-3"], ["-n", "x"], ["--seed", "-1"], ["--split", "test"]],
)
def test_a_wrong_command_line_is_2(
    options: list[str], images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(["show", str(images), *options])
    assert leaving.value.code == 2
    assert "usage: fastidx" in capsys.readouterr().err


def test_neither_file_nor_data_set(capsys: pytest.CaptureFixture[str]) -> None:
    said = complaint("nowhere", capsys=capsys)
    assert all(name in said for name in ("nowhere", *REAL))


class TestDatasets:
    @pytest.fixture(autouse=True)
    def _offline(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FASTIDX_DATA_DIR", str(tmp_path))
        monkeypatch.setenv("FASTIDX_OFFLINE", "1")

    def test_real_images(
        self, data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("FASTIDX_DATA_DIR", str(data_dir))
        assert main(["show", "MNIST", "--split", "test", "-n", "5", "--first"]) == 0
        output = capsys.readouterr().out
        assert output.startswith("mnist, test: uint8, 10000 x 28 x 28; 5 of 10,000 images\n")
        assert shown_labels(output) == [7, 2, 1, 0, 4]

    def test_offline(self, capsys: pytest.CaptureFixture[str]) -> None:
        said = complaint("fashion-mnist", capsys=capsys)
        assert "FASTIDX_OFFLINE" in said and "train-images-idx3-ubyte.gz" in said

    def test_a_file_is_taken_before_a_data_set(
        self,
        images: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        (tmp_path / "mnist").write_bytes(images.read_bytes())
        monkeypatch.chdir(tmp_path)
        assert main(["show", "mnist"]) == 0
        assert capsys.readouterr().out.startswith("mnist: uint8, 50 x 28 x 28")

    @pytest.mark.parametrize("options", [["--split", "none"], ["--labels", "x"]])
    def test_options_that_a_data_set_has_not(
        self, options: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit):
            main(["show", "mnist", *options])
        assert "argument --" in capsys.readouterr().err
