"""Benchmarks of fastidx against its peers; README.md says how to run them."""
