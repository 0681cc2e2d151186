/*
 * deflate_constants.h - the numbers of RFC 1951, and nothing that could be tuned.
 */
#ifndef FASTIDX_DEFLATE_CONSTANTS_H
#define FASTIDX_DEFLATE_CONSTANTS_H

/* BTYPE, section 3.2.3 */
#define DEFLATE_BLOCK_STORED   0
#define DEFLATE_BLOCK_FIXED    1
#define DEFLATE_BLOCK_DYNAMIC  2

/* Alphabets, sections 3.2.5 to 3.2.7. The fixed codes have two more symbols in each than may occur. */
#define DEFLATE_NUM_PRECODE_SYMS   19
#define DEFLATE_NUM_LITLEN_SYMS    288
#define DEFLATE_NUM_DIST_SYMS      32
#define DEFLATE_MAX_DYNAMIC_LITLEN 286
#define DEFLATE_MAX_DYNAMIC_DIST   30
#define DEFLATE_END_OF_BLOCK       256
#define DEFLATE_FIRST_LENGTH_SYM   257

/* Longest codewords, section 3.2.7, and longest extra fields, section 3.2.5 */
#define DEFLATE_MAX_CODEWORD_LEN     15
#define DEFLATE_MAX_PRECODEWORD_LEN  7
#define DEFLATE_MAX_LENGTH_EXTRA     5
#define DEFLATE_MAX_DIST_EXTRA       13

#define DEFLATE_MAX_MATCH_LEN    258
#define DEFLATE_WINDOW_NBYTES    32768

#endif /* FASTIDX_DEFLATE_CONSTANTS_H */
