"""The IDX format: headers, and what a file is that is no IDX file."""
