"""Generate ``crc32_tables.h``: the tables and the folding constants of ``crc32.c``.

Run it without arguments to rewrite the header beside it, with ``--check`` to compare only. Either
way the constants first have to prove themselves: a model of each algorithm, fed with them, must
agree with :func:`zlib.crc32`.

Polynomials over GF(2) are Python ints here, bit ``i`` standing for ``x**i``. CRC-32 sends the least
significant bit of a byte first, so in registers the highest power sits in the lowest bit;
:func:`reflect` turns one form into the other.
"""

from __future__ import annotations

import argparse
import random
import sys
import zlib
from collections.abc import Iterable
from pathlib import Path

HEADER = Path(__file__).with_name("crc32_tables.h")

P = 0x104C11DB7  # x**32 + x**26 + ... + 1, the polynomial of RFC 1952, section 8
FOLD_DISTANCES = [16 << k for k in range(6)]  # in bytes: what crc32_fold.h folds over
M64 = (1 << 64) - 1


def multiply(a: int, b: int) -> int:
    """Return the carry-less product."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        a <<= 1
        b >>= 1
    return product


def divide(a: int, b: int) -> tuple[int, int]:
    """Return quotient and remainder of polynomials."""
    quotient = 0
    while a.bit_length() >= b.bit_length():
        shift = a.bit_length() - b.bit_length()
        quotient |= 1 << shift
        a ^= b << shift
    return quotient, a


def x_to(n: int) -> int:
    """Return ``x**n mod P`` by squaring."""
    result, base = 1, 2
    while n:
        if n & 1:
            result = divide(multiply(result, base), P)[1]
        base = divide(multiply(base, base), P)[1]
        n >>= 1
    return result


def reflect(value: int, nbits: int) -> int:
    """Return `value` with bit ``i`` moved to bit ``nbits - 1 - i``."""
    return int(f"{value:0{nbits}b}"[::-1], 2)


def slice_tables() -> list[list[int]]:
    """Return 8 tables: entry ``b`` of table ``k`` is the CRC of byte ``b`` and ``k`` zero bytes."""
    return [
        [reflect(divide(reflect(b, 8) << (32 + 8 * k), P)[1], 32) for b in range(256)]
        for k in range(8)
    ]


def fold_key(nbytes: int) -> tuple[int, int]:
    """Return the multipliers that move the halves of a 16-byte register `nbytes` ahead.

    The first eight bytes are worth ``x**64`` more than the last eight; the product of two
    64-bit reflected factors lands one bit low in its register, which is worth another ``x``.
    """
    distance = 8 * nbytes
    return reflect(x_to(distance + 64 - 1), 64), reflect(x_to(distance - 1), 64)


def reduce_keys() -> tuple[int, int, int]:
    """Return what takes a 16-byte register to its CRC: ``x**96``, Barrett's quotient, and P.

    The products are wanted in registers of 96, 128 and 96 significant bits; the widths to which
    the constants are reflected make them land there. The quotient's bit for ``x**0`` falls off
    the 64-bit end: its multiple of the other factor stays below the part that is used.
    """
    quotient = divide(1 << 96, P)[0]
    return reflect(x_to(96), 33), reflect(quotient, 65) & M64, reflect(P, 33)


def power_table() -> list[int]:
    """Return ``x**(2**k) mod P``, k = 0..31, reflected; squaring the last gives the first."""
    return [reflect(x_to(1 << k), 32) for k in range(32)]


# The checks: models of the C code, on reflected values, against zlib.


def model_sliced(tables: list[list[int]], data: bytes) -> int:
    """Return the CRC as slice-by-8 computes it, for whole groups of 8 bytes."""
    state = 0xFFFFFFFF
    for start in range(0, len(data), 8):
        word = int.from_bytes(data[start : start + 8], "little") ^ state
        state = 0
        for i in range(8):
            state ^= tables[7 - i][word >> (8 * i) & 0xFF]
    return state ^ 0xFFFFFFFF


def model_folded(data: bytes, distance: int) -> int:
    """Return the CRC as folding over `distance` bytes and the final reduction compute it."""

    def fold(register: int, key: tuple[int, int]) -> int:
        return multiply(register & M64, key[0]) ^ multiply(register >> 64, key[1])

    words = [int.from_bytes(data[i : i + 16], "little") for i in range(0, len(data), 16)]
    words[0] ^= 0xFFFFFFFF
    lanes = distance // 16
    registers = words[:lanes]
    for start in range(lanes, len(words), lanes):
        for lane, word in enumerate(words[start : start + lanes]):
            registers[lane] = fold(registers[lane], fold_key(distance)) ^ word
    register = registers[0]
    for following in registers[1:]:
        register = fold(register, fold_key(16)) ^ following
    x96, quotient, polynomial = reduce_keys()
    t = multiply(register & M64, x96) ^ register >> 64
    q = multiply(t & M64, quotient) & M64
    return (t ^ multiply(q, polynomial)) >> 64 & 0xFFFFFFFF ^ 0xFFFFFFFF


def model_combined(powers: list[int], crc_a: int, crc_b: int, nbytes_b: int) -> int:
    """Return the CRC of the concatenation: crc_a times x**(8*nbytes_b), plus crc_b."""
    value = reflect(crc_a, 32)
    for k in range(nbytes_b.bit_length()):
        if nbytes_b >> k & 1:
            value = divide(multiply(value, reflect(powers[(k + 3) % 32], 32)), P)[1]
    return reflect(value, 32) ^ crc_b


def check_constants() -> None:
    """Raise AssertionError unless every constant does its work in a model of its algorithm."""
    rng = random.Random(32)
    tables, powers = slice_tables(), power_table()
    data = rng.randbytes(4096)
    expected = zlib.crc32(data)
    assert model_sliced(tables, data) == expected, "slice tables"
    for distance in FOLD_DISTANCES:
        assert model_folded(data, distance) == expected, f"folding over {distance} bytes"
    head, tail = data[:1500], data[1500:]
    combined = model_combined(powers, zlib.crc32(head), zlib.crc32(tail), len(tail))
    assert combined == expected, "combination"
    last = reflect(powers[31], 32)
    assert divide(multiply(last, last), P)[1] == 2, "x**(2**32) is not x"


def initializer(values: Iterable[int], digits: int, per_line: int, indent: str) -> str:
    """Return the numbers as hexadecimal C constants, some to a line."""
    words = [f"0x{value:0{digits}X}" for value in values]
    rows = [", ".join(words[i : i + per_line]) for i in range(0, len(words), per_line)]
    return "".join(f"{indent}{row},\n" for row in rows)


def render() -> str:
    """Return the text of ``crc32_tables.h``."""
    tables = "".join(
        "\t{\n" + initializer(table, 8, 6, "\t\t") + "\t},\n" for table in slice_tables()
    )
    keys = "".join(
        f"\t{{ 0x{low:016X}, 0x{high:016X} }}, /* {nbytes} bytes */\n"
        for nbytes in FOLD_DISTANCES
        for low, high in [fold_key(nbytes)]
    )
    x96, quotient, polynomial = reduce_keys()
    return f"""\
