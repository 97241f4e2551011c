"""Measurements of a user's own, or of an installed package, into a profile directory of theirs."""
