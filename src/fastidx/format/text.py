"""Recognise text that is found under the names of IDX files: pages, tables, dumps, pickles."""

from __future__ import annotations

import codecs
import re

from .advice import PICKLE, SERVER_PAGE, TEXT

_HTML_STARTS = (b"<!do", b"<htm", b"<hea", b"<bod", b"<!--")
# Left uncompiled: compiling them at import would be a good part of the time of this module.
_JSON_START = r'[{\[]\s*(?:["{}\[\]\d-]|true|false|null|$)'
# The opcodes MARK, DICT or LIST, PUT; or GLOBAL, PUT. Protocol 1 has BINPUT after an empty object.
_OLD_PICKLE_START = rb"\([dl]p\d|c[A-Za-z_][\w.]*\n\w+\n[pq]|[}\]]q\0"
_NUMBERS = r"[-+.\deE\s]*\d\s+[-+.\d][-+.\deE\s]*"
# The beginnings of IDX and gzip files (RFC 1952, section 2.3.1), in hexadecimal and in base64.
_HEX_STARTS = {r"00000[89bcde][0-4]": "an IDX file", r"1f8b08": "a gzip file"}
_BASE64_STARTS = {r"AAA[IJLMNO][AB]": "an IDX file", r"H4sI[A-P]": "a gzip file"}
# A line of xxd or hexdump: the offset 0, then bytes.
_DUMP_START = r"0{4,8}:?\s+(?:00 ?00 ?0[89b-e]|1f ?8b ?08)"
_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}


def recognise_text(prefix: bytes) -> tuple[str, str] | None:
    """Return what text is called, and what to do about it; None for binary data."""
    if re.match(_OLD_PICKLE_START, prefix):
        return PICKLE
    if prefix.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "UTF-16 text", TEXT
    text = decode(prefix)
    if text is None:
        return None
    markup = prefix.removeprefix(codecs.BOM_UTF8).lstrip().lower()
    if markup.startswith(_HTML_STARTS) or (markup.startswith(b"<?xml") and b"<html" in markup):
        return "an HTML page", SERVER_PAGE
    if re.match(rb"<[?a-z]", markup):
        return "XML text", SERVER_PAGE
    if re.match(_JSON_START, text):
        return "JSON text", SERVER_PAGE
    return _recognise_bytes_as_text(text) or _recognise_table(text) or ("plain text", TEXT)


def decode(prefix: bytes) -> str | None:
    """Return text without its byte order mark and leading space; None for binary data."""
    try:
        # The incremental decoder accepts that the prefix ends within a character.
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(prefix).lstrip()
    except UnicodeDecodeError:
        return None
    return text if re.sub(r"[\t\n\f\r]", "", text).isprintable() else None


def _recognise_bytes_as_text(text: str) -> tuple[str, str] | None:
    """Recognise a binary file that was written as hexadecimal digits or in base64."""
    if re.match(_DUMP_START, text, re.IGNORECASE):
        return (
            "a hexadecimal dump of a binary file",
            "fetch the binary file, or turn the dump back into it (xxd -r)",
        )
    digits = re.sub(r"0x", "", text.lower())
    tokens = re.split(r"[\s,;]+", digits)
    # Two digits are a byte; the prefix may cut the last one. Numbers in a table are seldom such.
    if re.fullmatch(r"[0-9a-f\s,;]*", digits) and all(len(token) % 2 == 0 for token in tokens[:-1]):
        for start, kind in _HEX_STARTS.items():
            if re.match(start, "".join(tokens)):
                return (
                    f"{kind} as hexadecimal text",
                    "turn it into bytes with bytes.fromhex (without 0x and commas) and load those",
                )
    if re.fullmatch(r"[A-Za-z0-9+/\s]*=*\s*", text):
        for start, kind in _BASE64_STARTS.items():
            if re.match(start, text):
                return (
                    f"{kind} as base64 text",
                    "turn it into bytes with base64.b64decode and load those",
                )
    return None


def _recognise_table(text: str) -> tuple[str, str] | None:
    """Recognise numbers in rows, with or without a line of titles."""
    if re.fullmatch(_NUMBERS, text):
        return "numbers as text", "load them with numpy.loadtxt(...)"
    lines = text.splitlines() or [""]
    complete = lines[:-1] if len(lines) > 1 and text[-1] not in "\r\n" else lines
    for separator, word in _SEPARATORS.items():
        counts = {line.count(separator) for line in complete}
        row = complete[-1].split(separator)
        is_numeric = all(re.fullmatch(r"\s*[-+.\deE]*\s*", field) for field in row)
        has_titles = any(re.search(r"[A-Za-z]{2}", field) for field in complete[0].split(separator))
        # One line of titles is a table only if they are many and no sentence.
        is_row_of_titles = len(row) > 3 and not any(" " in field for field in row)
        if len(counts) == 1 and len(row) > 1 and (is_numeric or is_row_of_titles):
            skip = ", skiprows=1" if has_titles else ""
            return (
                f"a table of {word}-separated values (CSV)",
                f"load it with numpy.loadtxt(..., delimiter={separator!r}{skip})",
            )
    return None