/*
 * crc32_tables.h - the numbers of crc32.c. DO NOT EDIT.
 *
 * Written and checked against zlib by generate_crc32_tables.py.
 */
#ifndef FASTIDX_CRC32_TABLES_H
#define FASTIDX_CRC32_TABLES_H

#include <stdint.h>

/* [k][b]: the CRC register after byte b and k zero bytes, started at 0. */
static const uint32_t crc32_slices[8][256] = {{
{tables}}};

/* [k]: x**(2**k) mod P, bit i standing for x**(31-i). */
static const uint32_t crc32_powers[32] = {{
{initializer(power_table(), 8, 6, chr(9))}}};

/*
 * [k]: moves a 16-byte register ahead by D = 8 * (16 << k) bits. Bit i stands for x**(63-i).
 * First its low half's multiplier x**(D+63) mod P, then its high half's, x**(D-1) mod P.
 */
static const uint64_t crc32_fold_keys[{len(FOLD_DISTANCES)}][2] = {{
{keys}}};

/* The final reduction: x**96 mod P, x**96 div P, and P; their bits 0 are x**32, x**64, x**32. */
#define CRC32_X96      0x{x96:016X}
#define CRC32_QUOTIENT 0x{quotient:016X}
#define CRC32_P        0x{polynomial:016X}

#endif /* FASTIDX_CRC32_TABLES_H */
"""


def main() -> int:
    """Write the header, or with ``--check`` say whether it is up to date."""
    parser = argparse.ArgumentParser(description="Generate crc32_tables.h.")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    arguments = parser.parse_args()
    check_constants()
    text = render()
    if not arguments.check:
        HEADER.write_text(text, encoding="ascii", newline="\n")
    elif HEADER.read_text(encoding="ascii") != text:
        print(f"{HEADER} differs from what {Path(__file__).name} writes: run it without --check")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
