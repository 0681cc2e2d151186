"""What the package python-mnist (0.7) offers, loaded by fastidx.

It is imported there as ``from mnist import MNIST``; here it has the name that it is installed by,
since another package is called mnist, too.

Differences from the original:

- Files are decoded once and by their content: with ``gz=True`` a plain file under the name of a
  gzipped one is read, too. The original decodes all files again for each batch.
- Data that is damaged or cut, bytes after it, and labels that are not as many as the images raise
  an error. The original returns rows of different lengths.
- The batches of `MNIST.load_training_in_batches` end with the data. The original returns an empty
  one more where the batch size divides the number of images, rows without pixels where it exceeds
  it, and a batch size of 0 without end.
- With ``return_type="numpy"``, `MNIST.process_images` gets an array, not lists. A class that
  overrides `MNIST.load` overrides that alone: `MNIST.load_training` does not call it.
- A ``mode`` or ``return_type`` that is not known raises a `ValueError`, which is an
  `AssertionError`, too.
- The functions that write files, ``img_packer`` and ``label_packer``, are left out:
  `fastidx.save` writes arrays.

Examples
--------
>>> from fastidx.compat.python_mnist import MNIST
>>> mndata = MNIST("samples", gz=True)
>>> images, labels = mndata.load_training()  # doctest: +SKIP
>>> print(MNIST.display([0, 0, 255, 0, 255, 255], width=3))
<BLANKLINE>
..@
.@@
"""

from __future__ import annotations

import array
import contextlib
import gc
import gzip
import random
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastidx import HeaderError, IdxError

from .arrays import Labels, Rows, as_rows, check_counts, load_images, load_labels, unwrapped
from .errors import GZIP_ERRORS, ErrorTypes, errors_also

__all__ = ["MNIST", "MNISTException"]

_MODES = ("vanilla", "randomly_binarized", "rounded_binarized")
_RETURN_TYPES = ("lists", "numpy")

# What is made on the way for so many images stays in the cache.
_IMAGES_AT_ONCE = 128

_ERRORS: ErrorTypes = {
    **GZIP_ERRORS,
    IdxError: (struct.error,),
    HeaderError: (gzip.BadGzipFile,),
}

_Uniform: TypeAlias = Callable[[tuple[int, ...]], npt.NDArray[np.float64]]


class MNISTException(IdxError):
    """What the original raises without numpy; kept for programs that catch it."""


class _UnknownChoice(ValueError, AssertionError):
    """An argument has none of its values."""


