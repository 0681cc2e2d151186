/*
 * huffman.c - builds the decoding tables described in huffman.h.
 *
 * A file of MNIST's size holds well over a thousand dynamic blocks, each with its own codes, so building
 * is on the hot path. Codewords are visited in canonical order: the table is filled as if the codeword
 * length were the index width, then doubled with memcpy for the next length. Each entry is so computed
 * once however often it stands in the table. Codewords run bit-reversed throughout, since DEFLATE packs
 * them with the first bit lowest.
 *
 * Refused: over-subscribed and incomplete codes (exceptions in huffman.h). Lengths come from at most
 * four bits, symbol counts from the caller's checks, so no index needs a check of its own.
 */
#include "huffman.h"

/* What a symbol does, before its codeword's length is added to the two low bytes. */
#define LITERAL(v)     (FI_ENTRY_LITERAL | ((fi_entry)(v) << 16))
#define LITERALS_4(v)  LITERAL(v), LITERAL((v) + 1), LITERAL((v) + 2), LITERAL((v) + 3)
#define LITERALS_16(v) LITERALS_4(v), LITERALS_4((v) + 4), LITERALS_4((v) + 8), LITERALS_4((v) + 12)
#define LITERALS_64(v) LITERALS_16(v), LITERALS_16((v) + 16), LITERALS_16((v) + 32), LITERALS_16((v) + 48)
#define EXTRA(base, nbits) (((fi_entry)(base) << 16) | (nbits))
#define RESERVED       FI_ENTRY_EXCEPTIONAL

static const fi_entry litlen_actions[DEFLATE_NUM_LITLEN_SYMS] = {
	LITERALS_64(0), LITERALS_64(64), LITERALS_64(128), LITERALS_64(192),
	FI_ENTRY_EXCEPTIONAL | FI_ENTRY_END_OF_BLOCK,
	EXTRA(3, 0), EXTRA(4, 0), EXTRA(5, 0), EXTRA(6, 0), EXTRA(7, 0), EXTRA(8, 0),
	EXTRA(9, 0), EXTRA(10, 0), EXTRA(11, 1), EXTRA(13, 1), EXTRA(15, 1), EXTRA(17, 1),
	EXTRA(19, 2), EXTRA(23, 2), EXTRA(27, 2), EXTRA(31, 2), EXTRA(35, 3), EXTRA(43, 3),
	EXTRA(51, 3), EXTRA(59, 3), EXTRA(67, 4), EXTRA(83, 4), EXTRA(99, 4), EXTRA(115, 4),
	EXTRA(131, 5), EXTRA(163, 5), EXTRA(195, 5), EXTRA(227, 5), EXTRA(258, 0),
	RESERVED, RESERVED,
};

static const fi_entry dist_actions[DEFLATE_NUM_DIST_SYMS] = {
	EXTRA(1, 0), EXTRA(2, 0), EXTRA(3, 0), EXTRA(4, 0), EXTRA(5, 1), EXTRA(7, 1),
	EXTRA(9, 2), EXTRA(13, 2), EXTRA(17, 3), EXTRA(25, 3), EXTRA(33, 4), EXTRA(49, 4),
	EXTRA(65, 5), EXTRA(97, 5), EXTRA(129, 6), EXTRA(193, 6), EXTRA(257, 7), EXTRA(385, 7),
	EXTRA(513, 8), EXTRA(769, 8), EXTRA(1025, 9), EXTRA(1537, 9), EXTRA(2049, 10), EXTRA(3073, 10),
	EXTRA(4097, 11), EXTRA(6145, 11), EXTRA(8193, 12), EXTRA(12289, 12), EXTRA(16385, 13), EXTRA(24577, 13),
	RESERVED, RESERVED,
};

/* For the code length code the payload is the symbol itself. */
static const fi_entry precode_actions[DEFLATE_NUM_PRECODE_SYMS] = {
	EXTRA(0, 0), EXTRA(1, 0), EXTRA(2, 0), EXTRA(3, 0), EXTRA(4, 0), EXTRA(5, 0), EXTRA(6, 0),
	EXTRA(7, 0), EXTRA(8, 0), EXTRA(9, 0), EXTRA(10, 0), EXTRA(11, 0), EXTRA(12, 0), EXTRA(13, 0),
	EXTRA(14, 0), EXTRA(15, 0), EXTRA(16, 0), EXTRA(17, 0), EXTRA(18, 0),
};

struct code {
	unsigned nsyms;          /* symbols with a codeword */
	const uint16_t *sorted;  /* those symbols by codeword length, then by value */
	unsigned count[DEFLATE_MAX_CODEWORD_LEN + 1];  /* codewords of each length */
	uint16_t by_length[DEFLATE_NUM_LITLEN_SYMS];   /* all symbols, those without a codeword first */
};

enum completeness { COMPLETE, ONE_CODEWORD, EMPTY, INVALID };

static void count_lengths(struct code *code, const uint8_t *lens, unsigned nsyms)
{
	/* Neighbours often have the same length; two counters spare the second the wait for the first. */
	unsigned odd[DEFLATE_MAX_CODEWORD_LEN + 1] = {0};
	unsigned len, sym;

	memset(code->count, 0, sizeof(code->count));
	for (sym = 0; sym + 1 < nsyms; sym += 2) {
		code->count[lens[sym]]++;
		odd[lens[sym + 1]]++;
	}
	if (sym < nsyms)
		code->count[lens[sym]]++;
	for (len = 0; len <= DEFLATE_MAX_CODEWORD_LEN; len++)
		code->count[len] += odd[len];
}

