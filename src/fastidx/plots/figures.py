"""Figures of images, drawn by matplotlib."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .choice import Bytes, captions_of, checked, choose, to_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

__all__ = ["classes", "mean_image", "require_matplotlib", "samples"]

_FIGURE_COLUMNS = 10
_MOST_DRAWN = 1000  # matplotlib takes seconds for them, and no screen shows more
_ROW_INCHES, _MOST_INCHES, _LEAST_INCHES, _GAP_INCHES = 8, 2.4, 0.1, 0.12
_FONT_INCHES = 11 / 72
_LETTER_SHARE = 0.6  # an average letter's width, as a share of the font's height


def require_matplotlib() -> None:
    """Raise an ImportError that names the install command unless matplotlib can be imported."""
    try:
        import_module("matplotlib")
    except ImportError as error:
        raise ImportError(
            "drawing a picture needs matplotlib, which is not installed here; "
            'install it with: pip install "fastidx[plot]"'
        ) from error


def samples(
    images: npt.ArrayLike,
    labels: npt.ArrayLike | None = None,
    n: int = 30,
    seed: int | None = None,
    *,
    names: Sequence[str] | None = None,
) -> Figure:
    """Draw a grid of images with their labels; ten or fewer are a row.

    Parameters
    ----------
    images : array_like, shape (count, height, width)
        Grey images. uint8 is drawn from 0, black, to 255, white; any other type from the smallest
        to the largest value of what is drawn.
    labels : array_like, shape (count,) or (count, columns), optional
        Written over the images. Of several columns, as QMNIST has, the first.
    n : int
        How many to draw, at most.
    seed : int, optional
        Draw a random choice, the same one for the same seed. Without it: the first `n`.
    names : sequence of str, optional
        What to write for labels: ``names[label]``. See `fastidx.datasets.classes`.

    Returns
    -------
    matplotlib.figure.Figure
        Independent of pyplot: it needs no display and no closing. ``figure.savefig(path)``
        writes it.

    Raises
    ------
    ImportError
        When matplotlib is missing; the message names the install command.
    ValueError
        When the shapes do not fit together, or `n` asks for more than a figure can show.

    Examples
    --------
    >>> from fastidx.synthetic import digits
    >>> figure = samples(*digits(20), n=10)  # doctest: +SKIP
    >>> figure.savefig("digits.png")  # doctest: +SKIP
    """
    require_matplotlib()
    images, values = checked(images, labels)
    rows = choose(len(images), n, seed)
    captions = [""] * len(rows) if values is None else captions_of(values[rows], names)
    return _figure(list(to_bytes(images[rows])), captions)


def classes(
    images: npt.ArrayLike,
    labels: npt.ArrayLike,
    n: int = 1,
    seed: int | None = None,
    *,
    names: Sequence[str] | None = None,
) -> Figure:
    """Draw one or several examples of each class, under its name.

    Parameters
    ----------
    images, labels, names
        As for `samples`.
    n : int
        How many of each class, in a column. Where there are fewer, the column is shorter.
    seed : int, optional
        Draw a random choice, the same one for the same seed. Without it: the first `n` of each.

    Returns
    -------
    matplotlib.figure.Figure
        As for `samples`.

    Raises
    ------
    ImportError, ValueError
        As for `samples`.

    Examples
    --------
    >>> from fastidx.synthetic import digits
    >>> figure = classes(*digits(200), n=3)  # doctest: +SKIP
    """
    require_matplotlib()
    if n < 1:
        raise ValueError(f"n must be 1 or more, not {n}")
    images, values = checked(images, labels)
    found = _distinct(values, n)
    members = [np.flatnonzero(values == value) for value in found]
    chosen = [rows[choose(len(rows), n, seed)] for rows in members]
    drawn = np.concatenate(chosen) if chosen else np.zeros(0, np.intp)
    shades = iter(to_bytes(images[drawn]))
    columns = [[next(shades) for _ in rows] for rows in chosen]
    cells: list[Bytes | None] = []
    captions: list[str] = []
    for start in range(0, len(columns), _FIGURE_COLUMNS):
        band = slice(start, start + _FIGURE_COLUMNS)
        width = min(_FIGURE_COLUMNS, len(columns))
        here = columns[band] + [[]] * (width - len(columns[band]))
        for row in range(max(map(len, here))):
            cells += [column[row] if row < len(column) else None for column in here]
            heads = captions_of(found[band], names) if row == 0 else []
            captions += heads + [""] * (width - len(heads))
    return _figure(cells, captions)


def mean_image(
    images: npt.ArrayLike,
    labels: npt.ArrayLike | None = None,
    *,
    names: Sequence[str] | None = None,
) -> Figure:
    """Draw the mean of all images or, with labels, that of each class.

    Parameters
    ----------
    images, labels, names
        As for `samples`; without labels, the mean of all is drawn. The means are drawn from the
        smallest to the largest value among them.

    Returns
    -------
    matplotlib.figure.Figure
        As for `samples`.

    Raises
    ------
    ImportError, ValueError
        As for `samples`; also when there is no image.

    Examples
    --------
    >>> from fastidx.synthetic import digits
    >>> figure = mean_image(*digits(200))  # doctest: +SKIP
    """
    require_matplotlib()
    images, values = checked(images, labels)
    if not len(images):
        raise ValueError("images must hold one image or more to have a mean, not none")
    if values is None:
        return _figure(list(to_bytes(images.mean(axis=0, dtype=np.float64)[None])), [""])
    found = _distinct(values, 1)
    means = [images[values == value].mean(axis=0, dtype=np.float64) for value in found]
    return _figure(list(to_bytes(np.array(means))), captions_of(found, names))


def _distinct(labels: npt.NDArray[Any], n: int) -> npt.NDArray[Any]:
    """Return the classes, if `n` images of each fit into a figure."""
    found: npt.NDArray[Any] = np.unique(labels)
    if len(found) * n > _MOST_DRAWN:
        raise ValueError(
            f"labels hold {len(found):,} different values: expected at most {_MOST_DRAWN:,} images "
            f"in all to draw, found {len(found):,} x {n:,}; choose fewer"
        )
    return found


def _figure(cells: Sequence[Bytes | None], captions: Sequence[str]) -> Figure:
    """Draw a grid with captions, row by row; None leaves a cell empty."""
    from matplotlib.figure import Figure

    if len(cells) > _MOST_DRAWN:
        raise ValueError(
            f"n: expected at most {_MOST_DRAWN:,} images for one figure, found {len(cells):,}; "
            "draw fewer"
        )
    columns = max(1, min(_FIGURE_COLUMNS, len(cells)))
    rows = max(1, -(-len(cells) // columns))
    size = next((cell.shape for cell in cells if cell is not None), (1, 1))
    inches = min(_MOST_INCHES, _ROW_INCHES / columns)
    layout = _Layout.of(size, inches, max(map(len, captions), default=0))
    figure = Figure(figsize=(columns * layout.across, rows * layout.down))
    figure.set_facecolor("white")
    for number in range(rows * columns):
        row, column = divmod(number, columns)
        axes = figure.add_axes(layout.place(rows, columns, row, column))
        axes.set_axis_off()
        if number < len(cells):
            axes.set_title(captions[number], fontsize=_FONT_INCHES * 72, pad=3)
            if (image := cells[number]) is not None:
                axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    return figure


class _Layout(NamedTuple):
    """Sizes of a figure's cells, in inches; matplotlib's own layouts take 30 ms for each."""

    across: float
    down: float
    width: float
    height: float

    @classmethod
    def of(cls, size: tuple[int, int], inches: float, longest_caption: int) -> _Layout:
        """Plan for images of this height and width, and captions of so many letters.

        The longer side of an image is to have so many inches.
        """
        width = height = inches
        if size[0] > size[1]:
            width = max(_LEAST_INCHES, height * size[1] / size[0])
        else:
            height = max(_LEAST_INCHES, width * size[0] / size[1])
        letters = longest_caption * _LETTER_SHARE * _FONT_INCHES
        head = 1.6 * _FONT_INCHES if longest_caption else 0.0
        return cls(max(width, letters) + _GAP_INCHES, height + head + _GAP_INCHES, width, height)

    def place(
        self, rows: int, columns: int, row: int, column: int
    ) -> tuple[float, float, float, float]:
        """Return where an image goes: left, bottom, width and height, as shares of the figure."""
        total_width, total_height = columns * self.across, rows * self.down
        left = column * self.across + (self.across - self.width) / 2
        bottom = total_height - (row + 1) * self.down + _GAP_INCHES / 2
        return (
            left / total_width,
            bottom / total_height,
            self.width / total_width,
            self.height / total_height,
        )
