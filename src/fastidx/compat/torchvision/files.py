"""IDX files as tensors of torch."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from fastidx import IdxError, load
from fastidx.compat.arrays import name_of, unwrapped
from fastidx.compat.errors import ErrorTypes, errors_also

from .needs import torch

if TYPE_CHECKING:
    from fastidx.sources.protocol import SourceLike

__all__ = ["read_image_file", "read_label_file", "read_sn3_pascalvincent_tensor"]

ERRORS: ErrorTypes = {IdxError: (AssertionError, RuntimeError)}


def read_sn3_pascalvincent_tensor(
    path: str | os.PathLike[str] | SourceLike,
    strict: bool = True,  # noqa: ARG001
) -> torch.Tensor:
    """Load any IDX file.

    Parameters
    ----------
    path : str, PathLike, bytes-like or binary file object
        The file, compressed or not.
    strict : bool
        Of no effect: as in the original, the size must be right in either case.

    Returns
    -------
    torch.Tensor
        With the file's type and shape.
    """
    with errors_also(ERRORS):
        return torch.from_numpy(load(unwrapped(path)))


def read_label_file(path: str | os.PathLike[str] | SourceLike) -> torch.Tensor:
    """Load labels.

    Parameters
    ----------
    path : str, PathLike, bytes-like or binary file object
        The file, compressed or not.

    Returns
    -------
    torch.Tensor
        Of int64 and shape (count,).

    Raises
    ------
    TypeError, ValueError
        If the file holds another type than uint8, or not one dimension.
    """
    with errors_also(ERRORS):
        return torch.from_numpy(_checked(load(unwrapped(path)), 1, path)).long()


def read_image_file(path: str | os.PathLike[str] | SourceLike) -> torch.Tensor:
    """Load images.

    Parameters
    ----------
    path : str, PathLike, bytes-like or binary file object
        The file, compressed or not.

    Returns
    -------
    torch.Tensor
        Of uint8 and shape (count, rows, columns).

    Raises
    ------
    TypeError, ValueError
        If the file holds another type than uint8, or not three dimensions.
    """
    with errors_also(ERRORS):
        return torch.from_numpy(_checked(load(unwrapped(path)), 3, path))


class _WrongType(IdxError, TypeError):
    """The file holds elements of another type."""


def _checked(array: np.ndarray[Any, Any], ndim: int, source: object) -> np.ndarray[Any, Any]:
    if array.dtype != np.uint8:
        raise _WrongType(f"{name_of(source)}: expected uint8, found {array.dtype}")
    if array.ndim != ndim:
        raise IdxError(
            f"{name_of(source)}: expected {ndim} dimension{'s' * (ndim > 1)}, found shape "
            f"{array.shape}; check that images and labels are not exchanged"
        )
    return array
