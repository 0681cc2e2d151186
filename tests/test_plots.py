"""Contact sheets: what each character and each shade stands for, and the figure's layout."""

from __future__ import annotations

import re
import sys
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastidx import plots
from fastidx.plots import Style, samples, text_sheet
from fastidx.synthetic import digits

STYLES: tuple[Style, ...] = ("grey", "blocks", "ascii")


def flat(value: int, count: int = 1) -> np.ndarray:
    return np.full((count, 28, 28), value, np.uint8)


def visible(line: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", line)


def quarters(character: str) -> set[str]:
    """Return the inked quarters of a block, from its Unicode name."""
    name = unicodedata.name(character)
    whole = {"UPPER LEFT", "UPPER RIGHT", "LOWER LEFT", "LOWER RIGHT"}
    if name in ("SPACE", "FULL BLOCK"):
        return whole if name == "FULL BLOCK" else set()
    if name.endswith("HALF BLOCK"):
        return {quarter for quarter in whole if name.split()[0] in quarter}
    return set(name.removeprefix("QUADRANT ").split(" AND ")) & whole


def test_every_quarter_is_drawn_where_it_is() -> None:
    for code in range(16):
        image = np.zeros((1, 14, 28), np.uint8)
        expected = set()
        for bit, (row, column) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
            if code >> bit & 1:
                image[0, row, column] = 255
                expected.add(f"{('UPPER', 'LOWER')[row]} {('LEFT', 'RIGHT')[column]}")
        assert quarters(text_sheet(image, style="blocks").partition("\n")[0] or " ") == expected


@pytest.mark.parametrize("style", STYLES)
def test_left_half_is_drawn_left(style: Style) -> None:
    image = flat(0)
    image[0, :, :14] = 255
    lines = text_sheet(image, style=style).split("\n")
    expected = {
        "grey": f"\x1b[38;5;231;48;5;231m{'▀' * 7}\x1b[38;5;16;48;5;16m{'▀' * 7}\x1b[0m",
        "blocks": "█" * 7,
        "ascii": "@" * 7,
    }
    assert lines == [expected[style]] * 7


def test_upper_half_is_drawn_above() -> None:
    image = flat(0)
    image[0, :14] = 255
    assert text_sheet(image, style="blocks").split("\n") == ["█" * 14] * 3 + ["▀" * 14] + [""] * 3
    middle = text_sheet(image, style="grey").split("\n")[3]
    assert middle == f"\x1b[38;5;231;48;5;16m{'▀' * 14}\x1b[0m"


def test_greys_grow_with_brightness() -> None:
    """16 is black, 232 to 255 are the greys from dark to light, 231 is white."""
    shown = []
    for value in range(256):
        (colour,) = set(re.findall(r"38;5;(\d+)", text_sheet(flat(value), style="grey")))
        shown.append(int(colour))
    order = [16, *range(232, 256), 231]
    ranks = [order.index(colour) for colour in shown]
    assert ranks == sorted(ranks)
    assert set(shown) == set(order)


def test_ascii_ramp_grows_with_brightness() -> None:
    shown = [
        (text_sheet(flat(value), style="ascii").partition("\n")[0] or " ")[0]
        for value in range(256)
    ]
    assert list(dict.fromkeys(shown)) == list(" .:-=+*#%@")


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(("columns", "per_row"), [(80, 5), (74, 5), (73, 4), (14, 1), (3, 1)])
def test_geometry(style: Style, columns: int, per_row: int) -> None:
    images, labels = digits(40)
    lines = text_sheet(images, labels, columns=columns, style=style).split("\n")
    assert len(lines) == 2 * (7 + 1)
    assert max(len(visible(line)) for line in lines) <= max(columns, 14)
    assert lines[7].split() == [str(label) for label in labels[:per_row]]
    assert lines[15].split() == [str(label) for label in labels[per_row : 2 * per_row]]


def test_labels_stand_below_the_middle_of_their_images() -> None:
    lines = text_sheet(flat(255, 2), [3, 8], style="blocks").split("\n")
    assert lines[0] == "█" * 14 + " " + "█" * 14
    assert lines[7].index("3") in (6, 7)
    assert lines[7].index("8") in (21, 22)


def test_n_limits_and_is_limited() -> None:
    assert len(text_sheet(flat(255, 3), n=1, style="ascii").split("\n")[0]) == 14
    assert len(text_sheet(flat(255, 3), n=100, style="ascii").split("\n")[0]) == 3 * 15 - 1
    assert text_sheet(flat(255, 3), n=0) == ""


@pytest.mark.parametrize("shape", [(1, 1), (7, 14), (5, 3), (100, 31)])
def test_any_size_fills_the_tile(shape: tuple[int, int]) -> None:
    image = np.full((1, *shape), 255, np.uint8)
    assert text_sheet(image, style="blocks").split("\n") == ["█" * 14] * 7


def test_other_types_are_stretched_from_least_to_greatest() -> None:
    image = np.zeros((1, 28, 28))
    image[0, :, 14:] = -0.5
    assert text_sheet(image, style="ascii").split("\n") == ["@" * 7] * 7
    assert text_sheet(np.full((1, 28, 28), 7.0), style="ascii").split("\n") == [""] * 7


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((28, 28)), None, r"shape \(count, height, width\), not \(28, 28\)"),
        (np.zeros((2, 0, 28)), None, r"not \(2, 0, 28\)"),
        (np.zeros((2, 28, 28)), [1, 2, 3], r"labels must have the shape \(2,\).* not \(3,\)"),
        (np.full((1, 4, 4), np.nan), None, "NaN"),
    ],
)
def test_misfits_are_refused(images: np.ndarray, labels: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        text_sheet(images, labels)


def test_samples_without_matplotlib_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=re.escape('pip install "fastidx[plot]"')):
        samples(flat(0))


