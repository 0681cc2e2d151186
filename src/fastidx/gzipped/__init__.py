"""Gzip files from several places at once: indexes, checkpoints, threads."""