static enum completeness sort_symbols(struct code *code, const uint8_t *lens, unsigned nsyms)
{
	unsigned offset[DEFLATE_MAX_CODEWORD_LEN + 2];
	unsigned len, sym;
	int unused = 1;  /* codewords of the current length that no shorter one is a prefix of */

	count_lengths(code, lens, nsyms);
	offset[0] = 0;
	offset[1] = code->count[0];
	for (len = 1; len <= DEFLATE_MAX_CODEWORD_LEN; len++) {
		unused = 2 * unused - (int)code->count[len];
		if (unused < 0)
			return INVALID;
		offset[len + 1] = offset[len] + code->count[len];
	}
	for (sym = 0; sym < nsyms; sym++)
		code->by_length[offset[lens[sym]]++] = (uint16_t)sym;
	code->sorted = code->by_length + code->count[0];
	code->nsyms = nsyms - code->count[0];

	if (unused == 0)
		return COMPLETE;
	if (code->nsyms == 0)
		return EMPTY;
	return code->nsyms == 1 && code->count[1] == 1 ? ONE_CODEWORD : INVALID;
}

FI_ALWAYS_INLINE fi_entry make_entry(fi_entry action, unsigned len)
{
	return action + (len << 8) + len;
}

/* The next codeword of `len` bits, bit-reversed: adds one at the top end. All ones stay all ones. */
FI_ALWAYS_INLINE unsigned next_codeword(unsigned codeword, unsigned len)
{
	const unsigned zeros = codeword ^ ((1u << len) - 1);
	unsigned bit;

	if (FI_UNLIKELY(zeros == 0))
		return codeword;
	bit = fi_highest_bit(zeros);
	return (codeword & (bit - 1)) | bit;
}

static void fill_table(fi_entry *table, unsigned table_bits, const struct code *code, const fi_entry *actions)
{
	const uint16_t *sym = code->sorted;
	const uint16_t *const end = code->sorted + code->nsyms;
	unsigned codeword = 0, len = 1, n;
	unsigned prefix_mask = (1u << table_bits) - 1, prefix = ~0u, start = 0, bits = 0;
	unsigned next_free = 1u << table_bits;

	while (len < table_bits && code->count[len] == 0)
		len++;
	for (; len <= table_bits; len++) {
		for (n = code->count[len]; n != 0; n--) {
			table[codeword] = make_entry(actions[*sym++], len);
			codeword = next_codeword(codeword, len);
		}
		if (len < table_bits)
			memcpy(&table[1u << len], table, sizeof(*table) << len);
	}

	for (; sym != end; len++) {
		for (n = code->count[len]; n != 0; n--) {
			const unsigned stride = 1u << (len - table_bits);
			fi_entry entry = make_entry(actions[*sym++], len - table_bits);
			unsigned i;

			if ((codeword & prefix_mask) != prefix) {
				/* The first codeword with this prefix: the subtable must hold all of them. */
				unsigned held = n;

				prefix = codeword & prefix_mask;
				start = next_free;
				for (bits = len - table_bits; held < (1u << bits); ) {
					bits++;
					held = 2 * held + code->count[table_bits + bits];
				}
				next_free += 1u << bits;
				table[prefix] = FI_ENTRY_EXCEPTIONAL | FI_ENTRY_SUBTABLE |
					(start << 16) | (bits << 8) | table_bits;
			}
			for (i = codeword >> table_bits; i < (1u << bits); i += stride)
				table[start + i] = entry;
			codeword = next_codeword(codeword, len);
		}
	}
}

/* Tables of the two incomplete codes: codewords that stand for nothing are one bit long, as in zlib. */
static void fill_degenerate_table(fi_entry *table, unsigned table_bits, const struct code *code,
				  const fi_entry *actions)
{
	const fi_entry nothing = make_entry(FI_ENTRY_EXCEPTIONAL, 1);
	const fi_entry zero = code->nsyms == 1 ? make_entry(actions[code->sorted[0]], 1) : nothing;
	unsigned i;

	for (i = 0; i < (1u << table_bits); i += 2) {
		table[i] = zero;
		table[i + 1] = nothing;
	}
}

static bool build_table(fi_entry *table, unsigned table_bits, const uint8_t *lens, unsigned nsyms,
			const fi_entry *actions)
{
	struct code code;

	switch (sort_symbols(&code, lens, nsyms)) {
	case COMPLETE:
		fill_table(table, table_bits, &code, actions);
		return true;
	case ONE_CODEWORD:
	case EMPTY:
		if (actions == precode_actions)
			return false;
		fill_degenerate_table(table, table_bits, &code, actions);
		return true;
	default:
		return false;
	}
}

bool fi_build_precode_table(fi_entry table[FI_PRECODE_TABLE_SIZE], const uint8_t *lens)
{
	return build_table(table, FI_PRECODE_TABLE_BITS, lens, DEFLATE_NUM_PRECODE_SYMS, precode_actions);
}

bool fi_build_litlen_table(fi_entry table[FI_LITLEN_TABLE_SIZE], const uint8_t *lens, unsigned nsyms)
{
	return build_table(table, FI_LITLEN_TABLE_BITS, lens, nsyms, litlen_actions);
}

bool fi_build_dist_table(fi_entry table[FI_DIST_TABLE_SIZE], const uint8_t *lens, unsigned nsyms)
{
	return build_table(table, FI_DIST_TABLE_BITS, lens, nsyms, dist_actions);
}
