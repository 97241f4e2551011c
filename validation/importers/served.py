"""Curves of kernels as serving backends run them, beside those of the published tables:
`python -m validation.importers.served` writes served.json of each machine from the installed aiconfigurator package.

Tables of the whole package, not of its end-to-end runs: nothing here has seen a latency of the silicon table.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from hw_profiles.curves.elementwise import PUBLISHED_ELEMENTWISE
from hw_profiles.curves.records import to_record
from hw_profiles.fitted import SERVED_FILE
from simulator.report.replacing import replacing
from validation.calibrate import PROFILES_DIR, SPLIT, Group, record_of
from validation.families import Family
from validation.importers.aiconfigurator import MOST_ROWS, import_package
from validation.importers.package_tables import PerfTable, data_folder, package_version, perf_tables, read_perf
from validation.importers.served_families import SERVED_DECODE, SERVED_EXPERTS, SERVED_FP4
from validation.importers.user_profile import chip_of_machine
from validation.tables import shaped_table, share_of
from validation.transfer_families import COLLECTIVES

MICROSECONDS = 1e3
COMMAND = "python -m validation.importers.served"
MOST_TOKENS, MOST_RANKS = 16384, 8
# Families of machines without published tables: imported as `longsim import aiconfigurator` does.
WHOLE = ("gemm", "mla_bmm", "mla_context_kernel", "collectives")
SERVED_MLA = "served_mla"  # decode attention of latent caches: on Blackwell all backends run TensorRT-LLM's kernels
SYSTEMS: Mapping[str, bool] = {"h100_sxm": False, "h200_sxm": False, "b200_sxm": True, "b300_sxm": True}  # whole?


@dataclass(frozen=True, kw_only=True)
class Served:
    """Rows of one of their tables: backend, version, the kernel and the number format that a recipe runs, if several
    are in it. `stands_for`: the format that the same kernel serves too, without rows of its own."""

    table: str
    backend: str
    version: str
    kernel: str = ""
    dtype: str = ""
    stands_for: str = ""


_VLLM = "0.24.0"
_TRTLLM = "1.3.0rc20"
_SGLANG = "0.5.14"
# By generation of GPUs: the kernels that InferenceX's recipes choose (benchmarks/single_node: moe-backend, moe_config,
# moe-runner-backend), the version nearest to those served.
HOPPER = (
    Served(table="moe", backend="vllm", version=_VLLM, dtype="int4_wo"),
    # VLLM_MXFP4_USE_MARLIN=1: Marlin, whose rows are of INT4
    Served(table="moe", backend="vllm", version=_VLLM, dtype="int4_wo", stands_for="w4a16_mxfp4"),
    Served(table="moe", backend="vllm", version="0.19.0", dtype="fp8_block", kernel="vllm_fused_moe"),
    Served(table="moe", backend="trtllm", version=_TRTLLM, dtype="w4a16_mxfp4"),
    Served(table="generation_attention", backend="vllm", version=_VLLM),
    Served(table="custom_allreduce", backend="vllm", version=_VLLM, kernel="vLLM_custom_graph"),
)
BLACKWELL = (
    Served(table="moe", backend="vllm", version=_VLLM, dtype="nvfp4"),
    Served(table="moe", backend="vllm", version=_VLLM, dtype="int4_wo"),
    Served(table="moe", backend="vllm", version="0.19.0", dtype="fp8_block", kernel="vllm_fused_moe"),
    Served(table="moe", backend="sglang", version=_SGLANG, dtype="fp8_block", kernel="sglang_flashinfer_trtllm_moe"),
    Served(table="moe", backend="sglang", version=_SGLANG, dtype="nvfp4", kernel="sglang_flashinfer_trtllm_moe"),
    Served(table="moe", backend="sglang", version=_SGLANG, dtype="w4a8_mxfp4_mxfp8"),
    Served(table="moe", backend="trtllm", version=_TRTLLM, dtype="nvfp4", kernel="moe_torch_flow_min_latency"),
    Served(table="moe", backend="trtllm", version=_TRTLLM, dtype="w4a8_mxfp4_mxfp8"),
    Served(table="gemm", backend="vllm", version=_VLLM, dtype="nvfp4"),
    Served(table="generation_attention", backend="vllm", version=_VLLM),
    Served(table="custom_allreduce", backend="vllm", version=_VLLM, kernel="vLLM_custom_graph"),
    Served(table="custom_allreduce", backend="sglang", version=_SGLANG, kernel="SGLang_CustomAllReduce_graph"),
    Served(table="custom_allreduce", backend="trtllm", version=_TRTLLM),
)


def served_content(machine: str) -> dict[str, Any]:
    """Return the machine's served.json."""
    tables, whole = perf_tables(data_folder(), machine), SYSTEMS[machine]
    content: dict[str, Any] = {"command": COMMAND, "split": SPLIT, "package": package_version(), "sources": {},
                               "families": {}}  # fmt: skip
    if whole:
        package = import_package(machine, machine)
        content["families"]["elementwise"] = {"published": to_record(PUBLISHED_ELEMENTWISE)}
        for item in package.imported:
            if item.group.family.name in WHOLE:
                _put(content, item.group, {**item.record, **item.tags})
            engine, _, cache = item.group.name.partition("|")
            if item.group.family.name == "mla_generation_kernel" and engine == "trtllm":
                content["families"].setdefault(SERVED_MLA, {})[cache] = {**item.record, **item.tags}
    for served in BLACKWELL if whole else HOPPER:
        for table in tables:
            if (table.name, table.backend, table.version) == (served.table, served.backend, served.version):
                content["sources"][f"{served.table} {served.backend} {served.version}"] = _digest(table)
                for group in _groups(served, table, machine):
                    if record := record_of(group):
                        _put(content, group, {**record, "engine": served.backend, "version": served.version})
    return content


