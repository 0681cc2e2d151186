"""Names of files and of archive members, as messages show them."""

from __future__ import annotations


def printable_name(name: str) -> str:
    r"""Return a name in which every character that is not printable is escaped.

    A name can come from a server or an archive. Control characters in it could move a terminal's
    cursor, hide or forge text, or break a message into lines; lone surrogates, which stand for
    bytes that are no UTF-8, cannot be printed at all. Letters of all scripts stay as they are.

    Examples
    --------
    >>> from fastidx.base.names import printable_name
    >>> print(printable_name("träin\x1b[2J\n.gz"))
    träin\x1b[2J\n.gz
    """
    if name.isprintable():
        return name
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in name
    )
