# The C kernel's headers as Cython sees them, and nothing else.

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "kernel/status.h" nogil:
    enum fi_status:
        FI_DONE
        FI_NEED_INPUT
        FI_OUTPUT_FULL
        FI_BLOCK_BOUNDARY
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
        bint vbmi_512
        bint arm_crc
        bint arm_pmull

    void fi_cpu_init(bint force_portable) noexcept
    const fi_cpu_features *fi_cpu() noexcept


cdef extern from "kernel/crc32.h" nogil:
    uint32_t fi_crc32(uint32_t crc, const uint8_t *data, size_t nbytes) noexcept
    uint32_t fi_crc32_combine(uint32_t crc_a, uint32_t crc_b, uint64_t nbytes_b) noexcept
    const char *fi_crc32_variant() noexcept


cdef extern from "kernel/convert.h" nogil:
    void fi_swap(uint8_t *dst, const uint8_t *src, size_t nitems, unsigned int item_nbytes) noexcept
    void fi_expand(
        uint8_t *dst, const uint8_t *src, size_t nitems, const void *table, unsigned int entry_nbytes
    ) noexcept
    size_t fi_find_marked(const uint8_t *src, size_t nbytes, const uint8_t *marked) noexcept
    const char *fi_swap_variant() noexcept
    const char *fi_expand_variant() noexcept


cdef extern from "kernel/inflate.h" nogil:
    struct fi_io:
        const uint8_t *in_next
        const uint8_t *in_end
        uint8_t *out_next
        uint8_t *out_stop
        uint8_t *out_end
        const uint8_t *pause_at

    enum fi_inflate_phase:
        FI_PHASE_BLOCK_HEADER
        FI_PHASE_STORED_LENGTH
        FI_PHASE_END

    struct fi_inflate:
        uint64_t bitbuf
        unsigned int bitcount
        fi_inflate_phase phase
        uint64_t total_out

    void fi_inflate_init(fi_inflate *s) noexcept
    fi_status fi_inflate_run(fi_inflate *s, fi_io *io) noexcept
    fi_status fi_inflate_run_markers(fi_inflate *s, fi_io *io) noexcept
    uint64_t fi_inflate_bit_position(const fi_inflate *s, uint64_t in_pos) noexcept
    const char *fi_inflate_variant() noexcept


cdef extern from "kernel/gunzip.h" nogil:
    enum fi_gunzip_checks:
        FI_CHECKS_IGNORED
        FI_CHECKS_COMPUTED
        FI_CHECKS_COMPARED

    enum fi_gunzip_phase:
        FI_GUNZIP_ID2
        FI_GUNZIP_BODY

    struct fi_gunzip:
        fi_inflate inflate
        fi_gunzip_phase phase
        fi_gunzip_checks checks
        uint32_t crc
        uint32_t footer_crc
        uint32_t footer_isize
        uint64_t nmembers

    void fi_gunzip_init(fi_gunzip *g, fi_gunzip_checks checks) noexcept
    fi_status fi_gunzip_run(fi_gunzip *g, fi_io *io) noexcept
    bint fi_gunzip_may_end(const fi_gunzip *g) noexcept


cdef extern from "kernel/block_finder.h" nogil:
    struct fi_block_start:
        uint64_t bit
        bint stored

    bint fi_find_block(
        const uint8_t *data, size_t nbytes, uint64_t begin, uint64_t end, fi_block_start *start_ret
    ) noexcept


cdef extern from "kernel/markers.h" nogil:
    struct fi_marker_table:
        pass

    void fi_markers_set_window(fi_marker_table *t, const uint8_t *window) noexcept
    void fi_markers_resolve(
        const fi_marker_table *t, uint8_t *dst, const uint16_t *symbols, size_t n
    ) noexcept
    uint32_t fi_markers_lowest(const uint16_t *symbols, size_t n) noexcept
    void fi_markers_fill_window(uint16_t *window) noexcept
    const char *fi_markers_variant() noexcept
