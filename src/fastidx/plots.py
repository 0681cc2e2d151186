"""Pictures of images: a figure for notebooks and papers, a sheet of characters for terminals.

matplotlib is optional (``pip install "fastidx[plot]"``) and imported only where it draws.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

__all__ = ["Style", "require_matplotlib", "samples", "text_sheet"]

#: How `text_sheet` draws: 256-colour greys, quarter blocks, or a ramp of ASCII characters.
Style = Literal["grey", "blocks", "ascii"]

_FIGURE_COLUMNS = 10

# A character is about twice as tall as it is wide, so that 14 x 7 of them make a square.
_TILE_WIDTH, _TILE_HEIGHT = 14, 7
_GAP = 1

# Quarter blocks, numbered by their inked quarters: upper left 1, upper right 2, lower left 4,
# lower right 8.
_QUARTERS = " ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█"
_HALF = "▀"
_RAMP = " .:-=+*#%@"
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
) -> Figure:
    """Draw a grid of images with their labels.

    Parameters
    ----------
    images : array_like, shape (count, height, width)
        Grey images. uint8 is drawn from 0, black, to 255, white; any other type from its
        smallest to its largest value.
    labels : array_like, shape (count,), optional
        Written over the images.
    n : int
        How many to draw, at most.
    seed : int, optional
        Draw a random choice, the same one for the same seed. Without it: the first `n`.

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
        When the shapes do not fit together.

    Examples
    --------
    >>> from fastidx.synthetic import digits
    >>> figure = samples(*digits(20), n=10)  # doctest: +SKIP
    >>> figure.savefig("digits.png")  # doctest: +SKIP
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    chosen, names = _choose(images, labels, n, seed)
    columns = max(1, min(_FIGURE_COLUMNS, len(chosen)))
    rows = max(1, -(-len(chosen) // columns))
    figure = Figure(figsize=(columns * 0.9, rows * 1.1), layout="constrained")
    figure.set_facecolor("white")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, image, name in zip(grid.flat, _to_bytes(chosen), names, strict=False):
        axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_title(name)
    return figure


def text_sheet(
    images: npt.ArrayLike,
    labels: npt.ArrayLike | None = None,
    *,
    n: int | None = None,
    columns: int = 80,
    style: Style = "blocks",
) -> str:
    """Draw the first images with their labels as lines of characters, for a terminal.

    Parameters
    ----------
    images : array_like, shape (count, height, width)
        Grey images, as for `samples`; each becomes 14 x 7 characters.
    labels : array_like, shape (count,), optional
        Written below the images.
    n : int, optional
        How many to draw, at most. By default as many as fit in two rows.
    columns : int
        The terminal's width in characters. Even a narrower one gets one image a row.
    style : {"blocks", "grey", "ascii"}
        "grey" draws half blocks in the greys of a terminal with 256 colours, "blocks" quarter
        blocks without colour, and "ascii" a ramp of ASCII characters.

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
    per_row = max(1, (columns + _GAP) // (_TILE_WIDTH + _GAP))
    chosen, names = _choose(images, labels, 2 * per_row if n is None else n, None)
    tiles = [_TILES[style](image) for image in _to_bytes(chosen)]
    lines: list[str] = []
    for start in range(0, len(tiles), per_row):
        row = slice(start, start + per_row)
        lines += [(" " * _GAP).join(parts) for parts in zip(*tiles[row], strict=True)]
        if labels is not None:
            captions = [name.center(_TILE_WIDTH) for name in names[row]]
            lines.append((" " * _GAP).join(captions))
    return "\n".join(line.rstrip(" ") for line in lines)


def _choose(
    images: npt.ArrayLike, labels: npt.ArrayLike | None, n: int, seed: int | None
) -> tuple[npt.NDArray[Any], list[str]]:
    """Check the arguments; return up to `n` images and their labels as text."""
    images = np.asarray(images)
    if images.ndim != 3 or 0 in images.shape[1:]:
        raise ValueError(
            f"images must have the shape (count, height, width), not {images.shape}; "
            "index or reshape the array to that"
        )
    if n < 0:
        raise ValueError(f"n must be 0 or more, not {n}")
    n = min(n, len(images))
    if seed is None:
        rows = np.arange(n)
    else:
        rows = np.random.default_rng(seed).choice(len(images), n, replace=False)
    if labels is None:
        return images[rows], [""] * n
    labels = np.asarray(labels)
    if labels.shape != images.shape[:1]:
        raise ValueError(
            f"labels must have the shape {images.shape[:1]}, one for each image, not {labels.shape}"
        )
    return images[rows], [str(label) for label in labels[rows]]


def _to_bytes(images: npt.NDArray[Any]) -> _Bytes:
    """Return the images as uint8, whatever they hold."""
    if images.dtype == np.uint8 or images.size == 0:
        return images.astype(np.uint8)
    values = images.astype(np.float64)
    low, high = values.min(), values.max()
    if not np.isfinite(high - low):
        raise ValueError("images hold NaN or infinite values, which have no shade of grey")
    shades: _Bytes = np.round((values - low) * (255.0 / ((high - low) or 1.0))).astype(np.uint8)
    return shades


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


def _grey_tile(image: _Bytes) -> list[str]:
    """Half blocks: the upper pixel is the character's colour, the lower its background."""
    shades = _pool(image, 2 * _TILE_HEIGHT, _TILE_WIDTH)
    lines = []
    for upper, lower in zip(shades[::2], shades[1::2], strict=True):
        line, last = "", None
        for pair in zip(_palette(upper), _palette(lower), strict=True):
            if pair != last:
                line += "\x1b[38;5;{};48;5;{}m".format(*pair)
            line, last = line + _HALF, pair
        lines.append(line + _RESET)
    return lines


def _palette(shades: _Bytes) -> list[int]:
    """Map 0..255 to a 256-colour terminal's black (16), 24 greys (232 to 255) and white (231)."""
    steps = (shades.astype(int) * 26) >> 8
    return [16 if step == 0 else 231 if step == 25 else 231 + step for step in steps.tolist()]


def _block_tile(image: _Bytes) -> list[str]:
    """Quarter blocks: four pixels to a character, inked or not."""
    inked = (_pool(image, 2 * _TILE_HEIGHT, 2 * _TILE_WIDTH) >= _INKED).astype(int)
    codes = inked[::2, ::2] + 2 * inked[::2, 1::2] + 4 * inked[1::2, ::2] + 8 * inked[1::2, 1::2]
    return ["".join(_QUARTERS[code] for code in row) for row in codes.tolist()]


def _ascii_tile(image: _Bytes) -> list[str]:
    """One character of the ramp for each cell."""
    shades = _pool(image, _TILE_HEIGHT, _TILE_WIDTH).astype(int)
    steps = (shades * len(_RAMP)) >> 8
    return ["".join(_RAMP[step] for step in row) for row in steps.tolist()]


_TILES: dict[Style, Callable[[_Bytes], list[str]]] = {
    "grey": _grey_tile,
    "blocks": _block_tile,
    "ascii": _ascii_tile,
}
