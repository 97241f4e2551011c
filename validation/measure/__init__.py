"""Timing the PyTorch layers, their kernels and collectives: torch, numpy and the standard library only."""
