"""Step times that know nothing of lines, taken one step at a time."""

from simulator.serving.step_times import DecodeLine, DecodeLines, GroupBatch, StepBatch, StepTimes


class Stepwise:
    """Any step times as lines of one step each."""

    def __init__(self, step_times: StepTimes) -> None:
        self._step_times = step_times

    def seconds(self, batch: StepBatch) -> float:
        """Return the seconds of one step [s]."""
        return self._step_times.seconds(batch)

    def decode_line(
        self, n_decode: int, decode_context_tokens: int, longest_decode_tokens: int = 0,
        fullest: GroupBatch | None = None,
    ) -> DecodeLine:  # fmt: skip
        """Return the line that holds for this very step."""
        at_s = self.seconds(StepBatch(n_decode=n_decode, decode_context_tokens=decode_context_tokens,
                                      longest_decode_tokens=longest_decode_tokens, fullest=fullest))  # fmt: skip
        return DecodeLine(
            from_tokens=decode_context_tokens, until_tokens=decode_context_tokens, at_s=at_s, s_per_token=0.0
        )


def decode_lines(step_times: StepTimes) -> DecodeLines:
    """Return step times that have `decode_line`: these themselves where they do."""
    return step_times if isinstance(step_times, DecodeLines) else Stepwise(step_times)
