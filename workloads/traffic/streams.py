"""Random streams of one seed: what is drawn from one never moves what is drawn from another."""

import numpy as np

ARRIVALS, PROMPTS, OUTPUTS, SESSIONS = range(4)


def stream(seed: int, *key: int) -> np.random.Generator:
    """Return the generator of `seed` that belongs to `key`: one of the names above and, for a session, its number."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
