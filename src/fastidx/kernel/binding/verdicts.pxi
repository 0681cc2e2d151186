# What a status of the kernel says about the input, as an exception.

cdef dict VERDICTS = {
    FI_BAD_BLOCK_TYPE: "a block of the reserved type 3",
    FI_BAD_STORED_LENGTH: "a stored block whose length disagrees with its complement",
    FI_BAD_CODE_COUNTS: "a block with more than 286 literal/length or 30 distance codes",
    FI_BAD_PRECODE: "an over-subscribed or incomplete code length code",
    FI_BAD_REPEAT: "a repeated code length with nothing to repeat or no room",
    FI_NO_END_OF_BLOCK: "a block without an end-of-block code",
    FI_BAD_LITLEN_CODE: "an over-subscribed or incomplete literal/length code",
    FI_BAD_DIST_CODE: "an over-subscribed or incomplete distance code",
    FI_BAD_LITLEN_SYMBOL: "a code that stands for no literal or length",
    FI_BAD_DIST_SYMBOL: "a code that stands for no distance",
    FI_BAD_DISTANCE: "a match that reaches back before the start of the data",
    FI_BAD_MAGIC: "no gzip member, which would start with the bytes 1f 8b",
    FI_BAD_METHOD: "a gzip member whose compression method is not 8 (DEFLATE)",
    FI_BAD_FLAGS: "a gzip member with reserved flags set",
}


cdef object verdict(fi_status status, const fi_gunzip *g, str name, uint64_t in_pos):
    """Return the exception for a verdict on the input, after in_pos bytes of it."""
    cdef uint64_t offset = fi_inflate_bit_position(&g.inflate, in_pos) // 8
    member = g.nmembers + 1
    fetch = "the file is damaged, fetch it again"
    if status == FI_BAD_CRC:
        return ChecksumError(
            f"{name}: expected data with CRC-32 {g.footer_crc:08x}, as gzip member {member} says, "
            f"found {g.crc:08x}; {fetch}, or pass verify=False to take it as it is"
        )
    if status == FI_BAD_ISIZE:
        return ChecksumError(
            f"{name}: expected {g.footer_isize} bytes of data (modulo 2**32), as gzip member "
            f"{g.nmembers} says, found {g.inflate.total_out}; {fetch}, or pass verify=False to "
            "take it as it is"
        )
    if status == FI_BAD_HEADER_CRC:
        return ChecksumError(
            f"{name}: the header of gzip member {member} does not have the CRC-16 that it states; "
            f"{fetch}"
        )
    if status == FI_TRAILING_DATA:
        offset -= 2 if g.phase == FI_GUNZIP_ID2 else 1
        return TrailingDataError(
            f"{name}: expected the end of the file or another gzip member at byte {offset}, found "
            "other data; cut the file there, or load it with strict=False to ignore what follows "
            "the data"
        )
    return CorruptError(
        f"{name}: expected valid gzip data, found {VERDICTS[status]} just before byte {offset} of "
        f"the compressed file; {fetch}"
    )
