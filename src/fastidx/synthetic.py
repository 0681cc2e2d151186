"""Synthetic handwritten digits: data of MNIST's shape for when MNIST is not at hand.

Every image is one of a few skeletons (splines through control points), bent, slanted, turned and
scaled at random, fitted to a box of 20 pixels and centred in 28 as MNIST's digits are, and drawn
with a round pen. The random numbers come from a counter hashed with splitmix64, and the geometry
uses only the operations that IEEE 754 rounds exactly, so a seed gives the same bytes with every
numpy on every machine, and image ``i`` does not depend on how many images were asked for.

Compressed by gzip the images behave much as MNIST's do (4.7 to 1, five literals to two matches),
which is why the benchmarks fall back on them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import os

__all__ = ["IMAGES_NAME", "LABELS_NAME", "digits", "write_set"]

#: The names under which MNIST's training set has always been published.
IMAGES_NAME = "train-images-idx3-ubyte.gz"
LABELS_NAME = "train-labels-idx1-ubyte.gz"

_SIDE = 28
_BOX = 20.0  # MNIST scales each digit to 20 pixels before it centres it in 28
_BATCH = 64  # images drawn at a time: the temporaries (64 x 784 floats) stay in the L2 cache
_SUBDIVISIONS = 3  # straight pieces per spline span; more cannot be seen at 28 pixels

_F32: TypeAlias = npt.NDArray[np.float32]
_F64: TypeAlias = npt.NDArray[np.float64]
_U8: TypeAlias = npt.NDArray[np.uint8]
_U64: TypeAlias = npt.NDArray[np.uint64]


class _Glyph(NamedTuple):
    """One way to write a digit: points in a unit box (y down), strokes as indices into them.

    A stroke of two points is straight, a longer one a spline; one that returns to its first
    point is a closed, smooth loop. Strokes that share a point stay joined there.
    """

    points: tuple[tuple[float, float], ...]
    strokes: tuple[tuple[int, ...], ...]


_GLYPHS: tuple[tuple[_Glyph, ...], ...] = (
    (  # 0
        _Glyph(
            ((0.5, 0), (0.16, 0.2), (0.08, 0.6), (0.42, 1), (0.8, 0.78), (0.86, 0.32)),
            ((0, 1, 2, 3, 4, 5, 0),),
        ),
    ),
    (  # 1: a stroke; with a flag; with flag and base
        _Glyph(((0.5, 0), (0.5, 1)), ((0, 1),)),
        _Glyph(((0.5, 0), (0.5, 1)), ((0, 1),)),
        _Glyph(((0.3, 0.22), (0.52, 0), (0.5, 1)), ((0, 1), (1, 2))),
        _Glyph(
            ((0.28, 0.22), (0.52, 0), (0.5, 1), (0.22, 1), (0.8, 0.99)), ((0, 1), (1, 2), (3, 4))
        ),
    ),
    (  # 2: with a corner, with a loop at the foot
        _Glyph(
            ((0.12, 0.24), (0.45, 0), (0.82, 0.24), (0.55, 0.62), (0.06, 0.98), (0.95, 0.94)),
            ((0, 1, 2, 3, 4), (4, 5)),
        ),
        _Glyph(
            (
                *((0.14, 0.2), (0.5, 0), (0.8, 0.26), (0.5, 0.7), (0.16, 0.98)),
                *((0.06, 0.82), (0.36, 0.8), (0.66, 0.97), (0.98, 0.88)),
            ),
            ((0, 1, 2, 3, 4, 5, 6, 7, 8),),
        ),
    ),
    (  # 3
        _Glyph(
            (
                *((0.12, 0.12), (0.5, 0), (0.82, 0.22), (0.42, 0.46)),
                *((0.88, 0.7), (0.5, 1), (0.06, 0.88)),
            ),
            ((0, 1, 2, 3), (3, 4, 5, 6)),
        ),
    ),
    (  # 4: open, closed
        _Glyph(
            ((0.16, 0.02), (0.1, 0.54), (0.9, 0.5), (0.84, 0), (0.72, 1)),
            ((0, 1), (1, 2), (3, 4)),
        ),
        _Glyph(((0.66, 0), (0.06, 0.62), (0.96, 0.6), (0.6, 1)), ((0, 1), (1, 2), (0, 3))),
    ),
    (  # 5
        _Glyph(
            (
                *((0.88, 0), (0.26, 0.03), (0.16, 0.44)),
                *((0.56, 0.38), (0.86, 0.66), (0.52, 0.98), (0.06, 0.9)),
            ),
            ((0, 1), (1, 2), (2, 3, 4, 5, 6)),
        ),
    ),
    (  # 6
        _Glyph(
            (
                *((0.7, 0), (0.32, 0.3), (0.14, 0.72), (0.42, 1)),
                *((0.8, 0.8), (0.58, 0.54), (0.16, 0.72)),
            ),
            ((0, 1, 2, 3, 4, 5, 6),),
        ),
    ),
    (  # 7: plain, with a bar
        _Glyph(((0.08, 0.06), (0.88, 0.02), (0.6, 0.46), (0.42, 1)), ((0, 1), (1, 2, 3))),
        _Glyph(
            (
                *((0.08, 0.06), (0.88, 0.02), (0.62, 0.46), (0.44, 1)),
                *((0.3, 0.53), (0.86, 0.49)),
            ),
            ((0, 1), (1, 2, 3), (4, 5)),
        ),
    ),
    (  # 8: in one stroke, as two rings
        _Glyph(
            (
                *((0.78, 0.14), (0.46, 0), (0.22, 0.22), (0.5, 0.46)),
                *((0.78, 0.76), (0.46, 1), (0.14, 0.78), (0.48, 0.48)),
            ),
            ((0, 1, 2, 3, 4, 5, 6, 7, 0),),
        ),
        _Glyph(
            (
                *((0.5, 0), (0.2, 0.22), (0.5, 0.46), (0.78, 0.22)),
                *((0.12, 0.74), (0.46, 1), (0.82, 0.74)),
            ),
            ((0, 1, 2, 3, 0), (2, 4, 5, 6, 2)),
        ),
    ),
    (  # 9: curved, straight
        _Glyph(
            (
                *((0.82, 0.26), (0.5, 0), (0.16, 0.26), (0.44, 0.52)),
                *((0.78, 0.66), (0.56, 1)),
            ),
            ((0, 1, 2, 3, 0), (0, 4, 5)),
        ),
        _Glyph(
            ((0.8, 0.22), (0.46, 0.02), (0.14, 0.3), (0.42, 0.52), (0.72, 1)),
            ((0, 1, 2, 3, 0), (0, 4)),
        ),
    ),
)

# Independent streams of random numbers; the geometry takes _DRAWS numbers for each image.
_STREAM_LABELS, _STREAM_SHAPES, _STREAM_PAPER = 1, 2, 3
_DRAWS = 32
_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def digits(n: int = 60000, *, seed: int = 0) -> tuple[_U8, _U8]:
    """Draw `n` digits.

    Parameters
    ----------
    n : int
        How many images.
    seed : int
        Which set. The first images of a set are the same whatever `n` is.

    Returns
    -------
    images : ndarray of uint8, shape (n, 28, 28)
        Ink on paper: 0 is blank, 255 is full ink.
    labels : ndarray of uint8, shape (n,)
        The digit drawn, 0 to 9, each about equally often.

    Examples
    --------
    >>> images, labels = digits(6)
    >>> images.shape
    (6, 28, 28)
    >>> labels
    array([5, 5, 1, 9, 9, 5], dtype=uint8)
    """
    if n < 0:
        raise ValueError(f"n must be 0 or more, not {n}")
    numbers = np.arange(n, dtype=np.uint64)
    # The upper 32 bits scaled to 0..9: a multiplication, where % would favour the low digits.
    labels = ((_hash(numbers, _STREAM_LABELS, seed) >> 32) * 10 >> 32).astype(np.uint8)
    images = np.empty((n, _SIDE, _SIDE), np.uint8)
    for digit, glyphs in enumerate(_GLYPHS):
        members = np.flatnonzero(labels == digit)
        uniform = _uniform(members, seed)
        chosen = (uniform[:, 0] * len(glyphs)).astype(np.intp)
        for variant, glyph in enumerate(glyphs):
            (rows,) = np.nonzero(chosen == variant)
            _draw(glyph, members[rows], uniform[rows, 1:], seed, images)
    return images, labels


def write_set(
    folder: str | os.PathLike[str], n: int = 60000, *, seed: int = 0
) -> tuple[Path, Path]:
    """Write `n` synthetic digits into `folder` as two gzip files with MNIST's names.

    Parameters
    ----------
    folder : str or PathLike
        An existing folder.
    n, seed : int
        As for `digits`.

    Returns
    -------
    images, labels : Path
        The files written.

    Examples
    --------
    >>> import tempfile, fastidx
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     images, labels = write_set(folder, 10)
    ...     fastidx.load(images).shape
    (10, 28, 28)
    """
    from fastidx.writing.save import save

    images, labels = digits(n, seed=seed)
    paths = Path(folder, IMAGES_NAME), Path(folder, LABELS_NAME)
    save(paths[0], images)
    save(paths[1], labels)
    return paths


def _hash(counter: _U64, stream: int, seed: int) -> _U64:
    """Return one 64-bit random number for each counter (the finaliser of splitmix64)."""
    key = (seed * 0xD1342543DE82EF95 + stream * 0xAF251AF3B0F025B5) & _MASK
    z = (counter + np.uint64(1)) * np.uint64(_GOLDEN) + np.uint64(key)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _uniform(members: npt.NDArray[np.intp], seed: int) -> _F64:
    """Return `_DRAWS` numbers in [0, 1) for each image."""
    draws = np.arange(_DRAWS, dtype=np.uint64)
    counter = members.astype(np.uint64)[:, None] * np.uint64(_DRAWS) + draws
    # 53 bits fit a double exactly, so nothing is rounded here.
    return (_hash(counter, _STREAM_SHAPES, seed) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _draw(
    glyph: _Glyph, members: npt.NDArray[np.intp], uniform: _F64, seed: int, images: _U8
) -> None:
    """Draw the images numbered `members`, all in the form `glyph`, into `images`."""
    x, y, radius = _place(glyph, uniform)
    segments = _segments(glyph)
    for start in range(0, len(members), _BATCH):
        part = slice(start, start + _BATCH)
        distance = _distance(x[:, part], y[:, part], segments)
        images[members[part]] = _ink(distance, radius[part], members[part], seed)


def _place(glyph: _Glyph, uniform: _F64) -> tuple[_F32, _F32, _F32]:
    """Bend, slant, turn, fit and centre the skeleton for each image.

    Returns the splines' points in pixels, x and y of shape (points, images), and the pen's radius.
    """
    # Rows rather than columns from here on: every step works on one number of all images.
    u = np.ascontiguousarray(uniform.T) * 2.0 - 1.0
    turn, slant, width, pen = 0.08 * u[0], 0.18 + 0.30 * u[1], 0.76 + 0.18 * u[2], u[3]
    bend = 0.07 * u[4:]
    corners = [
        ((px - 0.5 + bend[2 * i]) * width, py - 0.5 + bend[2 * i + 1])
        for i, (px, py) in enumerate(glyph.points)
    ]
    # Half-angle formulas: a rotation out of exactly rounded operations alone.
    norm = 1.0 + turn * turn
    cos, sin = (1.0 - turn * turn) / norm, 2.0 * turn / norm
    corners = [(px - slant * py, py) for px, py in corners]
    corners = [(cos * px - sin * py, sin * px + cos * py) for px, py in corners]

    weights = _spline_weights(glyph)
    x = np.stack([sum(w * corners[k][0] for k, w in row) for row in weights])
    y = np.stack([sum(w * corners[k][1] for k, w in row) for row in weights])
    radius = 1.15 + 0.45 * pen
    extent = np.maximum(x.max(0) - x.min(0), y.max(0) - y.min(0))
    scale = (_BOX - 2.0 * radius) / extent
    middle = (_SIDE - 1) / 2
    centre_x, centre_y = _centre(x, y, _segments(glyph))
    x = _inside((x - centre_x) * scale + middle, radius)
    y = _inside((y - centre_y) * scale + middle, radius)
    return x.astype(np.float32), y.astype(np.float32), radius.astype(np.float32)


def _centre(x: _F64, y: _F64, segments: list[tuple[int, int]]) -> tuple[_F64, _F64]:
    """Return the skeletons' centres of mass."""
    # One segment after the other: in what order numpy's own sum adds may change.
    mass, moment_x, moment_y = (np.zeros(x.shape[1]) for _ in range(3))
    for a, b in segments:
        dx, dy = x[b] - x[a], y[b] - y[a]
        length = np.sqrt(dx * dx + dy * dy)
        mass += length
        moment_x += length * ((x[a] + x[b]) / 2.0)
        moment_y += length * ((y[a] + y[b]) / 2.0)
    return moment_x / mass, moment_y / mass


