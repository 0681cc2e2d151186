"""Elements on their way: what becomes of them, and where they go."""
