"""The engine: demands moved through in-order streams and shared capacities, on SimPy's events."""
