"""Pictures of images: a figure for notebooks and papers, a sheet of characters for terminals.

matplotlib is optional (``pip install "fastidx[plot]"``) and imported only where it draws.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.figure import Figure

__all__ = [
    "Style",
    "choose",
    "classes",
    "mean_image",
    "require_matplotlib",
    "samples",
    "text_sheet",
]

#: How `text_sheet` draws: in 256 greys of 24-bit colour, in the greys of 256 colours, in quarter
#: blocks, or with a ramp of ASCII characters.
Style = Literal["truecolor", "grey", "blocks", "ascii"]

_FIGURE_COLUMNS = 10
_MOST_DRAWN = 1000  # matplotlib takes seconds for them, and no screen shows more
_ROW_INCHES, _MOST_INCHES, _LEAST_INCHES, _GAP_INCHES = 8, 2.4, 0.1, 0.12
_FONT_INCHES = 11 / 72
_LETTER_SHARE = 0.6  # of the font's height is an average letter's width

# 14 x 7 characters make a square, and 28 pixels are 14 pairs.
_TILE_WIDTH = 14
_GAP = 1

# Quarter blocks, numbered by their inked quarters: upper left 1, upper right 2, lower left 4,
# lower right 8.
_QUARTERS = " ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█"
_HALF = "▀"
_RAMP = " .:-=+*#%@"
_RAMP_EXPONENT = 0.6  # even "@" leaves most of its cell empty: averaged strokes would be too pale
_INKED = 80  # of 255, from where a quarter counts as inked; at half, thin strokes fall apart
_RESET = "\x1b[0m"

_Bytes: TypeAlias = npt.NDArray[np.uint8]


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
    images, values = _checked(images, labels)
    rows = choose(len(images), n, seed)
    captions = [""] * len(rows) if values is None else _captions(values[rows], names)
    return _figure(list(_to_bytes(images[rows])), captions)


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
    images, values = _checked(images, labels)
    found = _distinct(values, n)
    members = [np.flatnonzero(values == value) for value in found]
    chosen = [rows[choose(len(rows), n, seed)] for rows in members]
    drawn = np.concatenate(chosen) if chosen else np.zeros(0, np.intp)
    shades = iter(_to_bytes(images[drawn]))
    columns = [[next(shades) for _ in rows] for rows in chosen]
    cells: list[_Bytes | None] = []
    captions: list[str] = []
    for start in range(0, len(columns), _FIGURE_COLUMNS):
        band = slice(start, start + _FIGURE_COLUMNS)
        width = min(_FIGURE_COLUMNS, len(columns))
        here = columns[band] + [[]] * (width - len(columns[band]))
        for row in range(max(map(len, here))):
            cells += [column[row] if row < len(column) else None for column in here]
            heads = _captions(found[band], names) if row == 0 else []
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
    images, values = _checked(images, labels)
    if not len(images):
        raise ValueError("images must hold one image or more to have a mean, not none")
    if values is None:
        return _figure(list(_to_bytes(images.mean(axis=0, dtype=np.float64)[None])), [""])
    found = _distinct(values, 1)
    means = [images[values == value].mean(axis=0, dtype=np.float64) for value in found]
    return _figure(list(_to_bytes(np.array(means))), _captions(found, names))


def text_sheet(
    images: npt.ArrayLike,
    labels: npt.ArrayLike | None = None,
    *,
    n: int | None = None,
    columns: int = 80,
    style: Style = "blocks",
    width: int = _TILE_WIDTH,
    names: Sequence[str] | None = None,
) -> str:
    """Draw the first images with their labels as lines of characters, for a terminal.

    Parameters
    ----------
    images : array_like, shape (count, height, width)
        Grey images, as for `samples`.
    labels : array_like, shape (count,) or (count, columns), optional
        Written below the images.
    n : int, optional
        How many to draw, at most. By default as many as fit in two rows.
    columns : int
        The terminal's width in characters. Even a narrower one gets one image a row.
    style : {"truecolor", "grey", "blocks", "ascii"}
        "truecolor" draws half blocks in 256 greys of 24-bit colour, "grey" those that a terminal
        with 256 colours has, "blocks" quarter blocks without colour, and "ascii" a ramp of ASCII
        characters.
    width : int
        Characters for the longer side of an image, if it is horizontal.
    names : sequence of str, optional
        What to write for labels: ``names[label]``.

    Returns
    -------
    str
        The lines, without a newline after the last.

    Examples
    --------
    >>> import numpy as np
    >>> stroke = np.zeros((1, 28, 28), np.uint8)
    >>> stroke[0, 4:24, 12:16] = 255
    >>> print(text_sheet(stroke, [1], style="ascii"))  # doctest: +NORMALIZE_WHITESPACE
          @@
          @@
          @@
          @@
          @@
          1
    """
    per_row = max(1, (columns + _GAP) // (width + _GAP))
    images, values = _checked(images, labels)
    rows = choose(len(images), 2 * per_row if n is None else n)
    captions = None if values is None else _captions(values[rows], names)
    size = _tile_size(images.shape[1:], width)
    margins = [(width - size[1]) // 2, (width - size[1] + 1) // 2]
    left, right = (" " * margin for margin in margins)
    gap = " " * _GAP
    tiles = [
        [left + line + right for line in _TILES[style](image, *size)]
        for image in _to_bytes(images[rows])
    ]
    lines: list[str] = []
    for start in range(0, len(tiles), per_row):
        row = slice(start, start + per_row)
        lines += [gap.join(parts) for parts in zip(*tiles[row], strict=True)]
        if captions is not None:
            lines.append(gap.join(_fitted(text, width).center(width) for text in captions[row]))
    return "\n".join(line.rstrip(" ") for line in lines)


def choose(count: int, n: int, seed: int | None = None) -> npt.NDArray[np.intp]:
    """Choose which images to draw.

    Parameters
    ----------
    count : int
        How many there are.
    n : int
        How many to draw, at most.
    seed : int, optional
        Choose at random, the same ones for the same seed. Without it: the first `n`.

    Returns
    -------
    ndarray of intp
        Their numbers.

    Examples
    --------
    >>> from fastidx.plots import choose
    >>> choose(100, 3)
    array([0, 1, 2])
    >>> len(set(choose(100, 3, seed=0)) & set(range(100)))
    3
    """
    if n < 0:
        raise ValueError(f"n must be 0 or more, not {n}")
    n = min(n, count)
    if seed is None:
        return np.arange(n, dtype=np.intp)
    chosen = np.random.default_rng(seed).choice(count, n, replace=False) if n else np.arange(0)
    return chosen.astype(np.intp)


def _checked(images: npt.ArrayLike, labels: npt.ArrayLike | None) -> tuple[npt.NDArray[Any], Any]:
    """Return the images and one label for each, or None, as arrays whose shapes fit."""
    images = np.asarray(images)
    if images.ndim != 3 or 0 in images.shape[1:]:
        raise ValueError(
            f"images must have the shape (count, height, width), not {images.shape}; "
            "index or reshape the array to that"
        )
    if labels is None:
        return images, None
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1]:
        labels = labels[:, 0]
    if labels.shape != images.shape[:1]:
        raise ValueError(
            f"labels must have the shape {images.shape[:1]}, one for each image, not {labels.shape}"
        )
    return images, labels


def _captions(labels: npt.NDArray[Any], names: Sequence[str] | None) -> list[str]:
    """Return the text of each label: its class's name, or the label where it has none."""
    if names is None:
        return [str(label) for label in labels]
    known = dict(enumerate(names))
    return [known.get(label, str(label)) for label in labels.tolist()]


