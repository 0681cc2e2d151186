/*
 * crc32.h - the CRC-32 of gzip (RFC 1952, section 8), as zlib counts it: the CRC of nothing is 0.
 */
#ifndef FASTIDX_CRC32_H
#define FASTIDX_CRC32_H

#include "common.h"

/* The CRC of a text that has CRC `crc` so far and goes on with these bytes, at any alignment. */
uint32_t fi_crc32(uint32_t crc, const uint8_t *data, size_t nbytes);

/* The CRC of text a followed by text b, of nbytes_b bytes, from their CRCs. */
uint32_t fi_crc32_combine(uint32_t crc_a, uint32_t crc_b, uint64_t nbytes_b);

/* The name of the implementation that fi_cpu() makes fi_crc32() take for long texts. */
const char *fi_crc32_variant(void);

#endif /* FASTIDX_CRC32_H */
