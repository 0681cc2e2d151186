"""Images of another type than the files': the rule of ``load``, for arrays that are decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastidx.format.header import header_for
from fastidx.items.conversion import Array, Number, conversion_for

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Array", "Number", "convert"]


def convert(
    images: Array,
    dtype: npt.DTypeLike | None,
    scale: Number | None,
    offset: Number | None,
    lut: npt.ArrayLike | None,
    *,
    source: str,
) -> Array:
    """Return uint8 images as ``dtype``, after ``x * scale + offset`` or ``lut[x]``."""
    conversion = conversion_for(header_for(images), dtype, scale, offset, lut, name=source)
    if conversion is None or conversion.table is None:
        return images
    if conversion.refused is not None and (occurring := conversion.refused[images]).any():
        raise conversion.refusal(int(images[occurring][0]))
    return np.take(conversion.table, images)
