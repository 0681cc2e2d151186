/*
 * common.h - what every part of the kernel shares: the status codes, branch hints, and the only
 * functions through which memory is read or written at any alignment and in a given byte order.
 *
 * The kernel is plain C11. It knows nothing of Python, never prints, never sets errno, and allocates
 * nothing: the caller owns all memory.
 */
#ifndef FASTIDX_COMMON_H
#define FASTIDX_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__GNUC__) || defined(__clang__)
#  define FI_LIKELY(x)      __builtin_expect(!!(x), 1)
#  define FI_UNLIKELY(x)    __builtin_expect(!!(x), 0)
#  define FI_ALWAYS_INLINE  static inline __attribute__((always_inline))
#  define FI_NEVER_INLINE   __attribute__((noinline))
#  define FI_TARGET(isa)    __attribute__((target(isa)))
#  define FI_HAS_TARGET     1
#  define FI_ALIGNED(n)     __attribute__((aligned(n)))
#elif defined(_MSC_VER)
#  define FI_LIKELY(x)      (x)
#  define FI_UNLIKELY(x)    (x)
#  define FI_ALWAYS_INLINE  static __forceinline
#  define FI_NEVER_INLINE   __declspec(noinline)
#  define FI_TARGET(isa)
#  define FI_HAS_TARGET     0
#  define FI_ALIGNED(n)     __declspec(align(n))
#else
#  define FI_LIKELY(x)      (x)
#  define FI_UNLIKELY(x)    (x)
#  define FI_ALWAYS_INLINE  static inline
#  define FI_NEVER_INLINE
#  define FI_TARGET(isa)
#  define FI_HAS_TARGET     0
#  define FI_ALIGNED(n)
#endif

#if defined(__x86_64__) || defined(_M_X64)
#  define FI_X86_64 1
#else
#  define FI_X86_64 0
#endif
#if defined(__aarch64__) || defined(_M_ARM64)
#  define FI_ARM64 1
#else
#  define FI_ARM64 0
#endif

#if defined(__BYTE_ORDER__) && defined(__ORDER_BIG_ENDIAN__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#  define FI_BIG_ENDIAN 1
#else
#  define FI_BIG_ENDIAN 0 /* MSVC targets little-endian machines only */
#endif

FI_ALWAYS_INLINE uint16_t fi_bswap16(uint16_t v)
{
	return (uint16_t)((v >> 8) | (v << 8));
}

FI_ALWAYS_INLINE uint32_t fi_bswap32(uint32_t v)
{
#if defined(__GNUC__) || defined(__clang__)
	return __builtin_bswap32(v);
#else
	return (v >> 24) | ((v >> 8) & 0xFF00) | ((v << 8) & 0xFF0000) | (v << 24);
#endif
}

FI_ALWAYS_INLINE uint64_t fi_bswap64(uint64_t v)
{
#if defined(__GNUC__) || defined(__clang__)
	return __builtin_bswap64(v);
#else
	return ((uint64_t)fi_bswap32((uint32_t)v) << 32) | fi_bswap32((uint32_t)(v >> 32));
#endif
}

/* The highest set bit of v, alone. v must not be 0. */
FI_ALWAYS_INLINE uint32_t fi_highest_bit(uint32_t v)
{
#if defined(__GNUC__) || defined(__clang__)
	return 0x80000000u >> __builtin_clz(v);
#else
	v |= v >> 1;
	v |= v >> 2;
	v |= v >> 4;
	v |= v >> 8;
	v |= v >> 16;
	return v ^ (v >> 1);
#endif
}

/* Eight bytes at any alignment, the first one least significant. */
FI_ALWAYS_INLINE uint64_t fi_load_le64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return FI_BIG_ENDIAN ? fi_bswap64(v) : v;
}

FI_ALWAYS_INLINE uint32_t fi_load_le32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return FI_BIG_ENDIAN ? fi_bswap32(v) : v;
}

#endif /* FASTIDX_COMMON_H */
