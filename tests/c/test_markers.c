/*
 * test_markers.c - fi_markers_resolve() gives each symbol its byte in every variant this
 * processor has, fi_markers_lowest() the lowest marker, and both touch nothing but the symbols
 * and the bytes.
 *
 *     gcc -O2 -Isrc/fastidx/kernel tests/c/test_markers.c src/fastidx/kernel/cpu.c -o test_markers
 *
 * Add -fsanitize=address,undefined for red zones: symbols and table end where their blocks end,
 * and so do the bytes. markers.c is included rather than linked, for the variants that the
 * dispatch does not choose here.
 */
#include "markers.c"

#include <stdio.h>
#include <stdlib.h>

#define NO_MARKER 32768u
#define UNTOUCHED 0xA5

typedef void resolve_fn(const struct fi_marker_table *table, uint8_t *dst, const uint16_t *symbols,
			size_t n);

static uint8_t window[DEFLATE_WINDOW_NBYTES];
static struct fi_marker_table *table;

static uint64_t random64(void)
{
	static uint64_t s = 0x9E3779B97F4A7C15; /* xorshift */

	s ^= s << 13;
	s ^= s >> 7;
	s ^= s << 17;
	return s;
}

static unsigned below(unsigned n)
{
	return (unsigned)(random64() >> 33) % n;
}

static void require(bool ok, const char *name, const char *what, size_t n)
{
	if (ok)
		return;
	fprintf(stderr, "%s: %s, with %zu symbols\n", name, what, n);
	exit(1);
}

/* A block of exactly this size, so that a sanitizer sees each step beyond it. */
static void *block(size_t nbytes)
{
	void *p = malloc(nbytes);

	if (p == NULL && nbytes != 0)
		exit(2);
	return p;
}

/* ---- Symbols: each kind fills n of them ------------------------------------------------------ */

static uint16_t literal(void)
{
	return (uint16_t)below(256);
}

static uint16_t marker(void)
{
	return (uint16_t)(0x8000 + below(32768));
}

static void literals(uint16_t *symbols, size_t n)
{
	while (n-- != 0)
		*symbols++ = literal();
}

static void scattered_markers(uint16_t *symbols, size_t n)
{
	while (n-- != 0)
		*symbols++ = marker();
}

static void few_markers(uint16_t *symbols, size_t n)
{
	while (n-- != 0)
		*symbols++ = below(200) == 0 ? marker() : literal();
}

static void one_marker(uint16_t *symbols, size_t n)
{
	const uint16_t one = marker();

	while (n-- != 0)
		*symbols++ = one;
}

/*
 * What matches leave: neighbours, repeated bytes, literals between, now and then an earlier run
 * again.
 */
static void runs(uint16_t *symbols, size_t n)
{
	for (size_t i = 0; i < n; ) {
		const unsigned kind = below(4);
		unsigned left = 1 + below(40);
		uint16_t symbol = i != 0 && below(3) == 0 ? symbols[below((unsigned)i)] : marker();

		for (; left != 0 && i < n; left--, i++) {
			symbols[i] = kind == 0 ? literal() : symbol;
			if (kind == 1 && symbol >= 0x8000 && symbol != 0xFFFF)
				symbol++;
		}
	}
}

/* Markers of two lines in turn, and both ends of the window. */
static void two_lines(uint16_t *symbols, size_t n)
{
	static const uint16_t ends[] = { 0x8000, 0xFFFF, 0x807F, 0xFF80, 0x8080, 0xFF7F, 0, 255 };

	while (n-- != 0)
		*symbols++ = ends[below(8)];
}

static const struct {
	const char *name;
	void (*fill)(uint16_t *symbols, size_t n);
} kinds[] = {
	{ "literals", literals }, { "scattered markers", scattered_markers },
	{ "few markers", few_markers }, { "one marker", one_marker }, { "runs", runs },
	{ "two lines", two_lines },
};
enum { NUM_KINDS = sizeof(kinds) / sizeof(*kinds) };

/* ---- The tests ------------------------------------------------------------------------------- */

static uint8_t expected_byte(uint16_t symbol)
{
	return symbol < 256 ? (uint8_t)symbol : window[symbol - 0x8000];
}

static uint32_t expected_lowest(const uint16_t *symbols, size_t n)
{
	uint32_t lowest = NO_MARKER;

	for (size_t i = 0; i < n; i++) {
		if (symbols[i] >= 0x8000 && symbols[i] - 0x8000u < lowest)
			lowest = symbols[i] - 0x8000u;
	}
	return lowest;
}

