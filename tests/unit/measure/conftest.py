"""A laboratory small enough for tests: sizes of a few tokens, few repeats."""

import pytest


@pytest.fixture
def small(monkeypatch):
    """Let suites sweep one tiny size each, and let a round be short."""
    pytest.importorskip("torch", reason="measuring needs torch")
    from validation.measure import command
    from validation.measure.case import Sizes
    from validation.measure.timing import Rule

    sizes = Sizes(
        tokens=(4,), batches=(2,), contexts=(8,), prompts=(5,), tokens_per_expert=(3,), copy_bytes=(64,),
        message_bytes=(64,),
    )  # fmt: skip
    monkeypatch.setattr(command, "sizes_of", lambda _suite, _device: sizes)
    monkeypatch.setattr(command, "Rule", lambda spread_bound: Rule(sample_s=1e-5, n_rounds=1, spread_bound=10.0))
