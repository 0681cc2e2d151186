"""What every other part stands on: threads, memory, replacing files, settings."""
