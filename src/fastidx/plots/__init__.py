"""Pictures of images: a figure for notebooks and papers, a sheet of characters for terminals.

matplotlib is optional (``pip install "fastidx[plot]"``) and imported only where it draws.
"""

from __future__ import annotations

from .choice import choose
from .figures import classes, mean_image, require_matplotlib, samples
from .text import Style, text_sheet

__all__ = [
    "Style",
    "choose",
    "classes",
    "mean_image",
    "require_matplotlib",
    "samples",
    "text_sheet",
]
