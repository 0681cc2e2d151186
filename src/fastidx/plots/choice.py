"""Which images are drawn, in which shades, and under which captions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Bytes", "captions_of", "checked", "choose", "to_bytes"]

Bytes: TypeAlias = npt.NDArray[np.uint8]


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


def checked(images: npt.ArrayLike, labels: npt.ArrayLike | None) -> tuple[npt.NDArray[Any], Any]:
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


def captions_of(labels: npt.NDArray[Any], names: Sequence[str] | None) -> list[str]:
    """Return the text of each label: its class's name, or the label where it has none."""
    if names is None:
        return [str(label) for label in labels]
    known = dict(enumerate(names))
    return [known.get(label, str(label)) for label in labels.tolist()]


def to_bytes(images: npt.NDArray[Any]) -> Bytes:
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
    shades: Bytes = np.round(shares * 255).astype(np.uint8)
    return shades
