"""Contact sheets: what each character and each shade stands for, and the figure's layout."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Callable
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
        image = np.zeros((1, 28, 28), np.uint8)
        expected = set()
        for bit, (row, column) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
            if code >> bit & 1:
                image[0, 2 * row : 2 * row + 2, column] = 255
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


@pytest.mark.parametrize(
    ("shape", "lines", "width"),
    [((1, 1), 7, 14), ((7, 14), 4, 14), ((5, 3), 7, 8), ((100, 31), 7, 4), ((3, 60), 1, 14)],
)
def test_any_size_keeps_its_proportions(shape: tuple[int, int], lines: int, width: int) -> None:
    # A character is twice as high as it is wide.
    image = np.full((1, *shape), 255, np.uint8)
    margin = " " * ((14 - width) // 2)
    assert text_sheet(image, style="blocks").split("\n") == [margin + "█" * width] * lines


def test_true_colours() -> None:
    image = flat(0)
    image[0, :14] = 200
    lines = text_sheet(image, style="truecolor").split("\n")
    assert lines[0] == f"\x1b[38;2;200;200;200;48;2;200;200;200m{'▀' * 14}\x1b[0m"
    assert lines[3] == f"\x1b[38;2;200;200;200;48;2;0;0;0m{'▀' * 14}\x1b[0m"


def test_names_stand_for_labels() -> None:
    lines = text_sheet(flat(0, 2), [1, 0], style="ascii", names=["a name that is long", "b"])
    assert lines.splitlines()[-1].split() == ["b", "a", "name", "that", "i."]


def test_first_column_of_several_is_the_label() -> None:
    labels = np.array([[7, 1, 2], [8, 3, 4]])
    assert text_sheet(flat(0, 2), labels, style="ascii").split() == ["7", "8"]


def test_choose() -> None:
    assert plots.choose(10, 4).tolist() == [0, 1, 2, 3]
    assert plots.choose(3, 10).tolist() == [0, 1, 2]
    chosen = plots.choose(1000, 50, seed=1)
    assert len(set(chosen)) == 50 and chosen.min() >= 0 and chosen.max() < 1000
    assert chosen.tolist() == plots.choose(1000, 50, seed=1).tolist()
    assert chosen.tolist() != plots.choose(1000, 50, seed=2).tolist()
    assert plots.choose(0, 5, seed=1).tolist() == []
    with pytest.raises(ValueError, match="n must be 0 or more, not -1"):
        plots.choose(10, -1)


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

    def test_classes(self) -> None:
        images, _ = digits(6)
        names = ["zero", "one", "two", *"3456789"]
        figure = plots.classes(images, [2, 0, 2, 2, 0, 9], 2, names=names)
        drawn = [axes.images[0].get_array() if axes.images else None for axes in figure.axes]
        assert [axes.get_title() for axes in figure.axes[:3]] == ["zero", "two", "9"]
        expected = [images[1], images[0], images[5], images[4], images[2], None]
        for found, image in zip(drawn, expected, strict=True):
            np.testing.assert_array_equal(found, image)

    def test_classes_at_random(self) -> None:
        images, labels = digits(300)

        def picture(seed: int | None) -> bytes:
            axes = plots.classes(images, labels, 3, seed).axes
            return b"".join(
                np.asarray(one.images[0].get_array()).tobytes() for one in axes if one.images
            )

        assert picture(1) == picture(1) != picture(2) != picture(None)

    def test_more_classes_than_stand_in_a_row(self) -> None:
        images = np.zeros((47, 3, 3), np.uint8)
        figure = plots.classes(images, np.arange(47))
        titles = [axes.get_title() for axes in figure.axes if axes.images]
        assert titles == [str(number) for number in range(47)]

    def test_mean_image_of_all(self) -> None:
        images = np.array([[[0, 10]], [[20, 90]]], np.uint8)
        (axes,) = [axes for axes in plots.mean_image(images).axes if axes.images]
        np.testing.assert_array_equal(axes.images[0].get_array(), [[0, 255]])  # of 10 and 50

    def test_mean_image_of_each_class(self) -> None:
        images = np.array([[[0, 10]], [[20, 90]], [[10, 110]]], np.uint8)
        figure = plots.mean_image(images, [1, 0, 1], names=["first", "second"])
        drawn = {
            axes.get_title(): np.asarray(axes.images[0].get_array()).tolist()
            for axes in figure.axes
        }
        # Means of 20, 90 and of 5, 60, from the least to the greatest.
        assert drawn == {"first": [[45, 255]], "second": [[0, 165]]}

    @pytest.mark.parametrize(
        ("draw", "message"),
        [
            (lambda: plots.mean_image(np.zeros((0, 2, 2))), "one image or more"),
            (lambda: plots.mean_image(np.zeros((2, 2))), "shape .count, height, width."),
            (lambda: plots.classes(flat(0, 2), [1]), "labels must"),
            (lambda: plots.classes(flat(0, 2), [1, 2], 0), "n must be 1 or more"),
            (lambda: samples(np.full((1, 2, 2), np.nan)), "finite|NaN|nan"),
        ],
    )
    def test_what_cannot_be_drawn(self, draw: Callable[[], object], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            draw()

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