def _distinct(labels: npt.NDArray[Any], n: int) -> npt.NDArray[Any]:
    """Return the classes, if `n` images of each fit into a figure."""
    found: npt.NDArray[Any] = np.unique(labels)
    if len(found) * n > _MOST_DRAWN:
        raise ValueError(
            f"labels hold {len(found):,} different values: expected at most {_MOST_DRAWN:,} images "
            f"in all to draw, found {len(found):,} x {n:,}; choose fewer"
        )
    return found


def _figure(cells: Sequence[_Bytes | None], captions: Sequence[str]) -> Figure:
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


def _to_bytes(images: npt.NDArray[Any]) -> _Bytes:
    """Return the images as uint8, whatever they hold."""
    if images.dtype == np.uint8 or images.size == 0:
        return images.astype(np.uint8)
    values = images.astype(np.float64)
    low, high = values.min(), values.max()
    if not np.isfinite(low) or not np.isfinite(high):
        raise ValueError("images hold NaN or infinite values, which have no shade of grey")
    # Halved, since the difference of two large numbers may be none.
    span = high / 2 - low / 2
    shares = (values / 2 - low / 2) / (span or 1.0)
    shades: _Bytes = np.round(shares * 255).astype(np.uint8)
    return shades


def _tile_size(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    """Return the lines and columns for an image in a square whose sides are `side` wide.

    A character is about twice as tall as it is wide.
    """
    height, width = shape
    longer = max(height, width)
    lines, columns = round(side / 2 * height / longer), round(side * width / longer)
    return max(1, lines), max(1, columns)


def _fitted(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}."


def _pool(image: _Bytes, rows: int, columns: int) -> _Bytes:
    """Average the image over a grid of `rows` x `columns` cells, whatever its size."""
    height, width = image.shape
    pooled = _overlaps(rows, height) @ image @ _overlaps(columns, width).T
    return np.round(pooled).astype(np.uint8)


def _overlaps(cells: int, pixels: int) -> npt.NDArray[np.float64]:
    """Return the share of each pixel (columns) in the average of each cell (rows)."""
    edges = np.arange(cells + 1) * (pixels / cells)
    first = np.arange(pixels)
    ends = np.minimum(edges[1:, None], first + 1)
    starts = np.maximum(edges[:-1, None], first)
    shares: npt.NDArray[np.float64] = np.maximum(ends - starts, 0) * (cells / pixels)
    return shares


def _half_block_tile(
    image: _Bytes, lines: int, columns: int, codes: Callable[[_Bytes], list[str]], form: str
) -> list[str]:
    """Half blocks: the upper pixel is the character's colour, the lower its background."""
    shades = _pool(image, 2 * lines, columns)
    drawn = []
    for upper, lower in zip(shades[::2], shades[1::2], strict=True):
        line, last = "", None
        for pair in zip(codes(upper), codes(lower), strict=True):
            if pair != last:
                line += form.format(*pair)
            line, last = line + _HALF, pair
        drawn.append(line + _RESET)
    return drawn


def _truecolor_tile(image: _Bytes, lines: int, columns: int) -> list[str]:
    form = "\x1b[38;2;{};48;2;{}m"
    return _half_block_tile(image, lines, columns, _rgb, form)


def _grey_tile(image: _Bytes, lines: int, columns: int) -> list[str]:
    return _half_block_tile(image, lines, columns, _palette, "\x1b[38;5;{};48;5;{}m")


def _rgb(shades: _Bytes) -> list[str]:
    return [f"{shade};{shade};{shade}" for shade in shades.tolist()]


def _palette(shades: _Bytes) -> list[str]:
    """Map 0..255 to a 256-colour terminal's black (16), 24 greys (232 to 255) and white (231)."""
    steps = ((shades.astype(int) * 26) >> 8).tolist()
    return ["16" if step == 0 else "231" if step == 25 else str(231 + step) for step in steps]


def _block_tile(image: _Bytes, lines: int, columns: int) -> list[str]:
    """Quarter blocks: four pixels to a character, inked or not."""
    inked = (_pool(image, 2 * lines, 2 * columns) >= _INKED).astype(int)
    codes = inked[::2, ::2] + 2 * inked[::2, 1::2] + 4 * inked[1::2, ::2] + 8 * inked[1::2, 1::2]
    return ["".join(_QUARTERS[code] for code in row) for row in codes.tolist()]


def _ascii_tile(image: _Bytes, lines: int, columns: int) -> list[str]:
    """One character of the ramp for each cell."""
    shares = _pool(image, lines, columns) / 256
    steps = (shares**_RAMP_EXPONENT * len(_RAMP)).astype(int)
    return ["".join(_RAMP[step] for step in row) for row in steps.tolist()]


_TILES: dict[Style, Callable[[_Bytes, int, int], list[str]]] = {
    "truecolor": _truecolor_tile,
    "grey": _grey_tile,
    "blocks": _block_tile,
    "ascii": _ascii_tile,
}
