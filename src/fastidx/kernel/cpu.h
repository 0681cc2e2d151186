/*
 * cpu.h - which instructions beyond the baseline the kernel may use: the one dispatch.
 *
 * Every variant asks fi_cpu() and nothing else. fi_cpu_init() fills it in once, before the first
 * thread can call the kernel (at module import); until then, and when portability is forced, every
 * feature is false and the portable code runs. A feature is true only when the compiler could build
 * its code, the processor has the instructions and the system saves their registers.
 */
#ifndef FASTIDX_CPU_H
#define FASTIDX_CPU_H

#include "common.h"

/*
 * Compilers that have the intrinsics: gcc and clang (with FI_TARGET on the function), and MSVC,
 * which needs no leave. gcc before 8 knows no VPCLMULQDQ.
 */
#if FI_X86_64 && (FI_HAS_TARGET || defined(_MSC_VER)) && \
	(!defined(__GNUC__) || defined(__clang__) || __GNUC__ >= 8)
#  define FI_X86_VARIANTS 1
#else
#  define FI_X86_VARIANTS 0
#endif
#if FI_ARM64 && FI_HAS_TARGET && !FI_BIG_ENDIAN
#  define FI_ARM_VARIANTS 1
#else
#  define FI_ARM_VARIANTS 0
#endif

struct fi_cpu {
	bool portable_forced;

	/* x86-64 */
	bool bmi2;        /* BMI1 and BMI2 */
	bool avx2;
	bool pclmul;      /* PCLMULQDQ (carry-less multiplication), SSSE3 and SSE4.1 */
	bool vpclmul;     /* VPCLMULQDQ with AVX2, and all of pclmul */
	bool vpclmul_512; /* the same with AVX-512F, where its use costs no clock speed */
	bool vbmi_512;    /* AVX-512F, BW and VBMI, on the same condition */

	/* arm64 */
	bool arm_crc;     /* the CRC-32 instructions */
	bool arm_pmull;   /* 64-bit polynomial multiplication, and all of arm_crc */
};

extern struct fi_cpu fi_cpu_chosen; /* written by fi_cpu_init() only; read it through fi_cpu() */

void fi_cpu_init(bool force_portable);

FI_ALWAYS_INLINE const struct fi_cpu *fi_cpu(void)
{
	return &fi_cpu_chosen;
}

#endif /* FASTIDX_CPU_H */
