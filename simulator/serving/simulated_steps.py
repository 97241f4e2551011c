"""Exact step times: every step is lowered and run by the op-level engine."""

from dataclasses import replace

from simulator.evaluate import run_step
from simulator.scenario_schema import Scenario
from simulator.serving.step_times import Prefills, StepBatch
from simulator.simulate import Run
from workloads.batch import Chunks, FullestGroup
from workloads.step import Part, StepSpec

_NO_DRAFTS: tuple[Part, ...] = ("layers", "lm_head", "sampling")


def _chunks(prefills: Prefills, n_gpus: int) -> Chunks:
    """Prompts per GPU of the `n_gpus` that share them."""
    batch = StepBatch(n_decode=0, decode_context_tokens=0, prefills=prefills)
    return Chunks(
        sequences=len(prefills) / n_gpus,
        tokens=batch.prefill_tokens / n_gpus,
        context_tokens=batch.prefill_context_tokens / n_gpus,
        pairs=batch.prefill_pairs / n_gpus,
    )


class SimulatedStepTimes:
    """Seconds of the steps of one replica: the model, machine, layout and precisions of a scenario, whatever its batch.

    The fullest attention group has its own decodes and prompts; the others share what is left alike. Prompts, or chunks
    of them, are one step with the decodes beside them; there, "auto" takes the normal all-to-all, as in a prefill.
    """

    def __init__(self, scenario: Scenario, *, draw_number: int = 0) -> None:
        """`draw_number`: of the choices, where the scenario draws them."""
        decode = scenario.variant(phase="decode")
        all_to_all = "normal" if scenario.run.all_to_all == "auto" else scenario.run.all_to_all
        self._decode = decode
        self._draw_number = draw_number
        self._with_prompts = decode.variant(run=replace(scenario.run, all_to_all=all_to_all))
        self._known: dict[StepBatch, float] = {}

    @property
    def n_simulated(self) -> int:
        """Steps that were simulated so far."""
        return len(self._known)

    def seconds(self, batch: StepBatch) -> float:
        """Return the makespan of one step [s]."""
        known = self._known.get(batch)
        if known is None:
            known = self._known[batch] = float(self.run(batch).times.end_OC.max())
        return known

    def run(self, batch: StepBatch) -> Run:
        """Return the simulated step."""
        scenario = self.scenario_of(batch)
        return run_step(scenario, step_of(scenario, batch, draw_number=self._draw_number))

    def scenario_of(self, batch: StepBatch) -> Scenario:
        """Return the scenario under which a step runs."""
        return self._with_prompts if batch.prefills else self._decode


def step_of(scenario: Scenario, batch: StepBatch, *, draw_number: int = 0) -> StepSpec:
    """Return the work of one step on the replica of a scenario; `draw_number`: of the choices, where it draws them."""
    n_gpus, n, tp = scenario.n_gpus, batch.n_decode, scenario.layout.attention_tp
    chunks, fullest = _chunks(batch.prefills, n_gpus), batch.fullest
    if fullest is not None and fullest.prefills:
        chunks = replace(chunks, busiest=_chunks(fullest.prefills, tp))
    per_gpu = replace(
        scenario.batch, sequences_per_gpu=n / n_gpus, prompt_tokens=0,
        context_tokens=batch.decode_context_tokens / n if n else 0.0,
    )  # fmt: skip
    return replace(
        scenario.step, batch=per_gpu, draw_number=draw_number, chunks=chunks if batch.prefills else None,
        parts=scenario.run.parts if n else tuple(part for part in scenario.run.parts if part in _NO_DRAFTS),
        fullest=None if fullest is None else FullestGroup(
            sequences=fullest.n_decode, context_tokens=fullest.context_tokens
        ),
    )  # fmt: skip
