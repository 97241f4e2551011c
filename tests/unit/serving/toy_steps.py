"""Step times and streams in sixteenths and the like: sums of them are exact, in whatever order they are taken."""

import numpy as np

from simulator.serving.step_times import DecodeLine
from workloads.traffic.requests import Requests

TICK_S = 2.0**-10
FOREVER = 1e18


def step_s(n_decode, context, prompt_tokens, fullest_context=0):
    """8 ticks, one per sequence, one per 256 cached tokens, one per 16 prompt tokens, one per 64 cached tokens of the
    fullest group (of several, in a step of decodes)."""
    return TICK_S * (8 + n_decode + context / 256 + prompt_tokens / 16 + fullest_context / 64)


class ToySteps:
    """`step_s`, one step at a time."""

    def seconds(self, batch):
        return step_s(batch.n_decode, batch.decode_context_tokens, batch.prefill_tokens)


class ToyGroups:
    """`step_s` of several groups, one step at a time."""

    def seconds(self, batch):
        fullest = 0 if batch.prefills or batch.fullest is None else batch.fullest.context_tokens
        return step_s(batch.n_decode, batch.decode_context_tokens, batch.prefill_tokens, fullest)


class ToyLines(ToySteps):
    """`step_s` as lines that end at every thousandth token."""

    def decode_line(self, n_decode, context, longest=0, fullest=None):
        del longest, fullest
        low = context // 1000 * 1000
        return DecodeLine(
            from_tokens=low, until_tokens=low + 999, at_s=step_s(n_decode, low, 0), s_per_token=TICK_S / 256
        )


class ConstantSteps:
    """Every step takes as long, whatever it does."""

    def __init__(self, seconds):
        self._seconds = seconds

    def seconds(self, batch):
        del batch
        return self._seconds

    def decode_line(self, n_decode, context, longest=0, fullest=None):
        del n_decode, longest, fullest
        return DecodeLine(from_tokens=context, until_tokens=FOREVER, at_s=self._seconds, s_per_token=0.0)


def requests(rows, prefix_ids=None, block_tokens=0):
    """Requests of (arrival [s], prompt tokens, output tokens)."""
    arrival, prompt, output = zip(*rows, strict=True) if rows else ((), (), ())
    return Requests(
        arrival_s_N=np.array(arrival, dtype=float),
        prompt_tokens_N=np.array(prompt, dtype=np.int64),
        output_tokens_N=np.array(output, dtype=np.int64),
        session_N=np.full(len(rows), -1, dtype=np.int64),
        prefix_ids=prefix_ids,
        block_tokens=block_tokens,
    )
