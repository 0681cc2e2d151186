/*
 * crc32_fold.h - template: one function that folds a text of at least 16 << FOLD_LOG2 bytes.
 *
 * Included by crc32.c once per vector width, with
 *   FOLD_LOG2    log2 of the vector's lanes of 16 bytes,
 *   FOLD_TARGET  the function's target attribute,
 *   FOLD_OP(op)  the vector's operation op: load, start, key, fold, narrow; vec is its type.
 * It defines FOLD_OP(crc32), from CRC register to CRC register (not inverted).
 *
 * Eight vectors are in flight: a fold's result is needed only eight folds later, so the multiplier
 * never waits for its own latency (4 to 8 cycles for a multiplication, and two XORs).
 */
FOLD_TARGET
static uint32_t FOLD_OP(crc32)(uint32_t state, const uint8_t *in_next, size_t nbytes)
{
	enum { VEC_NBYTES = 16 << FOLD_LOG2 };
	FOLD_OP(vec) v0 = FOLD_OP(start)(state, in_next);

	if (nbytes >= 8 * VEC_NBYTES) {
		const FOLD_OP(vec) by_8 = FOLD_OP(key)(FOLD_LOG2 + 3);
		const FOLD_OP(vec) by_4 = FOLD_OP(key)(FOLD_LOG2 + 2);
		const FOLD_OP(vec) by_2 = FOLD_OP(key)(FOLD_LOG2 + 1);
		const FOLD_OP(vec) by_1 = FOLD_OP(key)(FOLD_LOG2);
		FOLD_OP(vec) v1 = FOLD_OP(load)(in_next + 1 * VEC_NBYTES);
		FOLD_OP(vec) v2 = FOLD_OP(load)(in_next + 2 * VEC_NBYTES);
		FOLD_OP(vec) v3 = FOLD_OP(load)(in_next + 3 * VEC_NBYTES);
		FOLD_OP(vec) v4 = FOLD_OP(load)(in_next + 4 * VEC_NBYTES);
		FOLD_OP(vec) v5 = FOLD_OP(load)(in_next + 5 * VEC_NBYTES);
		FOLD_OP(vec) v6 = FOLD_OP(load)(in_next + 6 * VEC_NBYTES);
		FOLD_OP(vec) v7 = FOLD_OP(load)(in_next + 7 * VEC_NBYTES);

		in_next += 8 * VEC_NBYTES;
		nbytes -= 8 * VEC_NBYTES;
		while (nbytes >= 8 * VEC_NBYTES) {
			v0 = FOLD_OP(fold)(v0, by_8, FOLD_OP(load)(in_next));
			v1 = FOLD_OP(fold)(v1, by_8, FOLD_OP(load)(in_next + 1 * VEC_NBYTES));
			v2 = FOLD_OP(fold)(v2, by_8, FOLD_OP(load)(in_next + 2 * VEC_NBYTES));
			v3 = FOLD_OP(fold)(v3, by_8, FOLD_OP(load)(in_next + 3 * VEC_NBYTES));
			v4 = FOLD_OP(fold)(v4, by_8, FOLD_OP(load)(in_next + 4 * VEC_NBYTES));
			v5 = FOLD_OP(fold)(v5, by_8, FOLD_OP(load)(in_next + 5 * VEC_NBYTES));
			v6 = FOLD_OP(fold)(v6, by_8, FOLD_OP(load)(in_next + 6 * VEC_NBYTES));
			v7 = FOLD_OP(fold)(v7, by_8, FOLD_OP(load)(in_next + 7 * VEC_NBYTES));
			in_next += 8 * VEC_NBYTES;
			nbytes -= 8 * VEC_NBYTES;
		}
		v4 = FOLD_OP(fold)(v0, by_4, v4);
		v5 = FOLD_OP(fold)(v1, by_4, v5);
		v6 = FOLD_OP(fold)(v2, by_4, v6);
		v7 = FOLD_OP(fold)(v3, by_4, v7);
		v6 = FOLD_OP(fold)(v4, by_2, v6);
		v7 = FOLD_OP(fold)(v5, by_2, v7);
		v0 = FOLD_OP(fold)(v6, by_1, v7);
	} else {
		in_next += VEC_NBYTES;
		nbytes -= VEC_NBYTES;
	}
	while (nbytes >= VEC_NBYTES) {
		v0 = FOLD_OP(fold)(v0, FOLD_OP(key)(FOLD_LOG2), FOLD_OP(load)(in_next));
		in_next += VEC_NBYTES;
		nbytes -= VEC_NBYTES;
	}
	return v128_finish(FOLD_OP(narrow)(v0), in_next, nbytes);
}

#undef FOLD_LOG2
#undef FOLD_TARGET
#undef FOLD_OP
