# What becomes of items on their way: byte order, or a table.

cdef class Expansion:
    """What becomes of 8-bit items: for each byte one of 256 results.

    Parameters
    ----------
    table : buffer
        The 256 results, of 1, 2, 4 or 8 bytes each.
    refused : buffer or None
        256 bytes, not 0 where there is no result.
    refusal : callable
        Makes the exception for such a byte.
    """

    cdef const uint8_t[::1] table
    cdef const uint8_t[::1] refused
    cdef const uint8_t *marked     # of refused, or NULL
    cdef readonly unsigned int entry_nbytes
    cdef object refusal

    def __cinit__(self, const uint8_t[::1] table not None, const uint8_t[::1] refused, refusal):
        if (
            table.shape[0] not in (256, 512, 1024, 2048)
            or (refused is not None and refused.shape[0] != 256)
        ):
            raise ValueError("a table has 256 entries of 1, 2, 4 or 8 bytes, and as many marks")
        self.table = table
        self.refused = refused
        self.marked = &refused[0] if refused is not None else NULL
        self.entry_nbytes = table.shape[0] // 256
        self.refusal = refusal


# What is to be done to items on their way: nothing, or their bytes swapped, or looked up in a
# table.
cdef struct item_rule:
    unsigned int item_nbytes       # in the stream
    unsigned int result_nbytes
    const uint8_t *table           # NULL: none
    const uint8_t *marked          # NULL: none


cdef item_rule make_rule(unsigned int item_nbytes, Expansion expansion) except *:
    cdef item_rule rule
    if item_nbytes not in (1, 2, 4, 8) or (expansion is not None and item_nbytes != 1):
        raise ValueError(f"items have 1, 2, 4 or 8 bytes, and 1 to be looked up, not {item_nbytes}")
    rule.item_nbytes = rule.result_nbytes = item_nbytes
    rule.table = rule.marked = NULL
    if expansion is not None:
        rule.result_nbytes = expansion.entry_nbytes
        rule.table = &expansion.table[0]
        rule.marked = expansion.marked
    return rule


cdef inline size_t deliver(
    const item_rule *rule, uint8_t *dst, const uint8_t *src, size_t nbytes
) noexcept nogil:
    """Convert the items in nbytes bytes; return nbytes, or the position of a refused one."""
    if rule.table == NULL:
        fi_swap(dst, src, nbytes // rule.item_nbytes, rule.item_nbytes)
        return nbytes
    fi_expand(dst, src, nbytes, rule.table, rule.result_nbytes)
    return nbytes if rule.marked == NULL else fi_find_marked(src, nbytes, rule.marked)


def convert(
    uint8_t[::1] dst not None,
    const uint8_t[::1] src not None,
    unsigned int item_nbytes,
    Expansion expansion=None,
):
    """Write the big-endian items of ``src`` to ``dst``, in native byte order or by a table."""
    cdef item_rule rule = make_rule(item_nbytes, expansion)
    cdef size_t n = src.shape[0], done
    if n % item_nbytes or <size_t>dst.shape[0] != n // item_nbytes * rule.result_nbytes:
        raise ValueError(
            f"{dst.shape[0]} bytes are not the place for {n} bytes of {item_nbytes}-byte items"
        )
    if n:
        with nogil:
            done = deliver(&rule, &dst[0], &src[0], n)
        if done != n:
            raise expansion.refusal(src[done])