def _put(content: dict[str, Any], group: Group, record: Mapping[str, Any]) -> None:
    content["families"].setdefault(group.family.name, {})[group.name] = record


def _digest(table: PerfTable) -> str:
    return hashlib.sha256(table.path.read_bytes()).hexdigest()


def _groups(served: Served, table: PerfTable, machine: str) -> Iterator[Group]:
    family, shape = _SHAPES[served.table]
    frame = read_perf(table)
    if served.kernel:
        frame = frame[frame["kernel_source"] == served.kernel]
    dtype = {"moe": "moe_dtype", "gemm": "gemm_dtype"}.get(served.table)
    if dtype and served.dtype:
        frame = frame[frame[dtype] == served.dtype]
    if frame.empty:  # another kernel there
        return
    if served.stands_for:
        frame = frame.assign(moe_dtype=served.stands_for)
    frame = shape(frame.assign(system=machine, backend=served.backend, latency_us=frame["latency"] * MICROSECONDS))
    rows = shaped_table(family.table, frame.reset_index(drop=True), table.path, keep_bad=True)
    for name, part in rows.groupby("group", sort=True):
        yield Group(machine=machine, family=family, name=str(name), rows=_sampled(part),
                    profile_chip=chip_of_machine(machine))  # fmt: skip


def _sampled(rows: pd.DataFrame) -> pd.DataFrame:
    """At most so many rows, by the hash of their number."""
    order = rows["file_row"].astype(str).map(share_of)
    return rows.loc[order.sort_values().index[:MOST_ROWS]].sort_index()


def _experts(frame: pd.DataFrame) -> pd.DataFrame:
    """Experts whole and split by width, under the skewed load of real routers."""
    inter = frame["inter_size"] / frame["moe_tp_size"]
    frame = frame.assign(dtype=frame["moe_dtype"], inter=inter, hidden=frame["hidden_size"], ep=frame["moe_ep_size"],
                         experts=frame["num_experts"])  # fmt: skip
    usual = (frame["ep"] <= MOST_RANKS) & (frame["num_tokens"] <= MOST_TOKENS) & (inter >= 128)
    return frame[usual & (frame["distribution"] == "power_law_1.01")]


def _attention(frame: pd.DataFrame) -> pd.DataFrame:
    """Grouped queries, without a window."""
    kv_heads = frame["num_key_value_heads"].where(frame["num_key_value_heads"] > 0, frame["num_heads"])
    frame = frame.assign(kv_dtype=frame["kv_cache_dtype"], kv_heads=kv_heads, heads=frame["num_heads"],
                         kv_len=frame["isl"] + frame["step"])  # fmt: skip
    grouped = (frame["heads"] >= 4 * kv_heads) & (frame["window_size"] == 0) & frame["head_dim"].isin([64, 128])
    return frame[grouped & (frame["kv_len"] >= 128)]


def _all_reduces(frame: pd.DataFrame) -> pd.DataFrame:
    impl = frame["backend"].map({"trtllm": "trtllm_custom"}).fillna(frame["backend"] + "_graph")
    return frame.assign(impl=impl, op="all_reduce", elements=frame["message_size"], bytes=frame["message_size"] * 2.0)


_SHAPES: Mapping[str, tuple[Family, Callable[[pd.DataFrame], pd.DataFrame]]] = {
    "moe": (SERVED_EXPERTS, _experts),
    "gemm": (SERVED_FP4, lambda frame: frame),
    "generation_attention": (SERVED_DECODE, _attention),
    "custom_allreduce": (COLLECTIVES, _all_reduces),
}


def write_served(machines: Sequence[str]) -> None:
    """Write served.json of every machine."""
    for machine in machines:
        with replacing(PROFILES_DIR / machine / SERVED_FILE) as file:
            file.write(json.dumps(served_content(machine), indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    write_served(list(SYSTEMS))
