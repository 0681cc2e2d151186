"""Read IDX files: whole, in part, or only what the header says."""
