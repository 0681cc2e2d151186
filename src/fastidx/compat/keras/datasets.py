"""The data sets, for programs that write ``keras.datasets.mnist.load_data()``."""

from __future__ import annotations

from . import fashion_mnist, mnist

__all__ = ["fashion_mnist", "mnist"]
