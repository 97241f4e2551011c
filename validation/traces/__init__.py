"""Profiler traces of real runs, read into the table that a simulation gives (simulator/timeline.py)."""
