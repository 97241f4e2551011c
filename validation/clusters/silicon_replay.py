"""A row of the table as a replay: the benchmark's closed loop on the row's deployment."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simulator.scenario_schema import Scenario
from simulator.serving.deployment import kv_room_blocks
from simulator.serving.interpolated_steps import InterpolatedStepTimes
from simulator.serving.knobs import BackendKnobs, Deployed, load_knobs
from simulator.serving.replay import replay
from simulator.serving.step_times import StepTimes
from validation.clusters.silicon_rows import SiliconRow
from validation.clusters.silicon_scenarios import Facts, scenario_of
from validation.clusters.silicon_steps import FewLayerStepTimes, Overheads, ServedStepTimes, WindowedStepTimes
from workloads.memory import cached_bytes_of_a_token
from workloads.ops import FloatArray, IntArray
from workloads.traffic.lengths import Empirical
from workloads.traffic.sessions import ClosedLoop

# InferenceX (README of SemiAnalysisAI/InferenceX, client configuration): ten requests per user, as many at once as
# there are users, lengths even between 0.8 and 1 of the nominal ones, which are 1024 and 8192.
_WAVES = 10
_LEAST_SHARE = 0.8
_INFERENCEX_TOKENS = (1024, 8192)
_REPLAYED = ((16, 10), (64, 6), (256, 4))  # users up to which so many waves are replayed
_FEWEST_WAVES = 3
_SEED = 0


@dataclass(frozen=True, kw_only=True)
class Latencies:
    """Mean TTFT and TPOT over requests [s]."""

    ttft_s: float
    tpot_s: float


class Served:
    """One deployment of rows that differ by traffic alone; its steps are simulated once."""

    def __init__(self, row: SiliconRow, facts: Facts) -> None:
        self.scenario = scenario_of(row, facts)
        self._backend = facts.backends[row.backend]
        self._polls = [poll for poll in facts.polls if poll["generation"] == facts.generation(row)]
        few = FewLayerStepTimes(self.scenario)
        self._n_kernels = self.scenario.model_spec.n_layers * few.kernels_per_layer()
        exact: StepTimes = few
        model = facts.models[row.model]
        if "window_tokens" in model:
            exact = WindowedStepTimes(
                exact=exact, windowed_share=model["windowed_share"], window_tokens=model["window_tokens"]
            )
        self._kernels = InterpolatedStepTimes(exact, n_groups=row.dp, coarse=True, sample=0)

    def latencies(self, row: SiliconRow, overheads: Overheads, most_waves: int = _WAVES) -> Latencies:
        """Return the mean latencies of the row's benchmark, of which `most_waves` at most are replayed; InputFaults
        where the KV cache has no room."""
        knobs = _knobs(row, self._backend, self.scenario)
        blocks = kv_room_blocks(self.scenario, knobs, cached_bytes_of_a_token(self.scenario.step))
        waves = min(most_waves, next((n for users, n in _REPLAYED if row.users <= users), _FEWEST_WAVES))
        run = replay(
            ClosedLoop(n_users=row.users, think_s=0.0, prompt=_lengths(row.isl), output=_lengths(row.osl),
                       n_requests=waves * row.users, seed=_SEED),
            knobs=knobs, kv_blocks=blocks, n_groups=row.dp,
            step_times=ServedStepTimes(
                kernels=self._kernels, overheads=overheads, n_kernels=self._n_kernels, n_groups=row.dp
            ),
        )  # fmt: skip
        requests = run.requests[run.requests["end_s"].notna()]
        outside_N = overheads.request_s + overheads.token_s * requests["prompt_tokens"].to_numpy(float)
        ttft_N = (requests["first_token_s"] - requests["arrival_s"]).to_numpy(float) + outside_N
        tokens_N = np.maximum(requests["output_tokens"].to_numpy(float) - 1.0, 1.0)
        tpot_N = (requests["end_s"] - requests["first_token_s"]).to_numpy(float) / tokens_N
        weight_N = _wave_weights(len(ttft_N), row.users, waves)
        tpot_s = float(tpot_N @ weight_N)
        return Latencies(ttft_s=float(ttft_N @ weight_N) + steps_between_polls(row, self._polls) / 2.0 * tpot_s,
                         tpot_s=tpot_s)  # fmt: skip


def deployment_key(row: SiliconRow) -> tuple[Any, ...]:
    """Return what rows of one `Served` have in common."""
    return (row.model, row.system, row.precision, row.backend, row.tp, row.dp, row.moe_tp, row.moe_ep)


def _wave_weights(n: int, users: int, waves: int) -> FloatArray:
    """Weights of requests in the order of arrival, sum 1: the first and the last wave count as in ten waves, those
    between stand for the rest."""
    weight_N = np.ones(n)
    if waves > 2:
        weight_N[users:-users] = (_WAVES - 2.0) / (waves - 2.0)
    return np.asarray(weight_N / weight_N.sum())


def steps_between_polls(row: SiliconRow, polls: Sequence[Mapping[str, Any]]) -> int:
    """Return the steps from one look of the scheduler at new requests to the next, 0 where it looks every step: a
    request waits half of them on average."""
    asked = [
        poll["steps"] for poll in polls
        if row.backend == poll["backend"] and poll["model"] in row.model and row.users >= poll["least_users"]
        and [row.isl, row.osl] == poll.get("lengths", [row.isl, row.osl])
    ]  # fmt: skip
    return max(asked, default=0)


def _lengths(tokens: int) -> Empirical:
    least = round(_LEAST_SHARE * tokens) if tokens in _INFERENCEX_TOKENS else tokens
    possible_N: IntArray = np.arange(least, tokens + 1)
    return Empirical(possible_N)


def _knobs(row: SiliconRow, backend: Mapping[str, Any], scenario: Scenario) -> BackendKnobs:
    """The knobs of the row's version of its backend, with what the benchmark sets."""
    device, of_a_group = scenario.profile.device, -(-row.users // row.dp)
    on = Deployed(gpu=f"{scenario.machine} {device.name}", memory_bytes=device.hbm_bytes, n_groups=row.dp)
    knobs = load_knobs(preset_of(row, backend), {"prefix_caching": False, "max_num_seqs": max(1, of_a_group)}, on=on)
    if backend.get("whole_prompts"):
        budget = row.isl + of_a_group + 64
        knobs = replace(knobs, max_batched_tokens=max(budget, knobs.max_batched_tokens), chunked_prefill=False)
    return knobs


def preset_of(row: SiliconRow, backend: Mapping[str, Any]) -> str:
    """Return the preset of the row's version, the newest where it has no number."""
    number, older = re.match(r"(\d+)\.(\d+)", row.version), backend.get("older")
    if older and number and [int(part) for part in number.groups()] < older["than"]:
        return str(older["preset"])
    return str(backend["preset"])
