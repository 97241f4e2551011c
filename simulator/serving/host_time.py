"""What the host adds to steps: the scheduler, hidden or not, and sampling."""

from simulator.serving.knobs import BackendKnobs


class HostTime:
    """Host time of one scheduler. An iteration of it takes `scheduler_overhead_s`: where that is hidden, no iteration
    is shorter (`least_s`), for the next one has to be put together by its end; else it comes before the first step."""

    def __init__(self, knobs: BackendKnobs) -> None:
        scheduler_s, hidden, n = knobs.scheduler_overhead_s, knobs.async_scheduling, knobs.steps_per_schedule
        self._n = n
        self.least_s = scheduler_s if hidden else 0.0
        self._each_step_s = knobs.sampling_overhead_s + (0.0 if hidden or n > 1 else scheduler_s)
        self._each_iteration_s = scheduler_s if not hidden and n > 1 else 0.0
        self._each_sequence_s = knobs.sequence_overhead_s

    def step_s(self, gpu_s: float, n_running: int) -> float:
        """Return the seconds of a step that takes the GPU `gpu_s` while `n_running` sequences run, and is an iteration
        of its own."""
        shown_s = gpu_s + self._each_step_s + self._each_sequence_s * n_running
        return max(shown_s + self._each_iteration_s, self.least_s)

    def decode_step_s(
        self, gpu_s: float, n_running: int, *, left: int, spent_s: float, most: int
    ) -> tuple[float, int]:  # fmt: skip
        """Return the seconds of the next step of an iteration of several steps that has taken `spent_s` [s] so far and
        has `left` steps left (0: it begins), and how many steps, `most` or fewer, go on from there as the GPU does:
        none beyond the end of an iteration under way, when the scheduler looks. What of the host is not hidden behind
        all steps of an iteration makes the last one longer."""
        step_s = gpu_s + self._each_step_s + self._each_sequence_s * n_running
        if left and not self.least_s:
            return step_s, min(most, left)
        if not left and self._each_iteration_s:
            return step_s + self._each_iteration_s, 1
        if not left and self._n * step_s > self.least_s:
            return step_s, most
        if left == 1:
            return max(step_s, self.least_s - spent_s), 1
        return step_s, min(most, (left or self._n) - 1)
