"""Step times of a deployment, fast enough for many: few layers simulated, windows as shorter contexts, overheads."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from simulator.scenario_schema import Scenario
from simulator.serving.simulated_steps import SimulatedStepTimes
from simulator.serving.step_times import DecodeLine, DecodeLines, GroupBatch, Prefills, StepBatch, StepTimes

_N_MOE_LAYERS = 2  # of the cut model that is simulated


class FewLayerStepTimes:
    """Seconds of a step of a conventional MoE model, whose MoE layers are alike: those of a cut model, in which the
    last layer counts for all that were cut."""

    def __init__(self, scenario: Scenario) -> None:
        model = scenario.model_spec
        n_layers = model.n_dense_layers + _N_MOE_LAYERS
        self._n_cut = model.n_layers - n_layers
        self._few = SimulatedStepTimes(
            replace(
                scenario,
                model_overrides={**scenario.model_overrides, "n_layers": n_layers},
                run=replace(scenario.run, contention=False),  # one stream: nothing runs beside anything
            )
        )
        self._known: dict[StepBatch, float] = {}

    def kernels_per_layer(self) -> int:
        """Return how many kernels a decode step runs in an MoE layer."""
        layers = [op.layer for op in self._few.run(StepBatch(n_decode=1, decode_context_tokens=1)).graph.ops]
        return layers.count(max(layers))

    def seconds(self, batch: StepBatch) -> float:
        """Return the seconds of one step [s]."""
        known = self._known.get(batch)
        if known is None:
            known = self._known[batch] = self._simulated(batch)
        return known

    def _simulated(self, batch: StepBatch) -> float:
        run = self._few.run(batch)
        end_O, layer_O = run.times.end_OC.max(axis=1), np.array([op.layer for op in run.graph.ops])
        last = layer_O.max()
        layer_s = end_O[layer_O == last].max() - end_O[layer_O == last - 1].max()
        return float(end_O.max() + self._n_cut * layer_s)


@dataclass(frozen=True, kw_only=True)
class WindowedStepTimes:
    """Steps of a model of which `windowed_share` of the layers read at most `window_tokens`: those of a model that
    reads the mean over layers throughout, since attention's time is straight in what it reads."""

    exact: StepTimes
    windowed_share: float
    window_tokens: int

    def seconds(self, batch: StepBatch) -> float:
        """Return the seconds of one step [s]."""
        whole = self._group(GroupBatch(batch.n_decode, batch.decode_context_tokens, batch.prefills))
        return self.exact.seconds(StepBatch(
            n_decode=whole.n_decode, decode_context_tokens=whole.context_tokens, prefills=whole.prefills,
            fullest=batch.fullest and self._group(batch.fullest),
        ))  # fmt: skip

    def _group(self, part: GroupBatch) -> GroupBatch:
        """Decodes and chunks of a group, or of all, with what they read in the mean over layers."""
        read = self._read(part.context_tokens, part.n_decode * self.window_tokens)
        prefills = tuple(chunk for new, cached in part.prefills for chunk in self._chunks(new, cached))
        return GroupBatch(part.n_decode, round(read), prefills)

    def _read(self, full: float, windowed: float) -> float:
        return full - self.windowed_share * max(full - windowed, 0.0)

    def _chunks(self, new: int, cached: int) -> Prefills:
        """Chunks of as many tokens with the (query, key) pairs that are read: less of a cache, or shorter prompts."""
        own = new * (new + 1) / 2.0
        pairs = self._read(new * cached + own, float(new * self.window_tokens))
        if pairs >= own:
            return ((new, round((pairs - own) / new)),)
        n_prompts = min(new, ceil(own / max(pairs, 1.0)))
        each, longer = divmod(new, n_prompts)
        return ((each + 1, 0),) * longer + ((each, 0),) * (n_prompts - longer)


@dataclass(frozen=True, kw_only=True)
class Overheads:
    """What a backend takes beyond the simulated kernels. `decode_factor`, `prompt_factor`: kernels' time over the
    simulated, of steps of decodes alone (a CUDA graph) and of steps with prompts; `launch_s`: the host's launch of each
    kernel of a step with prompts, for which the GPU waits where it is the quicker one [s]; `sequence_s`: host work per
    running sequence of an attention group and step [s]; `request_s`, `token_s`: what a request, and each token of its
    prompt, waits outside the engine before the first token (HTTP, tokenizer, processes between) [s]."""

    decode_factor: float = 1.0
    prompt_factor: float = 1.0
    launch_s: float = 0.0
    sequence_s: float = 0.0
    request_s: float = 0.0
    token_s: float = 0.0


BOUNDS: Mapping[str, tuple[float, float]] = {
    "decode_factor": (0.7, 1.5),
    "prompt_factor": (0.8, 2.5),
    "launch_s": (0.0, 120e-6),
    "sequence_s": (0.0, 30e-6),
    "request_s": (0.0, 0.2),
    "token_s": (0.0, 30e-6),
}


@dataclass(frozen=True, kw_only=True)
class ServedStepTimes:
    """Step times with a backend's overheads; `n_kernels` of the model's layers, sequences spread over `n_groups`."""

    kernels: DecodeLines
    overheads: Overheads
    n_kernels: int
    n_groups: int = 1

    def seconds(self, batch: StepBatch) -> float:
        """Return the seconds of one step [s]."""
        kernels_s, host_s = self.kernels.seconds(batch), self._sequences_s(batch.n_decode + len(batch.prefills))
        if not batch.prefills:
            return self.overheads.decode_factor * kernels_s + host_s
        return max(self.overheads.prompt_factor * kernels_s, self.n_kernels * self.overheads.launch_s) + host_s

    def decode_line(
        self, n_decode: int, decode_context_tokens: int, longest_decode_tokens: int = 0,
        fullest: GroupBatch | None = None,
    ) -> DecodeLine:  # fmt: skip
        """Return the line on which a decode step of that batch size and context lies."""
        line = self.kernels.decode_line(n_decode, decode_context_tokens, longest_decode_tokens, fullest)
        factor = self.overheads.decode_factor
        at_s = factor * line.at_s + self._sequences_s(n_decode)
        return replace(line, at_s=at_s, s_per_token=factor * line.s_per_token)

    def _sequences_s(self, n_running: int) -> float:
        return n_running / self.n_groups * self.overheads.sequence_s
