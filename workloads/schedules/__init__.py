"""Orders and overlaps: which stream runs which work, and what waits for what."""
