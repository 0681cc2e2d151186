"""The synthetic digits: always the same, readable, and to gzip much like MNIST's."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest

from fastidx import reference, synthetic
from fastidx.synthetic import digits


def compression_ratio(images: np.ndarray) -> float:
    return images.nbytes / len(gzip.compress(images.tobytes(), 6))


def class_means(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.stack([images[labels == digit].mean(0) for digit in range(10)])


def accuracy(means: np.ndarray, images: np.ndarray, labels: np.ndarray) -> float:
    """Share of images whose nearest class mean (as an angle) is that of their label."""
    units = means.reshape(10, -1) / np.linalg.norm(means.reshape(10, -1), axis=1, keepdims=True)
    return float(((images.reshape(len(images), -1) @ units.T).argmax(1) == labels).mean())


def test_shapes_and_types() -> None:
    images, labels = digits(70)
    assert images.shape == (70, 28, 28)
    assert labels.shape == (70,)
    assert images.dtype == labels.dtype == np.uint8


def test_the_same_bytes_everywhere() -> None:
    """Pinned: neither numpy's release nor the CPU may change a byte."""
    images, labels = digits(500)
    pinned = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    assert pinned == "4cdf369f34562e1774d24550ea361763a9e629a31fe4d98973214f486dc46369"


def test_a_larger_set_starts_with_the_smaller() -> None:
    images, labels = digits(300)
    few_images, few_labels = digits(130)
    np.testing.assert_array_equal(few_images, images[:130])
    np.testing.assert_array_equal(few_labels, labels[:130])


@pytest.mark.parametrize("seed", [1, -1, 2**64 + 5])
def test_seeds_give_other_sets(seed: int) -> None:
    images, labels = digits(50, seed=seed)
    assert (labels != digits(50)[1]).any()
    assert len(np.unique(images, axis=0)) == 50


def test_no_two_images_are_equal() -> None:
    images, _ = digits(2000)
    assert len(np.unique(images.reshape(2000, -1), axis=0)) == 2000


def test_all_digits_are_about_equally_frequent() -> None:
    counts = np.bincount(digits(5000)[1], minlength=10)
    assert counts.sum() == 5000
    assert counts.min() > 400
    assert counts.max() < 600


def test_digits_are_centred_and_leave_the_border_blank() -> None:
    images, _ = digits(1000)
    assert (images[:, [0, -1], :] == 0).all()
    assert (images[:, :, [0, -1]] == 0).all()
    mass = images.sum((1, 2), dtype=float)
    rows = (images.sum(2) * np.arange(28)).sum(1) / mass
    columns = (images.sum(1) * np.arange(28)).sum(1) / mass
    assert abs(rows - 13.5).max() < 2
    assert abs(columns - 13.5).max() < 2


def test_labels_tell_the_digits_apart() -> None:
    """Nearest mean reaches about 80% on MNIST itself; noise would score 10%."""
    means = class_means(*digits(3000, seed=1))
    assert accuracy(means, *digits(1000, seed=2)) > 0.75


def test_they_look_like_the_real_digits(data_dir: Path) -> None:
    images = reference.load_frombuffer(data_dir / "t10k-images-idx3-ubyte.gz")
    labels = reference.load_frombuffer(data_dir / "t10k-labels-idx1-ubyte.gz")
    assert accuracy(class_means(*digits(3000)), images, labels) > 0.5


def test_gzip_finds_them_as_hard_as_mnist() -> None:
    """MNIST's training images: 47,040,016 bytes to 9,912,422."""
    assert compression_ratio(digits(4000)[0]) == pytest.approx(4.75, abs=0.15)


def test_share_of_ink_is_that_of_the_real_ones(data_dir: Path) -> None:
    real = reference.load_frombuffer(data_dir / "t10k-images-idx3-ubyte.gz")
    drawn, _ = digits(2000)
    assert (drawn > 0).mean() == pytest.approx((real > 0).mean(), abs=0.03)
    assert drawn.mean() == pytest.approx(real.mean(), abs=4)


def test_empty_set() -> None:
    images, labels = digits(0)
    assert images.shape == (0, 28, 28)
    assert labels.shape == (0,)


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(ValueError, match=r"n must be 0 or more, not -1"):
        digits(-1)


def test_write_set(tmp_path: Path) -> None:
    paths = synthetic.write_set(tmp_path, 40, seed=3)
    assert [path.name for path in paths] == [synthetic.IMAGES_NAME, synthetic.LABELS_NAME]
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    for path, expected in zip(paths, digits(40, seed=3), strict=True):
        assert path.read_bytes().startswith(b"\x1f\x8b")
        np.testing.assert_array_equal(reference.load(path), expected)
