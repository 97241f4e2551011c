"""Suites: predictions beside published figures, each row with its verdict."""
