# The C kernel's headers as Cython sees them, and nothing else.

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t


cdef extern from "kernel/status.h" nogil:
    enum fi_status:
        FI_DONE
        FI_NEED_INPUT
        FI_OUTPUT_FULL
        FI_BAD_BLOCK_TYPE
        FI_BAD_STORED_LENGTH
        FI_BAD_CODE_COUNTS
        FI_BAD_PRECODE
        FI_BAD_REPEAT
        FI_NO_END_OF_BLOCK
        FI_BAD_LITLEN_CODE
        FI_BAD_DIST_CODE
        FI_BAD_LITLEN_SYMBOL
        FI_BAD_DIST_SYMBOL
        FI_BAD_DISTANCE
        FI_BAD_MAGIC
        FI_BAD_METHOD
        FI_BAD_FLAGS
        FI_BAD_HEADER_CRC
        FI_BAD_CRC
        FI_BAD_ISIZE
        FI_TRAILING_DATA


cdef extern from "kernel/cpu.h" nogil:
    struct fi_cpu_features "fi_cpu":
        bint portable_forced
        bint bmi2
        bint avx2
        bint pclmul
        bint vpclmul
        bint vpclmul_512
        bint arm_crc
        bint arm_pmull

    void fi_cpu_init(bint force_portable) noexcept
    const fi_cpu_features *fi_cpu() noexcept


cdef extern from "kernel/crc32.h" nogil:
    uint32_t fi_crc32(uint32_t crc, const uint8_t *data, size_t nbytes) noexcept
    const char *fi_crc32_variant() noexcept


cdef extern from "kernel/convert.h" nogil:
    void fi_swap(uint8_t *dst, const uint8_t *src, size_t nitems, unsigned int item_nbytes) noexcept
    const char *fi_swap_variant() noexcept


cdef extern from "kernel/inflate.h" nogil:
    struct fi_io:
        const uint8_t *in_next
        const uint8_t *in_end
        uint8_t *out_next
        uint8_t *out_stop
        uint8_t *out_end

    struct fi_inflate:
        unsigned int bitcount
        uint64_t total_out

    void fi_inflate_init(fi_inflate *s) noexcept
    fi_status fi_inflate_run(fi_inflate *s, fi_io *io) noexcept
    const char *fi_inflate_variant() noexcept


cdef extern from "kernel/gunzip.h" nogil:
    struct fi_gunzip:
        fi_inflate inflate
        uint32_t crc
        uint32_t footer_crc
        uint32_t footer_isize
        uint64_t nmembers

    void fi_gunzip_init(fi_gunzip *g, bint verify) noexcept
    fi_status fi_gunzip_run(fi_gunzip *g, fi_io *io) noexcept
    bint fi_gunzip_may_end(const fi_gunzip *g) noexcept
