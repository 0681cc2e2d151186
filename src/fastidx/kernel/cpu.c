/*
 * cpu.c - asks the processor and the system which instructions may be used.
 *
 * x86-64: CPUID says what the processor decodes, XCR0 which registers the system saves on a context
 * switch; AVX code needs both. arm64: the system is asked, for user code may not read the feature
 * registers itself. Where there is nobody to ask, nothing is assumed beyond what the compiler was
 * told to assume.
 */
#include "cpu.h"

#if FI_X86_VARIANTS && defined(_MSC_VER)
#  include <immintrin.h>
#  include <intrin.h>
#elif FI_X86_VARIANTS
#  include <cpuid.h>
#elif FI_ARM_VARIANTS && defined(__linux__)
#  include <sys/auxv.h>
#endif

struct fi_cpu fi_cpu_chosen;

#if FI_X86_VARIANTS

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

/* All zeros for a leaf the processor does not have. */
static struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid r = { 0, 0, 0, 0 };

#  if defined(_MSC_VER)
	int words[4];

	__cpuid(words, 0);
	if (leaf > (uint32_t)words[0])
		return r;
	__cpuidex(words, (int)leaf, (int)subleaf);
	r.eax = (uint32_t)words[0];
	r.ebx = (uint32_t)words[1];
	r.ecx = (uint32_t)words[2];
	r.edx = (uint32_t)words[3];
#  else
	(void)__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx);
#  endif
	return r;
}

/* The register sets the system saves; it must have set OSXSAVE. */
static uint32_t xcr0(void)
{
#  if defined(_MSC_VER)
	return (uint32_t)_xgetbv(0);
#  else
	uint32_t low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return low;
#  endif
}

static bool has_bits(uint32_t word, uint32_t bits)
{
	return (word & bits) == bits;
}

static void detect(struct fi_cpu *cpu)
{
	enum {
		PCLMULQDQ = 1 << 1, SSSE3 = 1 << 9, SSE41 = 1 << 19,         /* leaf 1, ECX */
		OSXSAVE = 1 << 27, AVX = 1 << 28,
		BMI1 = 1 << 3, AVX2 = 1 << 5, BMI2 = 1 << 8,         /* leaf 7, EBX */
		AVX512F = 1 << 16, AVX512BW = 1 << 30,
		AVX512_VBMI = 1 << 1, VPCLMULQDQ = 1 << 10,          /* leaf 7, ECX */
		AVX512_BF16 = 1 << 5,                                /* leaf 7.1, EAX */
		YMM_STATE = 1 << 1 | 1 << 2,                         /* XCR0, with XMM */
		ZMM_STATE = YMM_STATE | 1 << 5 | 1 << 6 | 1 << 7,    /* XCR0, with masks */
	};
	const struct cpuid leaf1 = cpuid(1, 0), leaf7 = cpuid(7, 0), leaf7_1 = cpuid(7, 1);
	const uint32_t saved = has_bits(leaf1.ecx, OSXSAVE | AVX) ? xcr0() : 0;

	cpu->bmi2 = has_bits(leaf7.ebx, BMI1 | BMI2); /* VEX-coded, but without vector state */
	cpu->pclmul = has_bits(leaf1.ecx, PCLMULQDQ | SSSE3 | SSE41);
	cpu->avx2 = has_bits(saved, YMM_STATE) && has_bits(leaf7.ebx, AVX2);
	cpu->vpclmul = cpu->avx2 && cpu->pclmul && has_bits(leaf7.ecx, VPCLMULQDQ);
	/*
	 * The first generations with AVX-512 slow down, the whole core, for a while after each use;
	 * a CRC or a conversion must not do that to the decoder around it. None of them has both
	 * VPCLMULQDQ or VBMI and BF16 arithmetic; Zen 4, Sapphire Rapids and their successors do.
	 */
	const bool avx512 = has_bits(saved, ZMM_STATE) && has_bits(leaf7.ebx, AVX512F) &&
		has_bits(leaf7_1.eax, AVX512_BF16);

	cpu->vpclmul_512 = cpu->vpclmul && avx512;
	cpu->vbmi_512 = avx512 && has_bits(leaf7.ebx, AVX512BW) &&
		has_bits(leaf7.ecx, AVX512_VBMI);
}

#elif FI_ARM_VARIANTS

static void detect(struct fi_cpu *cpu)
{
#  if defined(__APPLE__)
	cpu->arm_crc = cpu->arm_pmull = true; /* every 64-bit Mac has both */
#  elif defined(__linux__)
	const unsigned long pmull = 1ul << 4, crc32 = 1ul << 7; /* the kernel's HWCAP_ bits */
	const unsigned long has = getauxval(AT_HWCAP);

	cpu->arm_crc = (has & crc32) != 0;
	cpu->arm_pmull = cpu->arm_crc && (has & pmull) != 0;
#  else
#    if defined(__ARM_FEATURE_CRC32)
	cpu->arm_crc = true;
#      if defined(__ARM_FEATURE_AES)
	cpu->arm_pmull = true;
#      endif
#    endif
	(void)cpu;
#  endif
}

#else

static void detect(struct fi_cpu *cpu)
{
	(void)cpu;
}

#endif

void fi_cpu_init(bool force_portable)
{
	struct fi_cpu found = { 0 };

	if (force_portable)
		found.portable_forced = true;
	else
		detect(&found);
	fi_cpu_chosen = found;
}
