"""The whole loop on this machine: measure, calibrate, predict, run, compare."""