class TestFigure:
    """With matplotlib."""

    @pytest.fixture(autouse=True)
    def _matplotlib(self) -> None:
        pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra: plot)")

    def test_grid_and_titles(self) -> None:
        images, labels = digits(60)
        figure = samples(images, labels, n=13)
        drawn = [axes for axes in figure.axes if axes.images]
        assert len(figure.axes) == 20
        assert [axes.get_title() for axes in drawn] == [str(label) for label in labels[:13]]
        for axes, image in zip(drawn, images, strict=False):
            np.testing.assert_array_equal(axes.images[0].get_array(), image)

    def test_shades_do_not_depend_on_the_image(self) -> None:
        assert samples(flat(100)).axes[0].images[0].get_clim() == (0, 255)

    def test_seed_chooses(self) -> None:
        images, labels = digits(200)

        def titles(seed: int | None) -> list[str]:
            return [axes.get_title() for axes in samples(images, labels, 20, seed).axes]

        assert titles(5) == titles(5)
        assert titles(5) != titles(6)
        assert titles(None) == [str(label) for label in labels[:20]]

    def test_no_image(self) -> None:
        assert not any(axes.images for axes in samples(flat(0, 0)).axes)

    def test_png(self, tmp_path: Path) -> None:
        from matplotlib.image import imread

        path = tmp_path / "sheet.png"
        samples(*digits(30)).savefig(path)
        picture = imread(path)
        assert picture.shape[1] > picture.shape[0] > 100
        assert 0.05 < (picture[..., 0] < 0.1).mean() < 0.9

    def test_pyplot_stays_out(self) -> None:
        before = "matplotlib.pyplot" in sys.modules
        samples(flat(0))
        assert ("matplotlib.pyplot" in sys.modules) == before


def test_importing_plots_does_not_import_matplotlib() -> None:
    import subprocess

    code = "import sys, fastidx.plots; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert plots.__all__ == sorted(plots.__all__)
