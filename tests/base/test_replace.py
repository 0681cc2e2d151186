"""Replacing files, by a file object or by a path; `save`'s tests cover what both share."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from fastidx.base.replace import replacement, replacement_path

OLD = b"the old file"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(OLD)
    return path


def test_file_takes_the_place_when_the_block_ends(target: Path) -> None:
    with replacement(target) as file:
        file.write(b"new")
        assert target.read_bytes() == OLD
    assert target.read_bytes() == b"new"
    assert list(target.parent.iterdir()) == [target]


def test_path_takes_the_place_when_the_block_ends(target: Path) -> None:
    target.chmod(0o640)
    with replacement_path(target) as path:
        assert Path(path).read_bytes() == b""
        Path(path).write_bytes(b"new")
        assert target.read_bytes() == OLD
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert list(target.parent.iterdir()) == [target]


def test_failed_block_leaves_the_old_file_alone(target: Path) -> None:
    def write_half() -> None:
        with replacement_path(target) as path:
            Path(path).write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert target.read_bytes() == OLD
    assert list(target.parent.iterdir()) == [target]


def test_missing_folder_is_named_by_the_target(tmp_path: Path) -> None:
    target = tmp_path / "missing" / "file"
    with pytest.raises(FileNotFoundError) as caught, replacement_path(target):
        pass
    assert caught.value.filename == str(target)