/* The bytes begin dst_offset into their block, the symbols as many symbols into theirs. */
static void check(const char *name, resolve_fn *resolve, const uint16_t *symbols, size_t n,
		  size_t dst_offset, size_t symbol_offset)
{
	uint16_t *const src = block(2 * (symbol_offset + n));
	uint8_t *const dst = block(dst_offset + n);

	if (n != 0)
		memcpy(src + symbol_offset, symbols, 2 * n);
	for (size_t i = 0; i < dst_offset + n; i++)
		dst[i] = UNTOUCHED;
	resolve(table, dst + dst_offset, src + symbol_offset, n);
	for (size_t i = 0; i < dst_offset; i++)
		require(dst[i] == UNTOUCHED, name, "wrote before the bytes", n);
	for (size_t i = 0; i < n; i++)
		require(dst[dst_offset + i] == expected_byte(symbols[i]), name, "a wrong byte", n);
	require(fi_markers_lowest(src + symbol_offset, n) == expected_lowest(symbols, n), name,
		"not the lowest marker", n);
	free(src);
	free(dst);
}

static void test_lengths(const char *name, resolve_fn *resolve)
{
	enum { MAX = 300 }; /* four groups and any rest */
	uint16_t symbols[MAX];

	for (unsigned kind = 0; kind < NUM_KINDS; kind++) {
		for (size_t n = 0; n <= MAX; n++) {
			kinds[kind].fill(symbols, n);
			check(name, resolve, symbols, n, n % 67, n % 33);
		}
	}
}

/*
 * Long enough for stretches of all kinds to follow each other, with changes of kind at any
 * place.
 */
static void test_mixtures(const char *name, resolve_fn *resolve)
{
	enum { MAX = 200000 };
	static uint16_t symbols[MAX];

	for (unsigned round = 0; round < 30; round++) {
		const size_t n = MAX - below(5000);

		for (size_t i = 0; i < n; ) {
			size_t part = 1 + below(round % 2 == 0 ? 50000 : 300);

			if (part > n - i)
				part = n - i;
			kinds[below(NUM_KINDS)].fill(symbols + i, part);
			i += part;
		}
		check(name, resolve, symbols, n, below(64), below(32));
	}
}

/* Each symbol there is, among neighbours and alone between literals. */
static void test_each_symbol(const char *name, resolve_fn *resolve)
{
	enum { N = 256 + 32768 };
	static uint16_t symbols[2 * N];

	for (unsigned i = 0; i < N; i++)
		symbols[i] = (uint16_t)(i < 256 ? i : 0x8000 + (i - 256));
	check(name, resolve, symbols, N, 0, 0);
	for (unsigned i = N; i-- != 0; ) {
		symbols[2 * i] = symbols[i];
		symbols[2 * i + 1] = literal();
	}
	check(name, resolve, symbols, 2 * N, 0, 0);
}

static void test_variant(const char *name, resolve_fn *resolve)
{
	test_lengths(name, resolve);
	test_mixtures(name, resolve);
	test_each_symbol(name, resolve);
	printf("%-18s ok\n", name);
}

static void test_dispatch(bool force_portable)
{
	fi_cpu_init(force_portable);
	printf("%s: %s\n", force_portable ? "portable forced" : "detected", fi_markers_variant());
	if (force_portable && strcmp(fi_markers_variant(), "portable") != 0)
		exit(1);
	test_variant("fi_markers_resolve", fi_markers_resolve);
}

static void test_lowest(void)
{
	uint16_t symbols[100];

	require(fi_markers_lowest(NULL, 0) == NO_MARKER, "lowest", "of nothing", 0);
	for (unsigned lowest = 0; lowest < 32768; lowest += 7) {
		literals(symbols, 100);
		symbols[below(100)] = (uint16_t)(0x8000 + lowest);
		symbols[below(100)] = (uint16_t)(0x8000 + lowest);
		symbols[99] = 0xFFFF;
		require(fi_markers_lowest(symbols, 100) == expected_lowest(symbols, 100), "lowest",
			"not found", 100);
	}
	printf("%-18s ok\n", "fi_markers_lowest");
}

/* The unknown window, resolved, is the window. */
static void test_window(void)
{
	uint16_t *const symbols = block(2 * DEFLATE_WINDOW_NBYTES);
	uint8_t *const resolved = block(DEFLATE_WINDOW_NBYTES);

	fi_markers_fill_window(symbols);
	fi_markers_resolve(table, resolved, symbols, DEFLATE_WINDOW_NBYTES);
	require(memcmp(resolved, window, sizeof(window)) == 0, "window", "it differs", 32768);
	require(fi_markers_lowest(symbols, DEFLATE_WINDOW_NBYTES) == 0, "window", "not 0", 32768);
	require(fi_markers_lowest(symbols + 9, 9) == 9, "window", "not 9", 9);
	free(symbols);
	free(resolved);
	printf("%-18s ok\n", "window");
}

int main(void)
{
	table = block(sizeof(*table));
	memset(table, UNTOUCHED, sizeof(*table));
	for (unsigned round = 0; round < 2; round++) { /* another window replaces the first */
		for (size_t i = 0; i < sizeof(window); i++)
			window[i] = (uint8_t)(random64() >> 32);
		fi_markers_set_window(table, window);
		test_dispatch(round == 0);
	}
	test_variant("portable", portable_resolve);
#if FI_X86_VARIANTS
	if (use_vbmi())
		test_variant("vbmi_512", vbmi_resolve);
#endif
	test_lowest();
	test_window();
	free(table);
	return 0;
}