class MNIST:
    """MNIST, or a part of EMNIST, in the four files of a folder.

    Parameters
    ----------
    path : str
        The folder.
    mode : {"vanilla", "randomly_binarized", "rounded_binarized"}
        Pixels as they are; or 1 with a probability of pixel / 255, else 0; or rounded to 0 or 1.
    return_type : {"lists", "numpy"}
        Images as lists of lists and labels as an `array.array`, or both as arrays of numpy, the
        images of int64, the labels of uint8.
    gz : bool
        Whether the files are gzipped, and their names end in .gz.

    Attributes
    ----------
    test_img_fname, test_lbl_fname, train_img_fname, train_lbl_fname : str
        Names of the files, without .gz; may be set.
    gz, emnistRotate : bool
        Whether the files are gzipped, and whether images are transposed; may be set.
    test_images, test_labels, train_images, train_labels
        What was loaded last.
    dataset_size : int
        Number of images, known from the first batch on.
    """

    def __init__(
        self,
        path: str = ".",
        mode: str = "vanilla",
        return_type: str = "lists",
        gz: bool = False,
    ) -> None:
        _check_choice("mode", mode, _MODES)
        _check_choice("return_type", return_type, _RETURN_TYPES)
        self.path = path
        self._mode = mode
        self._return_type = return_type
        self.test_img_fname = "t10k-images-idx3-ubyte"
        self.test_lbl_fname = "t10k-labels-idx1-ubyte"
        self.train_img_fname = "train-images-idx3-ubyte"
        self.train_lbl_fname = "train-labels-idx1-ubyte"
        self.gz = gz
        self.emnistRotate = False
        self.test_images: Any = []
        self.test_labels: Any = []
        self.train_images: Any = []
        self.train_labels: Any = []

    @property
    def mode(self) -> str:
        """How pixels are changed."""
        return self._mode

    @property
    def return_type(self) -> str:
        """What images and labels are returned as."""
        return self._return_type

    def select_emnist(self, dataset: str = "digits") -> None:
        """Choose a part of EMNIST, in gzipped files, whose images are to be transposed.

        Parameters
        ----------
        dataset : str
            balanced, byclass, bymerge, digits, letters or mnist.
        """
        self.gz = True
        self.emnistRotate = True
        self.test_img_fname = f"emnist-{dataset}-test-images-idx3-ubyte"
        self.test_lbl_fname = f"emnist-{dataset}-test-labels-idx1-ubyte"
        self.train_img_fname = f"emnist-{dataset}-train-images-idx3-ubyte"
        self.train_lbl_fname = f"emnist-{dataset}-train-labels-idx1-ubyte"

    def load_testing(self) -> tuple[Any, Any]:
        """Load the test images and their labels.

        Returns
        -------
        images, labels
            As `return_type` says, each image in one row of pixels.
        """
        images, labels = self._read(self.test_img_fname, self.test_lbl_fname)
        self.test_images, self.test_labels = self._processed(images, labels)
        return self.test_images, self.test_labels

    def load_training(self) -> tuple[Any, Any]:
        """Load the training images and their labels.

        Returns
        -------
        images, labels
            As `return_type` says, each image in one row of pixels.
        """
        images, labels = self._read(self.train_img_fname, self.train_lbl_fname)
        self.train_images, self.train_labels = self._processed(images, labels)
        return self.train_images, self.train_labels

    def load_training_in_batches(self, batch_size: int) -> Iterator[tuple[Any, Any]]:
        """Load the training images and their labels, some at a time.

        Parameters
        ----------
        batch_size : int
            How many; the last batch has those that are left.

        Yields
        ------
        images, labels
            As `return_type` says, each image in one row of pixels.
        """
        if type(batch_size) is not int or batch_size < 1:
            raise ValueError(f"batch_size: expected an int above 0, found {batch_size!r}")
        images, labels = self._read(self.train_img_fname, self.train_lbl_fname)
        self.dataset_size = len(labels)
        for start in range(0, len(images), batch_size):
            batch = slice(start, start + batch_size)
            self.train_images, self.train_labels = self._processed(images[batch], labels[batch])
            yield self.train_images, self.train_labels

    def load(
        self, path_img: str, path_lbl: str, batch: list[int] | None = None
    ) -> tuple[list[list[int]], array.array[int]]:
        """Load images and labels from two files, whatever `mode` and `return_type` say.

        Parameters
        ----------
        path_img, path_lbl : str
            Names of the files, without .gz.
        batch : list of two int, optional
            Return only some: the first's number and how many.

        Returns
        -------
        images : list of lists of int
            Each of the pixels of one image.
        labels : array.array
            Of type "B".
        """
        if batch is not None and (type(batch) is not list or len(batch) != 2):
            raise ValueError(f"batch: expected a list [start, count], found {batch!r}")
        images, labels = self._load_arrays(path_img, path_lbl)
        if batch is not None:
            start, count = batch
            images, labels = images[start : start + count], labels[start : start + count]
        return _to_lists(images), _to_array(labels)

    def opener(self, path_fn: str, *args: Any, **kwargs: Any) -> Any:
        """Open a file, with .gz after its name if the files are gzipped."""
        if self.gz:
            return gzip.open(f"{path_fn}.gz", *args, **kwargs)
        return Path(path_fn).open(*args, **kwargs)

    def process_images(self, images: Sequence[Any] | Rows) -> Any:
        """Change pixels as `mode` says, and return them as `return_type` says."""
        if self.return_type == "numpy":
            return self.process_images_to_numpy(images)
        return self.process_images_to_lists(images)

    def process_labels(self, labels: array.array[int] | Labels) -> Any:
        """Return labels as `return_type` says."""
        if self.return_type == "numpy":
            return np.array(labels)
        return _to_array(labels) if isinstance(labels, np.ndarray) else labels

    def process_images_to_numpy(self, images: Sequence[Any] | Rows) -> npt.NDArray[np.int64]:
        """Change pixels as `mode` says, with the random numbers of numpy."""
        return self._binarized(np.asarray(images), np.random.random).astype(int)

    def process_images_to_lists(self, images: Sequence[Any] | Rows) -> Any:
        """Change pixels as `mode` says, by Python's random numbers; lists are changed in place."""
        if isinstance(images, np.ndarray):
            return _to_lists(self._binarized(images, _python_random))
        if self.mode != "vanilla":
            pixels = np.array(images, np.uint8)
            for row, changed in zip(images, self._binarized(pixels, _python_random), strict=True):
                row[:] = changed.tolist()
        return images

    @classmethod
    def display(cls, img: Sequence[int], width: int = 28, threshold: int = 200) -> str:
        """Draw an image in characters.

        Parameters
        ----------
        img : sequence of int
            Its pixels, in one row.
        width : int
            Of the image, in pixels.
        threshold : int
            Pixels above are drawn as ``@``, others as a dot.

        Returns
        -------
        str
            The lines, each after a newline.
        """
        marks = "".join("@" if pixel > threshold else "." for pixel in img)
        return "".join(f"\n{marks[at : at + width]}" for at in range(0, len(marks), width))

    def _read(self, images_name: str, labels_name: str) -> tuple[Rows, Labels]:
        folder = Path(self.path)
        return self._load_arrays(str(folder / images_name), str(folder / labels_name))

    def _load_arrays(self, images_path: str, labels_path: str) -> tuple[Rows, Labels]:
        with errors_also(_ERRORS):
            with self.opener(labels_path, "rb") as file:
                labels = load_labels(unwrapped(file))
            with self.opener(images_path, "rb") as file:
                images = load_images(unwrapped(file))
        check_counts(images, labels, images_path)
        if self.emnistRotate:
            images = np.ascontiguousarray(images.transpose(0, 2, 1))
        return as_rows(images), labels

    def _processed(self, images: Rows, labels: Labels) -> tuple[Any, Any]:
        return self.process_images(images), self.process_labels(labels)

    def _binarized(self, pixels: npt.NDArray[Any], uniform: _Uniform) -> npt.NDArray[Any]:
        """Return the pixels as `mode` says; the random numbers are drawn in their order."""
        if self.mode == "vanilla":
            return pixels
        if self.mode == "rounded_binarized":
            return (pixels / 255 > 0.5).view(np.uint8)
        result = np.empty(pixels.shape, np.uint8)
        for start in range(0, len(pixels), _IMAGES_AT_ONCE):
            some = slice(start, start + _IMAGES_AT_ONCE)
            chances = pixels[some] / 255
            result[some] = uniform(chances.shape) <= chances
        return result


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise _UnknownChoice(f"{name}: expected one of {', '.join(choices)}, found {value!r}")


