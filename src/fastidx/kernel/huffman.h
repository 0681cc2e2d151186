/*
 * huffman.h - decoding tables for DEFLATE's canonical Huffman codes (RFC 1951, section 3.2.2).
 *
 * A table is indexed by the next `table_bits` bits of the stream. An entry says in one 32-bit word what
 * the decoder does next, so that a symbol costs one load:
 *
 *     bits  0..7   bits to consume: codeword plus extra bits (for a subtable link: table_bits)
 *     bits  8..11  codeword bits alone, i.e. where the extra bits begin (for a link: the subtable's index bits)
 *     bit   13     end of block
 *     bit   14     link to a subtable
 *     bit   15     exceptional: end of block, link, or (with neither) a codeword that stands for nothing
 *     bits 16..30  literal, length base, distance base, or the subtable's first entry
 *     bit   31     literal
 *
 * Codewords longer than table_bits continue in a subtable; the codeword bits of a subtable's entries
 * count from the subtable's first index bit, because the link consumes the others.
 */
#ifndef FASTIDX_HUFFMAN_H
#define FASTIDX_HUFFMAN_H

#include "common.h"
#include "deflate_constants.h"

typedef uint32_t fi_entry;

#define FI_ENTRY_LITERAL      0x80000000u
#define FI_ENTRY_EXCEPTIONAL  0x00008000u
#define FI_ENTRY_SUBTABLE     0x00004000u
#define FI_ENTRY_END_OF_BLOCK 0x00002000u

#define FI_ENTRY_CONSUMED(e)      ((uint8_t)(e))
#define FI_ENTRY_CODEWORD_BITS(e) (((e) >> 8) & 0xF)
#define FI_ENTRY_PAYLOAD(e)       (((e) >> 16) & 0x7FFF)

/*
 * Index bits. Wider tables save subtable look-ups and cost time in each of the many builds;
 * 11 and 9 did best on MNIST, by little.
 *
 * The sizes are the most entries that table plus subtables can have over all codes of that alphabet
 * with codewords of at most 15 bits: each subtable is as wide as the longest codeword in it, and the
 * worst codes open subtables with one short and one full-length path each. For (288, 11) that is 2342,
 * for (32, 9) it is 594; a complete search over the shapes that canonical codes can have gives both.
 */
#define FI_LITLEN_TABLE_BITS   11
#define FI_LITLEN_TABLE_SIZE   2342
#define FI_DIST_TABLE_BITS     9
#define FI_DIST_TABLE_SIZE     594
#define FI_PRECODE_TABLE_BITS  DEFLATE_MAX_PRECODEWORD_LEN
#define FI_PRECODE_TABLE_SIZE  (1 << FI_PRECODE_TABLE_BITS)

/*
 * Each builder returns false when the code is over-subscribed or incomplete. As in zlib, two incomplete
 * codes pass, except for the precode: one codeword of one bit, and (distances only, since 256 must
 * have a codeword) none at all. The missing codewords then decode to an exceptional entry.
 */
bool fi_build_precode_table(fi_entry table[FI_PRECODE_TABLE_SIZE], const uint8_t *lens);
bool fi_build_litlen_table(fi_entry table[FI_LITLEN_TABLE_SIZE], const uint8_t *lens, unsigned nsyms);
bool fi_build_dist_table(fi_entry table[FI_DIST_TABLE_SIZE], const uint8_t *lens, unsigned nsyms);

#endif /* FASTIDX_HUFFMAN_H */
