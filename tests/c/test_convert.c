/*
 * test_convert.c - fi_swap() reverses each item's bytes at any alignment and touches nothing else.
 *
 *     gcc -O2 -Isrc/fastidx/kernel tests/c/test_convert.c src/fastidx/kernel/cpu.c -o test_convert
 *
 * Add -fsanitize=address,undefined for red zones behind source and destination.
 */
#include "convert.c"

#include <stdio.h>
#include <stdlib.h>

#define MAX_NBYTES 400 /* six turns of the loop, and any rest */
#define MARGIN     64
#define UNTOUCHED  0xA5

static uint8_t expected_byte(const uint8_t *src, size_t i, unsigned item_nbytes)
{
	const size_t start = i / item_nbytes * item_nbytes;

	return FI_BIG_ENDIAN ? src[i] : src[start + (item_nbytes - 1 - (i - start))];
}

/* The source ends where its block ends; so does the destination, after a margin of its own. */
static void check(size_t nitems, unsigned item_nbytes, size_t src_offset, size_t dst_offset)
{
	const size_t nbytes = nitems * item_nbytes;
	uint8_t *src_block = malloc(src_offset + nbytes);
	uint8_t *dst_block = malloc(dst_offset + nbytes);
	const uint8_t *src = src_block + src_offset;

	if ((!src_block && src_offset + nbytes != 0) || (!dst_block && dst_offset + nbytes != 0))
		exit(2);
	for (size_t i = 0; i < src_offset + nbytes; i++)
		src_block[i] = (uint8_t)(i * 151 + nbytes);
	if (dst_offset + nbytes != 0)
		memset(dst_block, UNTOUCHED, dst_offset + nbytes);
	fi_swap(dst_block + dst_offset, src, nitems, item_nbytes);
	for (size_t i = 0; i < dst_offset + nbytes; i++) {
		const uint8_t expected = i < dst_offset ? UNTOUCHED :
			expected_byte(src, i - dst_offset, item_nbytes);

		if (dst_block[i] == expected)
			continue;
		fprintf(stderr, "%s: %zu items of %u bytes, offsets %zu and %zu: byte %zu: ",
			fi_swap_variant(), nitems, item_nbytes, src_offset, dst_offset, i);
		fprintf(stderr, "expected %02X, found %02X\n", expected, dst_block[i]);
		exit(1);
	}
	free(src_block);
	free(dst_block);
}

static void test_swap(void)
{
	for (unsigned item_nbytes = 1; item_nbytes <= 8; item_nbytes *= 2)
		for (size_t nitems = 0; nitems * item_nbytes <= MAX_NBYTES; nitems++)
			for (size_t offset = 0; offset < MARGIN; offset++) {
				check(nitems, item_nbytes, offset, 0);
				check(nitems, item_nbytes, MARGIN - offset, offset);
			}
	printf("%-8s ok\n", fi_swap_variant());
}

/* What lies behind the destination stays as it was, also without a sanitizer. */
static void test_end(void)
{
	uint8_t src[MAX_NBYTES] = { 0 }, dst[MAX_NBYTES + MARGIN];

	for (unsigned item_nbytes = 1; item_nbytes <= 8; item_nbytes *= 2)
		for (size_t nitems = 0; nitems * item_nbytes <= MAX_NBYTES; nitems++) {
			memset(dst, UNTOUCHED, sizeof(dst));
			fi_swap(dst, src, nitems, item_nbytes);
			for (size_t i = nitems * item_nbytes; i < sizeof(dst); i++)
				if (dst[i] != UNTOUCHED) {
					fprintf(stderr, "%s, %zu items of %u: wrote byte %zu\n",
						fi_swap_variant(), nitems, item_nbytes, i);
					exit(1);
				}
		}
	fi_swap(NULL, NULL, 0, 4);
}

int main(void)
{
	for (int portable = 1; portable >= 0; portable--) {
		fi_cpu_init(portable != 0);
		if (portable && strcmp(fi_swap_variant(), "portable") != 0)
			return 1;
		test_swap();
		test_end();
	}
	return 0;
}
