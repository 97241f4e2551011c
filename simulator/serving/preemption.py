"""Who is preempted where a decode finds no block."""

from collections.abc import Collection, Iterable, Mapping

from simulator.serving.growth import Growth
from simulator.serving.ledger import Ledger


def loser(
    ledger: Ledger, *, latest_first: Iterable[int], prompts: Collection[int], growing: Mapping[int, Growth], step: int,
    by_output: bool,
) -> int:  # fmt: skip
    """Return who is preempted before decode step `step`: the latest to be admitted of `prompts` and `growing` (vLLM's
    V1 scheduler), or `by_output`, where several decode, the decode with fewest tokens out, of equals the longest
    prompt, then the latest (SGLang 0.5.6, srt/managers/schedule_batch.py, retract_decode)."""
    if not by_output or len(growing) < 2:
        return next(request for request in latest_first if request in growing or request in prompts)

    def rank(request: int) -> tuple[int, int]:
        return ledger.emitted[request] + growing[request].gained(step), -ledger.prompt_tokens[request]

    return min(reversed(list(growing)), key=rank)
