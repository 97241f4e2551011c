"""Iterations of a scheduler that launches several decode steps at once and looks only when all of them have run.

A step with prompts is an iteration of its own: LongCat-Flash's report (6.1.2) launches decodes ahead, and vLLM's former
multi-step scheduler did the same.
"""

from simulator.serving.host_time import HostTime
from simulator.serving.knobs import BackendKnobs
from simulator.serving.run_length import took_s


class Iterations:
    """Where a scheduler stands. `several`: whether an iteration has more than one step; `left`: decode steps of the one
    under way yet to run, 0 where the scheduler looks; `due`: groups that something happened to inside it; `counts`:
    whether the host takes longer with more sequences."""

    def __init__(self, knobs: BackendKnobs) -> None:
        self.left = 0
        self.due: set[int] = set()
        self._n = knobs.steps_per_schedule
        self.several = self._n > 1
        self._host = HostTime(knobs)
        self.counts = knobs.sequence_overhead_s > 0.0
        self._spent_s = 0.0

    def lone_step_s(self, gpu_s: float, n_running: int) -> float:
        """Return the seconds of a step with prompts that takes the GPU `gpu_s` while `n_running` sequences run."""
        return self._host.step_s(gpu_s, n_running)

    def decode_step_s(self, gpu_s: float, n_running: int, most: int) -> tuple[float, int]:
        """Return the seconds of the next step of decodes, and how many steps, `most` or fewer, go on from there."""
        if not self.several:
            step_s = self._host.step_s(gpu_s, n_running)
            return step_s, most if step_s > self._host.least_s else 1
        return self._host.decode_step_s(gpu_s, n_running, left=self.left, spent_s=self._spent_s, most=most)

    def ran(self, n_steps: int, first_s: float, growth_s: float) -> None:
        """So many steps of iterations of several have run, each `growth_s` longer than the one before [s], without what
        they waited for caches or experts: the host works on while the GPU does, not while it waits."""
        to_end = self.left or self._n
        begun = (n_steps - to_end) % self._n  # steps of the latest iteration, where the first one is over
        if n_steps < to_end:
            self.left, self._spent_s = to_end - n_steps, self._spent_s + took_s(n_steps, first_s, growth_s)
        else:
            self.left = self._n - begun if begun else 0
            self._spent_s = took_s(n_steps, first_s, growth_s) - took_s(n_steps - begun, first_s, growth_s)

    def with_earlier(self, due: list[int]) -> list[int]:
        """Return the groups that are due now and, where the iteration ends, those that were due inside it."""
        if self.left:
            self.due.update(due)
            return due
        earlier = sorted(self.due.difference(due))
        self.due.clear()
        return [*due, *earlier]

    def stop(self) -> None:
        """Nobody is left who could run the rest."""
        self.left, self._spent_s = 0, 0.0
