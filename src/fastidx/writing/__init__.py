"""Write IDX files."""