def _to_array(labels: Labels) -> array.array[int]:
    return array.array("B", labels.tobytes())


def _to_lists(images: npt.NDArray[np.uint8]) -> list[list[int]]:
    width = images.shape[1]
    rows: list[list[int]] = []
    with _gc_paused():
        for start in range(0, len(images), _IMAGES_AT_ONCE):
            some = images[start : start + _IMAGES_AT_ONCE]
            data = some.tobytes()
            # Of all ways to make lists of bytes, list() of bytes takes the least time.
            rows += [list(data[row * width : (row + 1) * width]) for row in range(len(some))]
    return rows


@contextlib.contextmanager
def _gc_paused() -> Iterator[None]:
    """Keep the collector from going through millions of small integers, again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _python_random(shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Return what as many calls of `random.random` would return, and leave its state as they do.

    Both Python and numpy's RandomState draw from the Mersenne Twister MT19937 with 53 bits.
    """
    version, (*key, position), next_gauss = random.getstate()
    generator = np.random.RandomState()
    generator.set_state(("MT19937", np.array(key, np.uint32), position, 0, 0.0))
    values: npt.NDArray[np.float64] = generator.random_sample(shape)
    _, new_key, new_position, *_ = generator.get_state(legacy=True)
    random.setstate((version, (*map(int, new_key), int(new_position)), next_gauss))
    return values