def _inside(points: _F64, radius: _F64) -> _F64:
    """Shift skeletons that the pen would draw over the border."""
    least = radius + 0.5  # the ink fades out that far from the skeleton
    shift = np.maximum(least - points.min(0), 0)
    shift -= np.maximum(points.max(0) - (_SIDE - 1 - least), 0)
    moved: _F64 = points + shift
    return moved


def _spline_weights(glyph: _Glyph) -> list[list[tuple[int, float]]]:
    """Express each point of the strokes as a weighted sum of the glyph's control points."""
    return [row for stroke in glyph.strokes for row in _stroke_weights(stroke)]


def _segments(glyph: _Glyph) -> list[tuple[int, int]]:
    """Return the pairs of points, as numbered by `_spline_weights`, that a line connects."""
    pairs, first = [], 0
    for stroke in glyph.strokes:
        count = len(_stroke_weights(stroke))
        pairs += [(i, i + 1) for i in range(first, first + count - 1)]
        first += count
    return pairs


def _stroke_weights(stroke: tuple[int, ...]) -> list[list[tuple[int, float]]]:
    """Sample a Catmull-Rom spline through the stroke's control points."""
    if len(stroke) == 2:
        return [[(stroke[0], 1.0)], [(stroke[1], 1.0)]]
    closed = stroke[0] == stroke[-1]
    last = len(stroke) - 1
    rows = []
    for span in range(last):
        # An open end stands in for its missing neighbour: the curve leaves it straight on.
        before = stroke[span - 1] if span else stroke[-2] if closed else stroke[0]
        after = stroke[span + 2] if span + 2 <= last else stroke[1] if closed else stroke[last]
        for step in range(_SUBDIVISIONS + (span == last - 1)):
            t = step / _SUBDIVISIONS
            rows.append(
                [
                    (before, ((2.0 - t) * t - 1.0) * t / 2.0),
                    (stroke[span], ((3.0 * t - 5.0) * t * t + 2.0) / 2.0),
                    (stroke[span + 1], ((4.0 - 3.0 * t) * t + 1.0) * t / 2.0),
                    (after, (t - 1.0) * t * t / 2.0),
                ]
            )
    return rows


