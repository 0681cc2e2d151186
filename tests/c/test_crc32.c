/*
 * test_crc32.c - fi_crc32() and fi_crc32_combine() equal zlib's, in every variant this processor
 * has, and nothing outside the text is read.
 *
 *     gcc -O2 -Isrc/fastidx/kernel tests/c/test_crc32.c src/fastidx/kernel/cpu.c -lz -o test_crc32
 *
 * Add -fsanitize=address,undefined for red zones behind each text; the guard pages need no
 * sanitizer. crc32.c is included rather than linked, for the variants that the dispatch does not
 * choose here.
 */
#define _GNU_SOURCE /* MAP_ANONYMOUS, crc32_combine64() */
#define _LARGEFILE64_SOURCE
#include "crc32.c"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <zlib.h>

#define MAX_NBYTES 1600 /* three turns of the widest loop, and any rest */

typedef uint32_t update_fn(uint32_t state, const uint8_t *in_next, size_t nbytes);

static uint8_t noise[1 << 16];

static uint64_t random64(void)
{
	static uint64_t s = 0x9E3779B97F4A7C15; /* xorshift */

	s ^= s << 13;
	s ^= s >> 7;
	s ^= s << 17;
	return s;
}

static void check(const char *what, size_t nbytes, size_t offset, uint32_t expected, uint32_t found)
{
	if (expected == found)
		return;
	fprintf(stderr, "%s, %zu bytes at offset %zu: expected %08X, found %08X\n",
		what, nbytes, offset, expected, found);
	exit(1);
}

/* zlib takes a null pointer for a request to start, so it is not asked about empty texts. */
static uint32_t expected_crc(uint32_t crc, const uint8_t *data, size_t nbytes)
{
	return nbytes == 0 ? crc : (uint32_t)crc32(crc, data, (uInt)nbytes);
}

static void compare(const char *name, update_fn *update, const uint8_t *data, size_t nbytes)
{
	static uint32_t crc; /* each call goes on where the last one ended */
	const uint32_t expected = expected_crc(crc, data, nbytes);

	crc = ~update(~crc, data, nbytes);
	check(name, nbytes, (uintptr_t)data % 64, expected, crc);
}

/* Every length at every offset from a 64-byte boundary, in a block that ends with the text. */
static void test_alignments(const char *name, update_fn *update, size_t min_nbytes)
{
	for (size_t nbytes = min_nbytes; nbytes <= MAX_NBYTES; nbytes++) {
		for (size_t offset = 0; offset < 64; offset++) {
			void *block = NULL;

			if (posix_memalign(&block, 64, offset + nbytes) != 0)
				exit(2);
			if (offset + nbytes != 0)
				memcpy(block, noise + random64() % 60000, offset + nbytes);
			compare(name, update, (const uint8_t *)block + offset, nbytes);
			free(block);
		}
	}
}

/* Every length right behind an unreadable page, and right before one. */
static void test_guard_pages(const char *name, update_fn *update, size_t min_nbytes)
{
	enum { PAGE = 1 << 16 }; /* the largest page of the supported systems */
	uint8_t *map = mmap(NULL, 3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *text = map + PAGE;

	if (map == MAP_FAILED || mprotect(text, PAGE, PROT_READ | PROT_WRITE) != 0)
		exit(2);
	memcpy(text, noise, PAGE);
	for (size_t nbytes = min_nbytes; nbytes <= MAX_NBYTES; nbytes++) {
		compare(name, update, text, nbytes);
		compare(name, update, text + PAGE - nbytes, nbytes);
	}
	munmap(map, 3 * PAGE);
}

static void test_variant(const char *name, update_fn *update, size_t min_nbytes)
{
	test_alignments(name, update, min_nbytes);
	test_guard_pages(name, update, min_nbytes);
	for (size_t nbytes = 4000; nbytes <= sizeof(noise); nbytes += nbytes / 3)
		compare(name, update, noise, nbytes);
	printf("%-11s ok\n", name);
}

static uint32_t dispatched(uint32_t state, const uint8_t *in_next, size_t nbytes)
{
	return ~fi_crc32(~state, in_next, nbytes);
}

static void test_combine(void)
{
	for (unsigned i = 0; i < 20000; i++) {
		const uint32_t a = (uint32_t)random64(), b = (uint32_t)random64();
		const uint64_t nbytes = random64() >> (1 + random64() % 63);
		const uint32_t expected = (uint32_t)crc32_combine64(a, b, (z_off64_t)nbytes);

		check("combine", (size_t)nbytes, 0, expected, fi_crc32_combine(a, b, nbytes));
	}
	for (size_t cut = 0; cut <= MAX_NBYTES; cut++) {
		const size_t rest = MAX_NBYTES - cut;
		const uint32_t b = fi_crc32(0, noise + cut, rest);

		check("joined", cut, 0, fi_crc32(0, noise, MAX_NBYTES),
			fi_crc32_combine(fi_crc32(0, noise, cut), b, rest));
	}
	printf("%-11s ok\n", "combine");
}

static void test_dispatch(bool force_portable)
{
	fi_cpu_init(force_portable);
	printf("%s: %s\n", force_portable ? "portable forced" : "detected", fi_crc32_variant());
	if (force_portable && strcmp(fi_crc32_variant(), "sliced") != 0)
		exit(1);
	check("empty text", 0, 0, 0, fi_crc32(0, NULL, 0));
	check("123456789", 9, 0, 0xCBF43926, fi_crc32(0, (const uint8_t *)"123456789", 9));
	test_variant("fi_crc32", dispatched, 0);
}

int main(void)
{
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (uint8_t)(random64() >> 32);
	test_dispatch(true);
	test_dispatch(false);
	test_variant("sliced", sliced_crc32, 0);
#if FI_X86_VARIANTS
	if (fi_cpu()->pclmul)
		test_variant("pclmul", v128_crc32, 16);
	if (fi_cpu()->vpclmul)
		test_variant("vpclmul", v256_crc32, 32);
	if (fi_cpu()->vpclmul_512)
		test_variant("vpclmul_512", v512_crc32, 64);
#elif FI_ARM_VARIANTS
	if (fi_cpu()->arm_crc)
		test_variant("crc", arm_crc32, 0);
	if (fi_cpu()->arm_pmull)
		test_variant("pmull", v128_crc32, 16);
#endif
	test_combine();
	return 0;
}
