"""DEFLATE streams built bit by bit: every limit of RFC 1951, on both of its sides.

Each test says what zlib does too (``assert_accepted`` and ``assert_refused`` ask it), runs on both
kernel paths, and feeds each stream whole and in pieces.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from deflate_writer import (
    DISTANCE_CODES,
    END_OF_BLOCK,
    LENGTH_CODES,
    PRECODE_ORDER,
    WINDOW_NBYTES,
    Bits,
    CodeLength,
    Deflate,
    Dist,
    Litlen,
    Match,
    Repeat,
    Symbol,
    expand,
    flat_code,
    gzip_member,
    lengths_for,
    steep_code,
)
from zlib_oracle import (
    assert_accepted,
    assert_refused,
    assert_same_verdict,
    verdict,
    zlib_inflate,
)

from fastidx import CorruptError, IdxError, TruncatedError

Inflate = Callable[..., bytes]

ONE_DIST = [1]  # distance 1 is the only code, of one bit: the code of one bit more has no meaning
NO_DIST = [0]
A_AND_END = lengths_for({ord("a"): 1, END_OF_BLOCK: 1}, 257)


def final_fixed(*symbols: Symbol, end: bool = True) -> bytes:
    return Deflate().fixed(symbols, final=True, end=end).getvalue()


# --- Block types and stored blocks ---------------------------------------------------------------


def test_block_type_3_is_refused(inflate: Inflate) -> None:
    assert_refused(inflate, Deflate().bits(0b111, 3).getvalue())  # BFINAL 1, BTYPE 11


def test_block_type_3_is_refused_after_output(inflate: Inflate) -> None:
    assert_refused(inflate, Deflate().stored(b"abc").bits(0b110, 3).getvalue())


@pytest.mark.parametrize("length", [0, 1, 2, 65534, 65535])
def test_stored_block_of_any_length_is_copied(inflate: Inflate, length: int) -> None:
    data = random.Random(length).randbytes(length)
    assert_accepted(inflate, Deflate().stored(data, final=True).getvalue(), data)


@pytest.mark.parametrize("complement", [0, 0xFFFF, 3, 0xFFFC ^ 0x8000, 0xFFFC ^ 1])
def test_stored_block_whose_nlen_is_not_the_complement_is_refused(
    inflate: Inflate, complement: int
) -> None:
    stream = Deflate().stored(b"abc", final=True, complement=complement).getvalue()
    assert_refused(inflate, stream)


def test_bits_before_a_stored_length_have_no_meaning(inflate: Inflate) -> None:
    stream = Deflate().stored(b"abc", padding=0b11111).fixed(b"d").stored(b"e", padding=0b101)
    assert_accepted(inflate, stream.stored(final=True, padding=0x7F).getvalue(), b"abcde")


@pytest.mark.parametrize("nbits", range(8))
def test_stored_block_starts_at_a_byte_whatever_bit_precedes_it(
    inflate: Inflate, nbits: int
) -> None:
    # A fixed block of n 9-bit literals takes 3 + 9 n + 7 bits: every phase of the byte comes up.
    stream = Deflate().fixed([200] * nbits).stored(b"stored", final=True).getvalue()
    assert_accepted(inflate, stream, bytes([200] * nbits) + b"stored")


def test_stored_blocks_interleave_with_matches_into_them(inflate: Inflate) -> None:
    stream = Deflate()
    for i in range(20):
        stream.stored(bytes([i, i + 1])).fixed([Match(5, 2 * i + 1)], final=i == 19)
    expected = b""
    for i in range(20):
        expected += bytes([i, i + 1])
        expected += expand([Match(5, 2 * i + 1)], history=expected)
    assert_accepted(inflate, stream.getvalue(), expected)


# --- Empty blocks --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["stored", "fixed", "dynamic"])
def test_thousands_of_empty_blocks_are_skipped(inflate: Inflate, kind: str) -> None:
    blocks = {
        "stored": Deflate().stored(),
        "fixed": Deflate().fixed(),
        "dynamic": Deflate().dynamic([], A_AND_END, code_lengths=short_lengths()),
    }
    one, nbits = blocks[kind].out, len(blocks[kind].out.done) * 8 + blocks[kind].out.npending
    stream = Deflate()
    for _ in range(5000):
        stream.bits(int.from_bytes(one.getvalue(), "little"), nbits)
    stream.stored(b"end", final=True)
    assert_accepted(inflate, stream.getvalue(), b"end")


def short_lengths() -> list[CodeLength]:
    """`A_AND_END` and `NO_DIST` with repeats."""
    return [Repeat(18, 97), 1, Repeat(18, 138), Repeat(18, 20), 1, 0]


# --- The fixed codes -----------------------------------------------------------------------------


def test_every_literal_has_its_fixed_code(inflate: Inflate) -> None:
    assert_accepted(inflate, final_fixed(*range(256)), bytes(range(256)))


@pytest.mark.parametrize("symbol", [286, 287])
@pytest.mark.parametrize("before", [b"", b"some output first"])
def test_reserved_length_symbols_of_the_fixed_code_are_refused(
    inflate: Inflate, symbol: int, before: bytes
) -> None:
    assert_refused(inflate, final_fixed(*before, Litlen(symbol), Dist(0)))


@pytest.mark.parametrize("symbol", [30, 31])
@pytest.mark.parametrize("before", [b"a", b"some output first"])
def test_reserved_distance_symbols_of_the_fixed_code_are_refused(
    inflate: Inflate, symbol: int, before: bytes
) -> None:
    assert_refused(inflate, final_fixed(*before, Litlen(257), Dist(symbol), Bits(0, 13)))


@pytest.mark.parametrize("symbol", [286, 287])
def test_reserved_symbols_after_the_end_of_block_are_padding(inflate: Inflate, symbol: int) -> None:
    # 3 bits, one literal of 8 and the end of 7 leave 6 bits of the last byte: all ones here.
    stream = final_fixed(ord("a"), Litlen(END_OF_BLOCK), Bits(symbol, 6), end=False)
    assert_accepted(inflate, stream, b"a")


# --- Matches -------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", range(1, 301, 50))
def test_match_of_every_length_at_every_distance_to_300(inflate: Inflate, first: int) -> None:
    for distance in range(first, first + 50):
        symbols: list[Symbol] = [*random.Random(distance).randbytes(distance)]
        symbols += [Match(length, distance) for length in range(3, 259)]
        expected = expand(symbols)
        stream = final_fixed(*symbols)
        assert inflate(stream, container="raw", max_nbytes=len(expected)) == expected, distance


@pytest.mark.parametrize("length", [3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 257, 258])
def test_match_at_any_distance_may_be_the_last_thing(inflate: Inflate, length: int) -> None:
    literals = [*random.Random(length).randbytes(300)]
    for distance in range(1, 301):
        symbols = [*literals[:distance], Match(length, distance)]
        expected = expand(symbols)
        out = inflate(final_fixed(*symbols), container="raw", max_nbytes=len(expected))
        assert out == expected, distance


@pytest.mark.parametrize("distance", [*range(1, 18), 31, 32, 33, 63, 64, 65])
def test_match_of_any_length_may_be_the_last_thing(inflate: Inflate, distance: int) -> None:
    literals = [*random.Random(distance).randbytes(distance)]
    for length in range(3, 259):
        symbols = [*literals, Match(length, distance)]
        expected = expand(symbols)
        out = inflate(final_fixed(*symbols), container="raw", max_nbytes=len(expected))
        assert out == expected, length


@pytest.mark.parametrize("room", range(1, 40))
def test_match_continues_where_the_room_ended(inflate: Inflate, room: int) -> None:
    symbols = [*b"0123456789", Match(258, 1), Match(33, 10), Match(100, 7), Match(3, 3), *b"end"]
    expected = expand(symbols)
    for in_chunk in (None, 1, 2):
        out = inflate(
            final_fixed(*symbols),
            container="raw",
            max_nbytes=len(expected),
            in_chunk=in_chunk,
            out_chunk=room,
        )
        assert out == expected


def test_length_258_has_two_codes(inflate: Inflate) -> None:
    symbols = [*b"xy", Match(258, 2, code=284), Match(258, 1, code=285), Match(227, 2)]
    assert_accepted(inflate, final_fixed(*symbols), expand(symbols))


@pytest.mark.parametrize("code", range(30))
def test_every_distance_code_reaches_from_its_first_to_its_last_distance(
    inflate: Inflate, code: int
) -> None:
    smallest, extra = DISTANCE_CODES[code]
    largest = smallest + (1 << extra) - 1
    history = random.Random(code).randbytes(largest)
    symbols = [Match(10, largest), Match(7, smallest), Match(258, largest)]
    expected = history + expand(symbols, history)
    stream = Deflate().stored(history).fixed(symbols, final=True).getvalue()
    assert inflate(stream, container="raw", max_nbytes=len(expected)) == expected
    short = Deflate().stored(history[1:]).fixed(symbols, final=True).getvalue()
    with pytest.raises(CorruptError):  # one byte less: the first match starts before the output
        inflate(short, container="raw", max_nbytes=len(expected))


@pytest.mark.parametrize("length", [3, 32, 258])
def test_distance_32768_reaches_the_oldest_byte_of_the_window(
    inflate: Inflate, length: int
) -> None:
    history = random.Random(1).randbytes(WINDOW_NBYTES)
    symbols: list[Symbol] = [
        Match(length, WINDOW_NBYTES),
        0,
        Match(length, WINDOW_NBYTES),
        Match(258, 32767),
    ]
    stream = Deflate().stored(history).fixed(symbols, final=True).getvalue()
    assert_accepted(inflate, stream, history + expand(symbols, history))


@pytest.mark.parametrize("nbytes", [0, 1, 2, 3, 100, 32767])
def test_distance_one_beyond_the_output_is_refused(inflate: Inflate, nbytes: int) -> None:
    stream = Deflate().stored(bytes(nbytes)).fixed([Match(3, nbytes + 1)], final=True)
    assert_refused(inflate, stream.getvalue())


def test_far_distance_in_the_first_block_is_refused(inflate: Inflate) -> None:
    assert_refused(inflate, final_fixed(*b"0123456789", Match(258, WINDOW_NBYTES)))


def test_no_history_is_carried_into_the_next_member(inflate: Inflate) -> None:
    first = gzip_member(b"0123456789" * 4000)
    for symbols in ([Match(3, 1)], [ord("a"), Match(3, 2)], [ord("a"), Match(258, WINDOW_NBYTES)]):
        second = gzip_member(b"", body=final_fixed(*symbols))
        assert_refused(inflate, first + second, CorruptError, container="gzip")


def test_matches_in_the_next_member_see_its_own_bytes_only(inflate: Inflate) -> None:
    symbols = [*b"xyz", Match(20, 3)]
    body = final_fixed(*symbols)
    data = gzip_member(b"abc" * 9) + gzip_member(expand(symbols), body=body)
    assert_accepted(inflate, data, b"abc" * 9 + expand(symbols), container="gzip")


# --- Dynamic codes: what is complete -------------------------------------------------------------


def dynamic(litlen: list[int], dist: list[int], *symbols: Symbol, end: bool = True) -> bytes:
    return Deflate().dynamic(symbols, litlen, dist, final=True, end=end).getvalue()


def test_end_of_block_may_be_the_only_code(inflate: Inflate) -> None:
    for dist in (NO_DIST, ONE_DIST, [1, 1]):
        assert_accepted(inflate, dynamic(lengths_for({END_OF_BLOCK: 1}, 257), dist), b"")


def test_the_missing_half_of_a_one_code_alphabet_is_refused(inflate: Inflate) -> None:
    only_end = lengths_for({END_OF_BLOCK: 1}, 257)
    assert_refused(inflate, dynamic(only_end, NO_DIST, Bits(1, 1)))


@pytest.mark.parametrize("nbits", [2, 3, 15])
def test_one_code_of_more_than_one_bit_is_incomplete(inflate: Inflate, nbits: int) -> None:
    assert_refused(inflate, dynamic(lengths_for({END_OF_BLOCK: nbits}, 257), NO_DIST))
    assert_refused(inflate, dynamic(A_AND_END, [nbits], ord("a")))


def test_block_without_an_end_of_block_code_is_refused(inflate: Inflate) -> None:
    no_end = lengths_for({ord("a"): 1, ord("b"): 1}, 257)
    assert_refused(inflate, dynamic(no_end, NO_DIST, ord("a"), end=False))
    assert_refused(inflate, dynamic([0] * 257, NO_DIST, end=False))


@pytest.mark.parametrize(
    "nbits_of", [{97: 1, 98: 2, 256: 3}, {97: 2, 98: 2, 256: 2}, {97: 15, 256: 15}]
)
def test_incomplete_literal_codes_are_refused(inflate: Inflate, nbits_of: dict[int, int]) -> None:
    assert_refused(inflate, dynamic(lengths_for(nbits_of, 257), NO_DIST, 97))


@pytest.mark.parametrize("nbits_of", [{97: 1, 98: 1, 256: 1}, {97: 1, 98: 2, 99: 2, 256: 15}])
def test_over_subscribed_literal_codes_are_refused(
    inflate: Inflate, nbits_of: dict[int, int]
) -> None:
    assert_refused(inflate, dynamic(lengths_for(nbits_of, 257), NO_DIST, 97))


@pytest.mark.parametrize("dist", [[1, 2], [2, 2, 2], [1, 1, 1], [1, 1, 15], [15, 15], [1] * 30])
def test_incomplete_or_over_subscribed_distance_codes_are_refused(
    inflate: Inflate, dist: list[int]
) -> None:
    assert_refused(inflate, dynamic(A_AND_END, dist, ord("a")))


def test_verdict_on_the_distance_code_does_not_wait_for_a_match(inflate: Inflate) -> None:
    only_end = lengths_for({END_OF_BLOCK: 1}, 257)
    assert_refused(inflate, dynamic(only_end, [2, 2, 2]))


LITLEN_WITH_MATCHES = flat_code([97, 98, END_OF_BLOCK, 257], 258)


def test_empty_distance_code_serves_a_block_of_literals(inflate: Inflate) -> None:
    assert_accepted(inflate, dynamic(LITLEN_WITH_MATCHES, NO_DIST, 97, 98), b"ab")


@pytest.mark.parametrize("bit", [0, 1])
def test_match_without_a_distance_code_is_refused(inflate: Inflate, bit: int) -> None:
    stream = dynamic(LITLEN_WITH_MATCHES, NO_DIST, 97, 98, Litlen(257), Bits(bit, 1), *b"abab")
    assert_refused(inflate, stream)


@pytest.mark.parametrize("code", [0, 1, 3])
def test_one_distance_code_means_its_distance(inflate: Inflate, code: int) -> None:
    symbols = [*b"aabb", Match(3, code + 1), Match(3, code + 1)]
    dist = lengths_for({code: 1}, code + 1)
    assert_accepted(inflate, dynamic(LITLEN_WITH_MATCHES, dist, *symbols), expand(symbols))


@pytest.mark.parametrize("code", [0, 1, 3])
def test_the_missing_half_of_a_one_distance_code_is_refused(inflate: Inflate, code: int) -> None:
    dist = lengths_for({code: 1}, code + 1)
    stream = dynamic(LITLEN_WITH_MATCHES, dist, *b"aabb", Litlen(257), Bits(1, 1), *b"abab")
    assert_refused(inflate, stream)


# --- Dynamic codes: how long they may be ---------------------------------------------------------

# Codes of 1, 2, ... 14, 15 and 15 bits: the two longest are the last literal and length code 284.
LONG_LITLEN = steep_code([*range(97, 97 + 13), END_OF_BLOCK, 0, 284], 286)
LONG_DIST = steep_code([*range(14), 15, 29], 30)


def test_codes_of_15_bits_with_all_their_extra_bits(inflate: Inflate) -> None:
    assert LONG_LITLEN[284] == LONG_DIST[29] == 15
    history = random.Random(2).randbytes(WINDOW_NBYTES)
    # 15 + 5 + 15 + 13 = 48 bits each, the most there can be
    longest = [Match(257 - i, WINDOW_NBYTES - i) for i in range(30)]
    symbols: list[Symbol] = [0, *longest, 0, 0, *range(97, 97 + 13), *longest]
    stream = Deflate().stored(history).dynamic(symbols, LONG_LITLEN, LONG_DIST, final=True)
    assert_accepted(inflate, stream.getvalue(), history + expand(symbols, history))


@pytest.mark.parametrize("end_nbits", range(1, 16))
def test_end_of_block_may_have_any_length(inflate: Inflate, end_nbits: int) -> None:
    literals = list(range(15))
    literals.insert(end_nbits - 1, END_OF_BLOCK)
    symbols = [0, 1, 2, 14, 14, 13, 0]
    assert_accepted(inflate, dynamic(steep_code(literals, 257), NO_DIST, *symbols), bytes(symbols))


@pytest.mark.parametrize("nbits", range(1, 16))
def test_every_symbol_of_a_code_of_any_depth_is_decoded(inflate: Inflate, nbits: int) -> None:
    # 1, 2, ... nbits: the tree is one long branch, so each symbol ends at another bit.
    used = [*range(nbits - 1), END_OF_BLOCK, 255]
    symbols = [symbol for symbol in used if symbol != END_OF_BLOCK] * 20
    random.Random(nbits).shuffle(symbols)
    assert_accepted(inflate, dynamic(steep_code(used, 257), NO_DIST, *symbols), bytes(symbols))


@pytest.mark.parametrize("depth", [9, 10, 11, 12, 13, 14, 15])
def test_codes_longer_than_any_first_table_are_all_decoded(inflate: Inflate, depth: int) -> None:
    # Half of the code space to one symbol a level, then a full subtree of 64 codes at the bottom.
    nbits_of = {i: i + 1 for i in range(depth - 6)}
    nbits_of |= {100 + i: depth for i in range(63)} | {END_OF_BLOCK: depth}
    symbols = [s for s in nbits_of if s != END_OF_BLOCK] * 5
    random.Random(depth).shuffle(symbols)
    stream = dynamic(lengths_for(nbits_of, 257), NO_DIST, *symbols)
    assert_accepted(inflate, stream, bytes(symbols))


@pytest.mark.parametrize("seed", range(8))
def test_codes_that_need_the_largest_tables_are_decoded(inflate: Inflate, seed: int) -> None:
    # How many codes have 1, 2, ... 15 bits. Of all codes for 286 and for 30 symbols, these need the
    # most memory in tables of 11 and 9 bits with a subtable for each longer prefix: 2340 and 592
    # entries (found with a search over all of them).
    litlen_counts = [1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 229, 49, 2]
    dist_counts = [1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 9, 9, 1, 1, 2]
    rng = random.Random(seed)
    litlen, dist = shuffled_code(rng, litlen_counts), shuffled_code(rng, dist_counts)
    history = rng.randbytes(WINDOW_NBYTES)
    symbols: list[Symbol] = [*range(256)]
    symbols += [random_match(rng, rng.randint(257, 285), code) for code in range(30)]
    symbols += [random_match(rng, code, rng.randrange(30)) for code in range(257, 286)]
    rng.shuffle(symbols)
    stream = Deflate().stored(history).dynamic(symbols, litlen, dist).fixed(b"fixed")
    stream.dynamic(symbols, litlen, dist, final=True)
    expected = history + expand([*symbols, *b"fixed", *symbols], history)
    assert_accepted(inflate, stream.getvalue(), expected)


def shuffled_code(rng: random.Random, counts: list[int]) -> list[int]:
    """As many code lengths of 1, 2, ... bits as `counts` says, for symbols at random."""
    lengths = [i + 1 for i, count in enumerate(counts) for _ in range(count)]
    rng.shuffle(lengths)
    return lengths


@pytest.mark.parametrize("seed", range(40))
def test_random_complete_codes_are_decoded(inflate: Inflate, seed: int) -> None:
    rng = random.Random(seed)
    literals = rng.sample(range(256), rng.randint(1, 256))
    lengths = rng.sample(range(257, 286), rng.randint(0, 29))
    dists = rng.sample(range(30), rng.randint(2, 30))
    litlen = random_code(rng, [*literals, *lengths, END_OF_BLOCK], 286)
    dist = random_code(rng, dists, 30)
    history = rng.randbytes(WINDOW_NBYTES)
    symbols: list[Symbol] = []
    for _ in range(300):
        symbols.append(rng.choice(literals))
        if lengths:
            symbols.append(random_match(rng, rng.choice(lengths), rng.choice(dists)))
    stream = Deflate().stored(history).dynamic(symbols, litlen, dist, final=True).getvalue()
    expected = history + expand(symbols, history)
    assert inflate(stream, container="raw", max_nbytes=len(expected)) == expected
    assert inflate(stream, container="raw", max_nbytes=1 << 20, in_chunk=3, out_chunk=5) == expected


def random_code(rng: random.Random, symbols: list[int], count: int) -> list[int]:
    """Lengths of a complete code, made by splitting random leaves of a tree."""
    leaves = [0]
    while len(leaves) < len(symbols):
        i = rng.randrange(len(leaves)) if rng.random() < 0.5 else leaves.index(min(leaves))
        if leaves[i] < 15:
            leaves[i : i + 1] = [leaves[i] + 1] * 2
    rng.shuffle(leaves)
    return lengths_for(dict(zip(symbols, leaves, strict=True)), count)


def random_match(rng: random.Random, length_symbol: int, dist_symbol: int) -> Match:
    """A match with these two codes and random extra bits."""
    base, extra = LENGTH_CODES[length_symbol - 257]
    length = min(base + rng.getrandbits(extra), 258)
    base, extra = DISTANCE_CODES[dist_symbol]
    return Match(length, base + rng.getrandbits(extra), code=length_symbol)


# --- Dynamic codes: how they are written ---------------------------------------------------------


def test_repeat_runs_from_literal_lengths_into_distance_lengths(inflate: Inflate) -> None:
    # 286 + 30 lengths: the last zeros of the one alphabet and the first of the other in one 18;
    # then a 16 repeats a distance length. The block is right only if both lists are one.
    lengths: list[CodeLength] = [Repeat(18, 97), 1, Repeat(18, 138), Repeat(18, 20), 2, 2]
    lengths += [Repeat(18, 28 + 20)]  # the rest of 286, and distances 0 to 19
    lengths += [3, Repeat(16, 5), 3, 3, 0, 0]  # distances 20 to 27
    litlen = lengths_for({97: 1, 256: 2, 257: 2}, 286)
    dist = [0] * 20 + [3] * 8 + [0] * 2
    symbols: list[Symbol] = [97, 97, 97, Match(3, 1025)]
    stream = (
        Deflate()
        .stored(bytes(2000))
        .dynamic(symbols, litlen, dist, final=True, code_lengths=lengths)
    )
    assert_accepted(inflate, stream.getvalue(), bytes(2000) + b"aaa" + bytes(3))


def test_repeat_of_the_last_literal_length_gives_distance_lengths(inflate: Inflate) -> None:
    # Length code 258 has 2 bits; the 16 after it gives 2 bits to distances 1, 2, 3 and 4.
    litlen = lengths_for({97: 2, 256: 2, 257: 2, 258: 2}, 259)
    lengths: list[CodeLength] = [Repeat(18, 97), 2, Repeat(18, 138), Repeat(18, 20), 2, 2, 2]
    lengths += [Repeat(16, 4)]
    symbols: list[Symbol] = [97, Match(3, 1), 97, Match(4, 4)]
    stream = Deflate().dynamic(symbols, litlen, [2] * 4, final=True, code_lengths=lengths)
    assert_accepted(inflate, stream.getvalue(), expand(symbols))


def test_repeat_with_nothing_before_it_is_refused(inflate: Inflate) -> None:
    header = Deflate().dynamic_header([Repeat(16, 3)], nlitlen=257, ndist=1, final=True)
    assert_refused(inflate, header.bits(0, 400).getvalue())


@pytest.mark.parametrize("last", [Repeat(16, 3), Repeat(17, 3), Repeat(18, 11), Repeat(18, 138)])
def test_repeat_past_the_last_length_is_refused(inflate: Inflate, last: Repeat) -> None:
    # 97 + 1 + 138 + 20 + 1 = 257 lengths of 258: there is room for one more.
    lengths = [*short_lengths()[:-1], last]
    header = Deflate().dynamic_header(lengths, nlitlen=257, ndist=1, final=True)
    assert_refused(inflate, header.bits(0, 400).getvalue())


@pytest.mark.parametrize("last", [Repeat(16, 3), Repeat(16, 6), Repeat(17, 3), Repeat(17, 10)])
def test_repeat_up_to_the_last_length_is_accepted(inflate: Inflate, last: Repeat) -> None:
    lengths = [*short_lengths()[:-1], 0, last]
    stream = Deflate().dynamic(
        b"aa", A_AND_END, [0] * (1 + last.times), final=True, code_lengths=lengths
    )
    assert_accepted(inflate, stream.getvalue(), b"aa")


def test_286_and_30_codes_are_the_most(inflate: Inflate) -> None:
    litlen, dist = flat_code(range(286), 286), flat_code(range(30), 30)
    symbols = [*range(256), Match(258, 256), Match(3, 1)]
    assert_accepted(inflate, dynamic(litlen, dist, *symbols), expand(symbols))


@pytest.mark.parametrize(
    ("nlitlen", "ndist"), [(287, 1), (288, 1), (257, 31), (257, 32), (288, 32)]
)
def test_more_codes_than_there_are_symbols_are_refused(
    inflate: Inflate, nlitlen: int, ndist: int
) -> None:
    lengths = lengths_for({97: 1, END_OF_BLOCK: 1}, nlitlen) + [0] * ndist
    header = Deflate().dynamic_header(lengths, nlitlen=nlitlen, ndist=ndist, final=True)
    assert_refused(inflate, header.bits(0b10, 300).getvalue())


@pytest.mark.parametrize("nprecode", range(5, 20))
def test_code_length_code_may_end_at_any_entry(inflate: Inflate, nprecode: int) -> None:
    # A complete code that needs the length of the last entry written, and otherwise 8 and more.
    last = PRECODE_ORDER[nprecode - 1]
    nbits = [last] + [8] * (256 - (1 << max(8 - last, 0)))
    if last > 8:
        nbits = [8] * 255 + [*range(9, last), last, last]
    used = [END_OF_BLOCK, *range(256), *range(257, 286)][: len(nbits)]
    litlen = lengths_for(dict(zip(used, nbits, strict=True)), 286)
    literals = [symbol for symbol in range(256) if litlen[symbol]]
    assert_accepted(inflate, dynamic(litlen, NO_DIST, *literals), bytes(literals))


def test_four_entries_of_the_code_length_code_can_write_zeros_only(inflate: Inflate) -> None:
    zeros: list[CodeLength] = [Repeat(18, 138), Repeat(18, 119), 0]
    precode = flat_code([0, 17, 18], 19)
    header = Deflate().dynamic_header(
        zeros, nlitlen=257, ndist=1, precode=precode, nprecode=4, final=True
    )
    assert_refused(inflate, header.bits(0, 400).getvalue())


@pytest.mark.parametrize(
    "precode",
    [
        {},  # no code at all
        {0: 1},  # one code: incomplete, which is never accepted here
        {18: 7},
        {0: 1, 1: 2},
        {0: 7, 18: 7},
        {0: 1, 1: 1, 18: 1},
        {0: 1, 1: 2, 2: 2, 18: 7},
        dict.fromkeys(range(19), 4),
    ],
)
def test_incomplete_or_over_subscribed_code_length_codes_are_refused(
    inflate: Inflate, precode: dict[int, int]
) -> None:
    header = Deflate().dynamic_header(
        [], nlitlen=257, ndist=1, precode=lengths_for(precode, 19), final=True
    )
    assert_refused(inflate, header.bits(0, 800).getvalue())


def test_one_code_length_code_is_refused_though_the_lengths_would_be_right(
    inflate: Inflate,
) -> None:
    # Were the missing half of the code a zero, this would be 256 symbols of 8 bits each.
    header = Deflate().dynamic_header(
        [], nlitlen=257, ndist=1, precode=lengths_for({8: 1}, 19), final=True
    )
    header.bits(1, 1).bits(0, 256).bits(1, 1)
    assert_refused(inflate, header.bits(0b11111111, 8).getvalue())


def test_code_length_codes_of_7_bits_are_decoded(inflate: Inflate) -> None:
    precode = steep_code([18, 1, 0, 16, 17, 2, 3, 4], 19)
    assert max(precode) == 7
    lengths = [*short_lengths()[:-1], 0, Repeat(17, 3), Repeat(16, 3)]
    stream = Deflate().dynamic(
        b"aaaa", A_AND_END, [0] * 7, final=True, precode=precode, code_lengths=lengths
    )
    assert_accepted(inflate, stream.getvalue(), b"aaaa")


def test_codes_of_one_block_are_forgotten_in_the_next(inflate: Inflate) -> None:
    many = flat_code(range(286), 286)
    stream = Deflate()
    stream.dynamic([*range(256)], many, [1, 1]).fixed(b"fixed")
    stream.dynamic(b"aaa", A_AND_END, NO_DIST).fixed(b"fixed", final=False)
    stream.dynamic([*range(256)], many, [1, 1], final=True)
    expected = bytes(range(256)) + b"fixedaaafixed" + bytes(range(256))
    assert_accepted(inflate, stream.getvalue(), expected)


def test_distance_code_of_an_earlier_block_is_gone(inflate: Inflate) -> None:
    stream = Deflate().dynamic([97, Match(3, 1)], LITLEN_WITH_MATCHES, [1, 1])
    stream.dynamic([97, Litlen(257), Bits(0, 2)], LITLEN_WITH_MATCHES, NO_DIST, final=True)
    assert_refused(inflate, stream.getvalue())


# --- Ends ----------------------------------------------------------------------------------------


def every_kind_of_block() -> tuple[bytes, bytes]:
    history = b"0123456789abcdef"
    symbols = [*b"xyz", Match(20, 3), Match(258, 16)]
    litlen = flat_code([*b"xyz", END_OF_BLOCK, *range(257, 286)], 286)
    stream = Deflate().stored(history).fixed(symbols).stored(b"").stored(b"more")
    stream.dynamic(symbols, litlen, flat_code(range(30), 30), final=True)
    expected = history + expand(symbols, history) + b"more"
    return stream.getvalue(), expected + expand(symbols, expected)


def test_stream_of_every_kind_of_block_is_decoded(inflate: Inflate) -> None:
    assert_accepted(inflate, *every_kind_of_block())


def test_stream_cut_anywhere_is_truncated(inflate: Inflate) -> None:
    stream, _ = every_kind_of_block()
    for nbytes in range(len(stream)):
        assert_refused(inflate, stream[:nbytes], TruncatedError)


def test_stream_without_a_final_block_is_truncated(inflate: Inflate) -> None:
    assert_refused(inflate, Deflate().stored(b"abc").getvalue(), TruncatedError)
    assert_refused(inflate, Deflate().fixed(b"abc").stored().getvalue(), TruncatedError)


def test_all_zero_code_does_not_invent_output_after_the_input(inflate: Inflate) -> None:
    # "a" is the code 0: a decoder that reads zeros past the end of its input sees it for ever.
    stream = dynamic(A_AND_END, NO_DIST, *b"a" * 100, end=False)
    assert_refused(inflate, stream, TruncatedError)


def test_output_larger_than_the_room_is_an_error_not_a_cut_result(inflate: Inflate) -> None:
    stream = final_fixed(ord("a"), Match(258, 1), Match(258, 1))
    for room in (0, 1, 2, 258, 259, 516):
        for in_chunk, out_chunk in [(None, None), (1, None), (None, 1), (3, 7)]:
            with pytest.raises(IdxError) as raised:
                inflate(
                    stream,
                    container="raw",
                    max_nbytes=room,
                    in_chunk=in_chunk,
                    out_chunk=out_chunk,
                )
            assert not isinstance(raised.value, CorruptError | TruncatedError)
    assert len(inflate(stream, container="raw", max_nbytes=517)) == 517


@pytest.mark.parametrize("seed", range(8))
def test_random_bytes_get_the_verdict_of_zlib(inflate: Inflate, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(400):
        data = rng.randbytes(rng.randint(0, 60))
        found = verdict(inflate, data, container="raw", max_nbytes=1 << 20)
        assert_same_verdict(found, verdict(zlib_inflate, data))
