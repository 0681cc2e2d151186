# CRC-32.

def crc32(const uint8_t[::1] data not None, uint32_t value=0):
    """CRC-32 of ``data``, continued from ``value``, as ``zlib.crc32`` counts it."""
    cdef Py_ssize_t n = data.shape[0]
    cdef const uint8_t *p = &data[0] if n else NULL
    if n:
        with nogil:
            value = fi_crc32(value, p, n)
    return value


def crc32_combine(uint32_t crc_a, uint32_t crc_b, uint64_t nbytes_b):
    """CRC-32 of two texts in a row, from the CRC-32 of each and the length of the second."""
    return fi_crc32_combine(crc_a, crc_b, nbytes_b)
