"""Anything that can be read, one class a kind."""
