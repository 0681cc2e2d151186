"""Fashion-MNIST, in place of `keras.datasets.fashion_mnist`; see `fastidx.compat.keras`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastidx import datasets

from .cache import cache_folder

if TYPE_CHECKING:
    from .cache import TrainAndTest

__all__ = ["load_data"]


def load_data() -> TrainAndTest:
    """Load Fashion-MNIST, and fetch it first if it is not here.

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        Images, uint8 of shapes (60000, 28, 28) and (10000, 28, 28), and their labels, uint8.
    """
    kept = cache_folder()
    root = kept if (kept / "fashion-mnist").is_dir() else None
    train, test = datasets.load("fashion-mnist", ("train", "test"), root=root)
    return train, test
