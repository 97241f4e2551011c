"""Blocks of a transformer layer as lists of work on each rank class."""
