"""From what a user passes to an open IDX file."""