def _distance(x: _F32, y: _F32, segments: list[tuple[int, int]]) -> _F32:
    """Return each pixel's distance to the nearest segment, shape (images, 28, 28)."""
    grid = np.arange(_SIDE, dtype=np.float32)
    shape = (x.shape[1], _SIDE, _SIDE)
    nearest = np.full(shape, np.inf, np.float32)
    along, across = np.empty(shape, np.float32), np.empty(shape, np.float32)
    for a, b in segments:
        dx, dy = x[b] - x[a], y[b] - y[a]
        length = np.sqrt(dx * dx + dy * dy) + np.float32(1e-6)
        ux, uy = (dx / length)[:, None], (dy / length)[:, None]
        half = (length * np.float32(0.5))[:, None, None]
        px = grid - ((x[a] + x[b]) * np.float32(0.5))[:, None]
        py = grid - ((y[a] + y[b]) * np.float32(0.5))[:, None]
        # Both coordinates in the segment's frame are sums of a row's and a column's share.
        np.add((ux * px)[:, None, :], (uy * py)[:, :, None], out=along)
        np.add((ux * py)[:, :, None], (-uy * px)[:, None, :], out=across)
        np.abs(along, out=along)
        np.subtract(along, half, out=along)
        np.maximum(along, 0, out=along)
        np.multiply(along, along, out=along)
        np.multiply(across, across, out=across)
        np.add(along, across, out=along)
        np.minimum(nearest, along, out=nearest)
    return np.sqrt(nearest, out=nearest)


def _ink(distance: _F32, radius: _F32, members: npt.NDArray[np.intp], seed: int) -> _U8:
    """Turn distances into ink: full inside the pen's radius, fading over one pixel."""
    ink = radius[:, None, None] - distance + np.float32(0.5)
    np.clip(ink, 0, 1, out=ink)
    np.multiply(ink, 255.49, out=ink)
    level = ink.astype(np.uint8)
    # Full ink is never quite even: in MNIST it varies from 252 to 255, and gzip sees that.
    words = np.arange(_SIDE * _SIDE // 8, dtype=np.uint64)
    counter = members.astype(np.uint64)[:, None] * np.uint64(len(words)) + words
    grain = _hash(counter, _STREAM_PAPER, seed).astype("<u8").view(np.uint8)
    level -= (grain.reshape(level.shape) & 3) * (level == 255)
    return level
