"""Sheets of images, drawn with the characters of a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from .choice import Bytes, captions_of, checked, choose, to_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Style", "text_sheet"]

#: `text_sheet` draws in 256 greys of 24-bit colour, in the greys of 256 colours, in quarter blocks,
#: or with a ramp of ASCII characters.
Style = Literal["truecolor", "grey", "blocks", "ascii"]

# 14 x 7 characters make a square, and 28 pixels are 14 pairs.
_TILE_WIDTH = 14
_GAP = 1

# Quarter blocks, numbered by their inked quarters: upper left 1, upper right 2, lower left 4,
# lower right 8.
_QUARTERS = " ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█"
_HALF = "▀"
_RAMP = " .:-=+*#%@"
_RAMP_EXPONENT = 0.6  # even "@" leaves most of its cell empty: averaged strokes would be too pale
_INKED = 80  # of 255: a quarter this bright counts as inked; at 128, thin strokes fall apart
_RESET = "\x1b[0m"


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
    images, values = checked(images, labels)
    rows = choose(len(images), 2 * per_row if n is None else n)
    captions = None if values is None else captions_of(values[rows], names)
    size = _tile_size(images.shape[1:], width)
    margins = [(width - size[1]) // 2, (width - size[1] + 1) // 2]
    left, right = (" " * margin for margin in margins)
    gap = " " * _GAP
    tiles = [
        [left + line + right for line in _TILES[style](image, *size)]
        for image in to_bytes(images[rows])
    ]
    lines: list[str] = []
    for start in range(0, len(tiles), per_row):
        row = slice(start, start + per_row)
        lines += [gap.join(parts) for parts in zip(*tiles[row], strict=True)]
        if captions is not None:
            lines.append(gap.join(_fitted(text, width).center(width) for text in captions[row]))
    return "\n".join(line.rstrip(" ") for line in lines)


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


def _pool(image: Bytes, rows: int, columns: int) -> Bytes:
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
    image: Bytes, lines: int, columns: int, codes: Callable[[Bytes], list[str]], form: str
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


def _truecolor_tile(image: Bytes, lines: int, columns: int) -> list[str]:
    form = "\x1b[38;2;{};48;2;{}m"
    return _half_block_tile(image, lines, columns, _rgb, form)


def _grey_tile(image: Bytes, lines: int, columns: int) -> list[str]:
    return _half_block_tile(image, lines, columns, _palette, "\x1b[38;5;{};48;5;{}m")


def _rgb(shades: Bytes) -> list[str]:
    return [f"{shade};{shade};{shade}" for shade in shades.tolist()]


def _palette(shades: Bytes) -> list[str]:
    """Map 0..255 to a 256-colour terminal's black (16), 24 greys (232 to 255) and white (231)."""
    steps = ((shades.astype(int) * 26) >> 8).tolist()
    return ["16" if step == 0 else "231" if step == 25 else str(231 + step) for step in steps]


def _block_tile(image: Bytes, lines: int, columns: int) -> list[str]:
    """Quarter blocks: four pixels to a character, inked or not."""
    inked = (_pool(image, 2 * lines, 2 * columns) >= _INKED).astype(int)
    codes = inked[::2, ::2] + 2 * inked[::2, 1::2] + 4 * inked[1::2, ::2] + 8 * inked[1::2, 1::2]
    return ["".join(_QUARTERS[code] for code in row) for row in codes.tolist()]


def _ascii_tile(image: Bytes, lines: int, columns: int) -> list[str]:
    """One character of the ramp for each cell."""
    shares = _pool(image, lines, columns) / 256
    steps = (shares**_RAMP_EXPONENT * len(_RAMP)).astype(int)
    return ["".join(_RAMP[step] for step in row) for row in steps.tolist()]


_TILES: dict[Style, Callable[[Bytes, int, int], list[str]]] = {
    "truecolor": _truecolor_tile,
    "grey": _grey_tile,
    "blocks": _block_tile,
    "ascii": _ascii_tile,
}
