"""Servers for the tests: real ones and one with faults, all on 127.0.0.1, each ended by its handle.

``fixtures`` has them as pytest fixtures. Where a package or program is missing, what needs it is
skipped, and the reason says what to install.
"""
