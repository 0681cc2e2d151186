"""Names in messages: readable, on one line, and harmless to a terminal."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastidx.base.names import printable_name


@pytest.mark.parametrize(
    "name", ["", "train images-idx3.gz", "größe/数字.gz", "C:\\data\\x.idx", "a[1]'\"😀"]
)
def test_printable_names_stay(name: str) -> None:
    assert printable_name(name) == name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\x1b[31mred\x1b[0m", r"a\x1b[31mred\x1b[0m"),  # colours
        ("title\x1b]0;owned\x07", r"title\x1b]0;owned\x07"),  # a terminal's title
        ("a\r\nerror: b\t", r"a\r\nerror: b\t"),  # a forged line
        ("a\x00b\x7f\x08", r"a\x00b\x7f\x08"),
        ("a\x9b2J", r"a\x9b2J"),  # CSI in one character, C1
        ("a\u202egz.exe", r"a\u202egz.exe"),  # text from right to left
        ("a\u2028b\u2029", r"a\u2028b\u2029"),  # separators of lines and paragraphs
        ("a\U000e0041", r"a\U000e0041"),  # a tag, which no terminal shows
        ("a\udcff", r"a\udcff"),
    ],
)
def test_other_characters_are_escaped(name: str, shown: str) -> None:
    assert printable_name(name) == shown


@given(st.text(st.characters()) | st.binary().map(os.fsdecode))
def test_any_name_becomes_one_line_that_can_be_encoded(name: str) -> None:
    shown = printable_name(name)
    assert shown.isprintable()
    assert shown.splitlines() == ([shown] if name else [])
    shown.encode()
    assert printable_name(shown) == shown
