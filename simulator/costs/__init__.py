"""Seconds alone and amounts on resources, for each kind of kernel on a machine."""
