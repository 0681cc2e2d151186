/*
 * inflate_fastloop.h - THE loop: decodes the symbols of a block while no symbol can come near the end
 * of the input or of the output. A template: inflate_symbols.h includes it once per variant, with
 *
 *     FI_SYMBOL            the type of one decoded symbol
 *     FI_FASTLOOP          the name of the function
 *     FI_FASTLOOP_TARGET   its target attribute, or nothing
 *     FI_COPY_MATCH        how a match is copied (see match_copy.h)
 *
 * Why it is fast. Time goes to the chain "bits -> table -> bits" and to mispredicted branches: whether a
 * literal or a match comes next is the very information that the stream holds, so no predictor and no
 * arrangement of tests knows it, and each wrong guess throws away what was begun after it. Hence two
 * rules. Everything that both answers need is begun before the question: the symbol is consumed, and
 * then both tables are read at the new position, the literal/length table for the case that it was a
 * literal, the distance table for the case that it was a length. Whichever way the branch goes, its
 * first load is done by then (this alone gains 8% on MNIST). And nothing else hangs on data: the refill has no
 * branch, the next entry is loaded before refill and copy, most matches are copied without asking how
 * long they are.
 *
 * Bits. A refill loads eight bytes over whatever bitbuf holds and advances by the whole bytes that found
 * room, which leaves 56 to 63 valid bits; bits above those are a preview of bytes not yet taken, which
 * the next refill loads again at the same place. Only the low byte of bitcount is meaningful: entries
 * are subtracted from it whole, which saves the masking.
 *
 *     after a refill                                       >= 56 bits
 *     two literals, codewords <= 11 bits each               >= 34
 *     a third, or the link of a subtable                    >= 23, enough to index either table
 *     a length, through a subtable (4 + 5 bits more) or not >= 14, likewise; then refill
 *     a distance, 15 + 13 bits                              >= 28, likewise; then refill
 *
 * Bounds. A turn refills at most twice, and once more before the first turn, each time at most 7 bytes
 * on, and the last refill reads 8 bytes from there: FI_FAST_IN_MARGIN. It writes at most two literals and a
 * match, and the copy may scribble FI_COPY_OVERRUN symbols further: FI_FAST_OUT_MARGIN. Both are checked
 * once a turn. What has to be checked for each match is its distance.
 *
 * Returns FI_DONE at the end of the block, FI_OUTPUT_FULL where one of the bounds is reached (the rest is
 * the checked loop's), or the verdict on an invalid symbol.
 */
static FI_FASTLOOP_TARGET enum fi_status FI_FASTLOOP(struct fi_inflate *s, struct fi_io *io,
						     const FI_SYMBOL *history,
						     const FI_SYMBOL *out_fast_end)
{
	const uint8_t *in_next = io->in_next;
	const uint8_t *const in_fast_end = io->in_end - FI_FAST_IN_MARGIN;
	FI_SYMBOL *out_next = (FI_SYMBOL *)io->out_next;
	const fi_entry *const litlen_table = s->litlen_table;
	const fi_entry *const dist_table = s->dist_table;
	uint64_t bitbuf = s->bitbuf;
	uint32_t bitcount = s->bitcount;
	enum fi_status status = FI_OUTPUT_FULL;
	fi_entry entry, next_entry, dist_entry;
	uint64_t bits_before;

#define REFILL() do { \
	bitbuf |= fi_load_le64(in_next) << (bitcount & 63); \
	in_next += 7 - ((bitcount >> 3) & 7); \
	bitcount |= 56; \
} while (0)
#define LOW_BITS(bits, n) ((bits) & (((uint64_t)1 << (n)) - 1))
#define LOOK_UP_LITLEN() litlen_table[LOW_BITS(bitbuf, FI_LITLEN_TABLE_BITS)]
#define LOOK_UP_DIST()   dist_table[LOW_BITS(bitbuf, FI_DIST_TABLE_BITS)]
#define FOLLOW_LINK(table, link) \
	table[FI_ENTRY_PAYLOAD(link) + LOW_BITS(bitbuf, FI_ENTRY_CODEWORD_BITS(link))]
#define CONSUME(e) do { bitbuf >>= (e) & 63; bitcount -= (e); } while (0)
/* Consumes `entry`, whatever it is, and begins the look-ups of both things that can follow it. */
#define STEP() do { \
	bits_before = bitbuf; \
	CONSUME(entry); \
	next_entry = LOOK_UP_LITLEN(); \
	dist_entry = LOOK_UP_DIST(); \
} while (0)
#define EMIT_LITERAL() do { *out_next++ = (uint8_t)(entry >> 16); entry = next_entry; } while (0)
/* Base plus extra bits, which follow the codeword. */
#define VALUE(e, bits) \
	(FI_ENTRY_PAYLOAD(e) + (uint32_t)(LOW_BITS(bits, (e) & 63) >> FI_ENTRY_CODEWORD_BITS(e)))

	REFILL();
	entry = LOOK_UP_LITLEN();
	do {
		uint32_t length, distance;
		FI_SYMBOL *match;

		STEP();
		if (entry & FI_ENTRY_LITERAL) {
			EMIT_LITERAL();
			STEP();
			if (entry & FI_ENTRY_LITERAL) {
				EMIT_LITERAL();
				STEP();
				if (entry & FI_ENTRY_LITERAL) {
					EMIT_LITERAL();
					REFILL();
					continue;
				}
			}
		}

		if (FI_UNLIKELY(entry & FI_ENTRY_EXCEPTIONAL)) {
			if (entry & FI_ENTRY_SUBTABLE) {
				entry = FOLLOW_LINK(litlen_table, entry);
				STEP();
				if (entry & FI_ENTRY_LITERAL) {
					EMIT_LITERAL();
					REFILL();
					continue;
				}
			}
			if (FI_UNLIKELY(entry & FI_ENTRY_EXCEPTIONAL)) {
				status = entry & FI_ENTRY_END_OF_BLOCK ? FI_DONE : FI_BAD_LITLEN_SYMBOL;
				break;
			}
		}

		length = VALUE(entry, bits_before);
		REFILL();
		if (FI_UNLIKELY(dist_entry & FI_ENTRY_EXCEPTIONAL)) {
			if (dist_entry & FI_ENTRY_SUBTABLE) {
				CONSUME(dist_entry);
				dist_entry = FOLLOW_LINK(dist_table, dist_entry);
			}
			if (FI_UNLIKELY(dist_entry & FI_ENTRY_EXCEPTIONAL)) {
				status = FI_BAD_DIST_SYMBOL;
				break;
			}
		}
		distance = VALUE(dist_entry, bitbuf);
		CONSUME(dist_entry);
		entry = LOOK_UP_LITLEN();
		REFILL();

		if (FI_UNLIKELY(distance > (size_t)(out_next - history))) {
			status = FI_BAD_DISTANCE;
			break;
		}
		match = out_next;
		out_next += length;
		FI_COPY_MATCH(match, distance, out_next);
	} while (in_next <= in_fast_end && out_next < out_fast_end);

	bitcount &= 63;
	s->bitbuf = LOW_BITS(bitbuf, bitcount);
	s->bitcount = bitcount;
	io->in_next = in_next;
	io->out_next = (uint8_t *)out_next;
	return status;

#undef REFILL
#undef LOW_BITS
#undef LOOK_UP_LITLEN
#undef LOOK_UP_DIST
#undef FOLLOW_LINK
#undef CONSUME
#undef STEP
#undef EMIT_LITERAL
#undef VALUE
}
