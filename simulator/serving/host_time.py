"""What the host adds to a step: the scheduler, hidden or not, and sampling."""

from simulator.serving.knobs import BackendKnobs


class HostTime:
    """Host time of one scheduler's steps. `least_s`: no step is shorter, since a scheduler that is hidden behind the
    step before has to be done by its end. `counts`: whether it takes longer with more sequences."""

    def __init__(self, knobs: BackendKnobs) -> None:
        hidden = knobs.async_scheduling
        self.least_s = knobs.scheduler_overhead_s if hidden else 0.0
        self._each_step_s = knobs.sampling_overhead_s + (0.0 if hidden else knobs.scheduler_overhead_s)
        self._each_sequence_s = knobs.sequence_overhead_s
        self.counts = knobs.sequence_overhead_s > 0.0

    def step_s(self, gpu_s: float, n_running: int) -> float:
        """Return the seconds of a step that takes the GPU `gpu_s` while `n_running` sequences run."""
        return max(gpu_s + self._each_step_s + self._each_sequence_s * n_running, self.least_s)
