"""Serving: requests through a router and schedulers, step by step; the time of a step comes from the op-level engine."""
