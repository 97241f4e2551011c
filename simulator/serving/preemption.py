"""Who is preempted where a decode finds no block."""

from collections.abc import Collection, Iterable

from simulator.serving.decodes import Decodes
from simulator.serving.ledger import Ledger


def loser(
    ledger: Ledger, decodes: Decodes, *, latest_first: Iterable[int], prompts: Collection[int], by_output: bool
) -> int:
    """Return who is preempted before the next decode step: the latest to be admitted of `prompts` and `decodes` (vLLM's
    V1 scheduler), or `by_output`, where several decode, the decode with fewest tokens out, of equals the longest
    prompt, then the latest (SGLang 0.5.6, srt/managers/schedule_batch.py, retract_decode)."""
    growing, step = decodes.growing, decodes.step
    if not by_output or len(growing) < 2:
        return next(request for request in latest_first if request in growing or request in prompts)

    def rank(request: int) -> tuple[int, int]:
        return ledger.emitted[request] + growing[request].gained(step), -ledger.prompt_tokens[request]

    return min(reversed(list(growing)), key=rank)
