"""From the bytes of a source to those of the IDX file in it."""
