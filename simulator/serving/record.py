"""What a replica did, step by step: for the tables and figures, nothing that the replica itself goes by."""

from simulator.serving.gaps import StepLog
from simulator.serving.samples import Sample, Sampler


class Record:
    """`busy_s`, `n_steps`: of all steps; `n_wasted`: steps of sequences that had been answered; `present_s`: requests
    that were there, times the seconds of each."""

    def __init__(self) -> None:
        self.busy_s = self.present_s = 0.0
        self.n_steps = self.n_wasted = 0
        self.step_log = StepLog()
        self.sampler = Sampler()
        self._last_tokens, self._last_s = 0, 0.0

    @property
    def next_sample_s(self) -> float:
        """When the next sample is due [s]."""
        return self.sampler.next_s

    def steps(
        self, start_s: float, *, step_s: float, n_decode: int, n_present: int, n_steps: int = 1, growth_s: float = 0.0,
        prefill_tokens: int = 0, n_over: int = 0,
    ) -> float:  # fmt: skip
        """Note a run of steps, each `growth_s` longer than the one before, with `n_over` sequences that are answered
        beside `n_decode` others, and return the seconds that it took."""
        took_s = step_s if n_steps == 1 else n_steps * step_s + growth_s * (n_steps * (n_steps - 1) / 2)
        self.busy_s += took_s
        self.present_s += took_s * n_present
        self.n_steps += n_steps
        self.n_wasted += n_steps * n_over
        self._last_tokens, self._last_s = n_decode + prefill_tokens, step_s + growth_s * (n_steps - 1)
        self.step_log.run((start_s, n_steps, step_s, growth_s, n_decode, prefill_tokens))
        return took_s

    def idle(self, seconds: float, *, n_present: int) -> None:
        """Note that nothing ran for a while."""
        self.present_s += seconds * n_present

    def sample(self, now_s: float, *, running: int, waiting: int, kv_used_share: float) -> None:
        """Keep the state at `now_s` [s]."""
        self.sampler.add(Sample(
            time_s=now_s, running=running, waiting=waiting, kv_used_share=kv_used_share,
            step_tokens=self._last_tokens, step_s=self._last_s, busy_s=self.busy_s,
        ))  # fmt: skip
