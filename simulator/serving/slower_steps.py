"""Step times of a replica that is not whole: slower, or with fewer GPUs for the same work."""

from dataclasses import replace

from simulator.serving.step_times import DecodeLine, DecodeLines, GroupBatch, StepBatch


class SlowerSteps:
    """Every step takes `factor` times as long: all ranks wait for the slowest, in compute and in communication."""

    def __init__(self, times: DecodeLines, factor: float) -> None:
        self._times = times
        self._factor = factor

    def seconds(self, batch: StepBatch) -> float:
        """Return the seconds of one step [s]."""
        return self._factor * self._times.seconds(batch)

    def decode_line(
        self, n_decode: int, decode_context_tokens: int, longest_decode_tokens: int = 0,
        fullest: GroupBatch | None = None,
    ) -> DecodeLine:  # fmt: skip
        """Return the line on which a decode step of that batch size and context lies."""
        line = self._times.decode_line(n_decode, decode_context_tokens, longest_decode_tokens, fullest)
        return replace(line, at_s=self._factor * line.at_s, s_per_token=self._factor * line.s_per_token)


class FewerGpus:
    """The steps of a replica of which `share` of the GPUs are left: those of the whole one with 1/share of the decodes,
    so that each GPU has as many as now, experts' rows included. Prompts of a group stay what they are; the experts
    whose GPU is gone are taken to be held by the others, at no cost in weights read."""

    def __init__(self, times: DecodeLines, share: float) -> None:
        self._times = times
        self._load = 1.0 / share

    def seconds(self, batch: StepBatch) -> float:
        """Return the seconds of one step [s]."""
        return self._times.seconds(replace(
            batch, n_decode=round(batch.n_decode * self._load),
            decode_context_tokens=round(batch.decode_context_tokens * self._load),
        ))  # fmt: skip

    def decode_line(
        self, n_decode: int, decode_context_tokens: int, longest_decode_tokens: int = 0,
        fullest: GroupBatch | None = None,
    ) -> DecodeLine:  # fmt: skip
        """Return the line on which a decode step of that batch size and context lies."""
        load = self._load
        n, context = round(n_decode * load), round(decode_context_tokens * load)
        line = self._times.decode_line(n, context, longest_decode_tokens, fullest)
        return replace(
            line, from_tokens=line.from_tokens / load, until_tokens=line.until_tokens / load,
            s_per_token=line.s_per_token * load,
        )  # fmt: skip
