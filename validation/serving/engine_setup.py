"""What a recorded vLLM run says of its engine, as knobs and step times of a replay.

What the run does not state is vLLM's documented default of its version: chunked prefill, blocks of 16 tokens, 0.9 of
the memory, prefix caching (prompts of the runs share nothing that is known, so nothing hits), decodes as CUDA graphs
of 1, 2, 4 and every 8th number of tokens up to 256, every 16th beyond, at most twice max_num_seqs and 512.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hw_profiles.faults import Fault, InputFaults
from simulator.serving.knobs import BackendKnobs, load_knobs
from validation.serving.constants import Gpu, gpu_of, link_of, overhead
from validation.serving.kernel_tables import read_kernel_tables, table_degrees
from validation.serving.recorded_run import RecordedRun
from validation.serving.served_model import served_model
from validation.serving.table_step_times import BF16_BYTES, TableStepTimes
from workloads.model import ModelSpec
from workloads.zoo import count_parameters, expert_parameters, kv_bytes_per_token, n_moe_layers

STATED = {  # arguments of the engine by our knobs
    "max_num_seqs": "max_num_seqs", "max_num_batched_tokens": "max_batched_tokens",
    "enable_chunked_prefill": "chunked_prefill", "block_size": "block_tokens",
    "gpu_memory_utilization": "gpu_memory_share", "enable_prefix_caching": "prefix_caching",
}  # fmt: skip
_MOST_CAPTURED = 512
_ACTIVATION_BYTES_PER_TOKEN_AND_HIDDEN = 32  # vLLM's profiling run: a few BF16 and FP32 copies of the widest layer
_GRAPHS_AND_CONTEXT_BYTES = 1e9  # assumed: captured graphs, logits, libraries


@dataclass(frozen=True, kw_only=True)
class EngineSetup:
    """How a recorded run is replayed. `kv_blocks` of one attention group; `n_replicas` without expert parallelism are
    strangers, with it one replica of `n_groups` groups in step; `notes`: what was taken from where."""

    knobs: BackendKnobs
    step_times: TableStepTimes
    kv_blocks: int
    n_replicas: int
    n_groups: int
    notes: tuple[str, ...]


def engine_setup(run: RecordedRun, tables_folder: Path | None = None, machine: str = "") -> EngineSetup:
    """Return the set-up of a run from its own folder, its tables from `tables_folder` where that is given.

    Raises InputFaults for missing tables, an unknown model, or a link that several ranks need and nobody knows.
    """
    folder = tables_folder or run.folder
    engine = run.engine
    tp, dp = (_degree(engine, f"{kind}_parallel_size") for kind in ("tensor", "data"))
    if tp not in table_degrees(folder):
        got, allowed = f"tables of degrees {table_degrees(folder)}", f"tables of tensor_parallel_size {tp}"
        raise InputFaults([Fault(field=str(folder), got=got, allowed=allowed, remedy="name a folder that has them")])
    tables, model = read_kernel_tables(folder, tp), served_model(run.model, run.folder)
    gpu = gpu_of(tables.gpu, machine)
    together = dp > 1 and tables.experts is not None  # MoE ranks wait for one another at every layer
    link = link_of(tables.gpu, gpu.machine)
    if link is None and (tp > 1 or together):
        raise InputFaults([Fault(field="machine", got=repr(tables.gpu), allowed="a GPU whose link is known",
                                 remedy="name its machine with --machine")])  # fmt: skip
    knobs = _knobs(engine)
    times = TableStepTimes(
        tables=tables, model=model, overhead=overhead(), link=link, n_groups=dp if together else 1,
        expert_parallel=bool(engine.get("enable_expert_parallel")), n_sms=gpu.n_sms,
        graph_sizes=() if engine.get("enforce_eager") else graph_sizes(knobs.max_num_seqs),
    )  # fmt: skip
    blocks = run.kv_blocks or _kv_blocks(model, knobs, gpu, tp, dp if engine.get("enable_expert_parallel") else 1)
    return EngineSetup(
        knobs=knobs, step_times=times, kv_blocks=blocks, n_replicas=1 if together else dp,
        n_groups=dp if together else 1, notes=tuple(_notes(run, blocks, times)),
    )  # fmt: skip


def _degree(engine: Mapping[str, Any], name: str) -> int:
    """A degree of parallelism that the run states, or vLLM's default of 1."""
    degree = engine.get(name)
    if degree is None:
        return 1
    if not isinstance(degree, int) or degree < 1:
        raise InputFaults([Fault(field=f"engine_kwargs.{name}", got=repr(degree), allowed="1 or more",
                                 remedy="check meta.json of the run")])  # fmt: skip
    return degree


def graph_sizes(max_num_seqs: int) -> list[int]:
    """Return the step sizes [tokens] that vLLM captures as CUDA graphs by default (0.19: CompilationConfig)."""
    most = min(2 * max_num_seqs, _MOST_CAPTURED)
    return [size for size in (1, 2, 4, *range(8, 256, 8), *range(256, _MOST_CAPTURED + 1, 16)) if size <= most]


def _knobs(engine: Mapping[str, Any]) -> BackendKnobs:
    stated = {knob: engine[name] for name, knob in STATED.items() if engine.get(name) is not None}
    return load_knobs("vllm", stated)


def _kv_blocks(model: ModelSpec, knobs: BackendKnobs, gpu: Gpu, tp: int, expert_ranks: int) -> int:
    """Blocks that fit beside weights and activations; without a known memory as many as nothing can fill."""
    if not gpu.hbm_bytes:
        return 1 << 20
    experts = n_moe_layers(model) * model.moe.n_routed_experts * expert_parameters(model)
    weights = (count_parameters(model).total - experts) / tp + experts / (tp * expert_ranks)
    activations = _ACTIVATION_BYTES_PER_TOKEN_AND_HIDDEN * knobs.max_batched_tokens * model.hidden
    room = gpu.hbm_bytes * knobs.gpu_memory_share - weights * BF16_BYTES - activations - _GRAPHS_AND_CONTEXT_BYTES
    per_block = kv_bytes_per_token(model, "bf16") * model.n_attentions / tp * knobs.block_tokens
    return max(1, int(room / per_block))


def _notes(run: RecordedRun, blocks: int, times: TableStepTimes) -> list[str]:
    whose = "as recorded" if run.kv_blocks else "what the memory leaves"
    notes = [f"{run.name}: vLLM {run.vllm_version}, {len(run.requests)} requests, {blocks:,} KV blocks ({whose})"]
    link = times.link if times.n_groups * times.tables.degree > 1 else None
    if link is not None:
        source = f"fitted on {link.fitted_on}" if link.fitted_on else f"profile {link.source}"
        notes.append(f"{run.name}: 1 MB each way between ranks takes {link.seconds.at(1e6) * 1e6:.0f} µs ({source})")
    fitted = {"overheads": times.overhead.fitted_on, "link": link.fitted_on if link is not None else ""}
    notes += [f"{run.name}: {word} fitted on this very run, which is no test of that"
              for word, where in fitted.items() if where == run.name]  # fmt: skip
    return notes
