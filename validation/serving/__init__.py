"""Serving against reality: kernel tables of a GPU, recorded runs of a backend, and how far a replay is from them."""
