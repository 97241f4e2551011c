"""Serving: requests through a router and schedulers, step by step; what a step takes, the op-level engine says."""
