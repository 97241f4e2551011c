"""LongCat-2.0-FP8 on two nodes of H200 with EFA per role: first tokens and decode steps, with and without an expert
all-to-all, beside what was published.

One figure is fitted: the latency of a message over EFA, on the decode steps of one request. All else is the profile's.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from simulator.evaluate import run_scenario
from simulator.scenario import build_scenario
from simulator.scenario_schema import Scenario
from simulator.serving.knobs import BackendKnobs, load_knobs
from simulator.serving.replay import replay
from simulator.serving.simulated_steps import SimulatedStepTimes
from validation.clusters.parts import Part, Row, typed_facts
from workloads.traffic.sources import traffic_of

LEVEL = 0.25  # of a time, up to 8192 tokens of input
LATENCY_RANGE_S = (5e-6, 2e-4)  # EFA's own latency is above 5 us; beyond 200 us it would be no latency
_ALL_TO_ALL = {"deepep": ("low_latency", "normal"), "none": ("all_gather", "all_gather")}  # in decode, in prefill
_ROOM_BLOCKS = 1 << 20  # KV blocks: more than any run here needs


def longcat2_part(data: Path) -> Part:
    """Return the rows of the deployment; its figures stand in validation/published, none in `data`."""
    del data
    facts = typed_facts("longcat2")
    latency_s = fitted_latency_s(facts)
    return Part(
        rows=[*_tpot_rows(facts, latency_s), *_ttft_rows(facts, latency_s), *_indexer_rows(facts, latency_s)],
        notes=_notes(facts, latency_s),
        skipped=[("1M-token prefill at tp32", "its kernels and FP8 cache differ from those of the other rows")],
    )


def scenario(
    facts: Mapping[str, Any], backend: str, latency_s: float, *, prefill: bool, per_gpu: float = 1.0
) -> Scenario:
    """Return one role of the deployment: a decode step of `per_gpu` sequences, or the steps of a prefill instance.

    Without an all-to-all (`none`) the tokens of the group are gathered on every rank, which computes those of its
    experts, and the sums are scattered back: an all-reduce in two halves, the same bytes and latencies as one.
    """
    all_to_all, table = _ALL_TO_ALL[backend][prefill], facts["tpot_ms"]
    layout = {name: facts[name] for name in ("attention_tp", "dense_tp", "ep")}
    context = table["input_tokens"] + table["output_tokens"] / 2.0
    return build_scenario({
        "name": f"longcat2-{backend}", "model": facts["model"], "machine": facts["machine"], "n_gpus": facts["n_gpus"],
        "layout": layout, "batch": {"sequences_per_gpu": per_gpu, "context_tokens": context},
        "routing": {"zero_experts": facts["zero_experts"]},
        "precision": {"kv": facts["kv"], "dispatch": "bf16" if backend == "none" else "fp8"},
        "run": {"all_to_all": all_to_all, "launch": "eager" if prefill else "graph"},
        "machine_overrides": {"tiers.nic.latency_s": latency_s},
    })  # fmt: skip


def tpot_s(facts: Mapping[str, Any], backend: str, concurrency: int, latency_s: float) -> float:
    """Return the decode step of `concurrency` requests half-way through their output [s]."""
    step = scenario(facts, backend, latency_s, prefill=False, per_gpu=concurrency / facts["n_gpus"])
    return float(run_scenario(step).times.end_OC.max())


def fitted_latency_s(facts: Mapping[str, Any]) -> float:
    """Return the latency of a message over EFA [s] with the least squared log error of the fitted concurrency's decode
    steps, of both backends alike."""
    table = facts["tpot_ms"]
    at = table["concurrency"].index(table["fitted_concurrency"])

    def loss(latency_s: float) -> float:
        logs = [
            np.log(tpot_s(facts, name, table["fitted_concurrency"], latency_s) * 1e3 / table[name][at])
            for name in facts["backends"]
        ]
        return float(np.square(logs).sum())

    return float(minimize_scalar(loss, bounds=LATENCY_RANGE_S, method="bounded", options={"xatol": 1e-7}).x)


def _tpot_rows(facts: Mapping[str, Any], latency_s: float) -> list[Row]:
    table, rows, found = facts["tpot_ms"], [], {}
    lengths = f"{table['input_tokens']} + {table['output_tokens']} tokens"
    for backend in facts["backends"]:
        found[backend] = [tpot_s(facts, backend, c, latency_s) * 1e3 for c in table["concurrency"]]
        rows += [
            Row(
                id=f"TPOT {backend} c{c}", predicted=ours, reference=theirs, unit="ms", source=facts["source"],
                what=f"decode step, {c} requests of {lengths}, {backend}"
                + ("; the EFA latency is fitted on this row" if c == table["fitted_concurrency"] else ""),
                tolerance=LEVEL, fitted=c == table["fitted_concurrency"],
            )
            for c, ours, theirs in zip(table["concurrency"], found[backend], table[backend], strict=True)
        ]  # fmt: skip
    return [*rows, _order_row("TPOT", table, found, facts["source"])]


def _ttft_rows(facts: Mapping[str, Any], latency_s: float) -> list[Row]:
    rows = []
    steps = {name: SimulatedStepTimes(scenario(facts, name, latency_s, prefill=True)) for name in facts["backends"]}
    for table in facts["ttft_ms"]:
        n, found = table["input_tokens"], {}
        for backend in facts["backends"]:
            found[backend] = [ttft_s(facts, steps[backend], n, c) * 1e3 for c in table["concurrency"]]
            rows += [
                Row(
                    id=f"TTFT {n} {backend} c{c}", what=f"mean time to first token, {c} users, {n} tokens, {backend}",
                    predicted=ours, reference=theirs, unit="ms", source=facts["source"],
                    tolerance=LEVEL if table["judged"] else None,
                )
                for c, ours, theirs in zip(table["concurrency"], found[backend], table[backend], strict=True)
            ]  # fmt: skip
        rows += [_order_row(f"TTFT {n}", table, found, facts["source"])]
        rows += [_crossover_row(f"TTFT {n}", table, found, facts["source"])]
    return rows


def ttft_s(facts: Mapping[str, Any], steps: SimulatedStepTimes, input_tokens: int, concurrency: int) -> float:
    """Return the mean time to first token [s] of `concurrency` users who ask anew as soon as they are answered, on a
    prefill instance that batches prompts up to its chunk and serves first come, first served."""
    prefill = facts["prefill"]
    count = max(prefill["least_requests"], prefill["requests_per_user"] * concurrency)
    users = traffic_of(
        f"users:{concurrency},think=0", n_requests=count, prompt=f"fixed:{input_tokens}",
        output=f"fixed:{prefill['output_tokens']}",
    )  # fmt: skip
    run = replay(users, knobs=_knobs(facts), step_times=steps, kv_blocks=_ROOM_BLOCKS)
    return float((run.requests["first_token_s"] - run.requests["arrival_s"]).mean())


def _knobs(facts: Mapping[str, Any]) -> BackendKnobs:
    prefill = facts["prefill"]
    asked = {"max_batched_tokens": prefill["chunk_tokens"], "max_num_seqs": prefill["max_num_seqs"]}
    return load_knobs("sglang", {**asked, "prefix_caching": False})


def _order_row(what: str, table: Mapping[str, Any], found: Mapping[str, Sequence[float]], source: str) -> Row:
    """In how many columns the faster backend is the published one."""
    ours, theirs = (np.array(of["deepep"]) < np.array(of["none"]) for of in (found, table))
    return Row(
        id=f"{what} order", what="columns in which the faster of EP and no EP is the published one",
        predicted=float((ours == theirs).sum()), reference=float(len(theirs)), unit="columns", source=source,
        tolerance=0.0,
    )  # fmt: skip


def _crossover_row(what: str, table: Mapping[str, Any], found: Mapping[str, Sequence[float]], source: str) -> Row:
    """From which of the published concurrencies EP stays the faster (the next power of two where it never does)."""

    def first(of: Mapping[str, Sequence[float]]) -> float:
        wins = np.array(of["deepep"]) < np.array(of["none"])
        n_tail = int(np.argmin(wins[::-1])) if not wins.all() else len(wins)
        return float([*table["concurrency"], 2 * table["concurrency"][-1]][len(wins) - n_tail])

    return Row(
        id=f"{what} crossover", what="concurrency from which EP stays faster than no EP", predicted=first(found),
        reference=first(table), unit="requests", source=source, tolerance=0.0,
    )  # fmt: skip


def _indexer_rows(facts: Mapping[str, Any], latency_s: float) -> list[Row]:
    """The indexer's decode times of one layer, on one GPU of this machine: reported, since theirs is not named."""
    table, rows = facts["indexer"], []
    for context, theirs in zip(table["context_tokens"], table["ms"], strict=True):
        step = build_scenario({
            "model": facts["model"], "machine": facts["machine"], "n_gpus": facts["n_gpus"], "layout": {"ep": 16},
            "batch": {"sequences_per_gpu": table["batch"], "context_tokens": context},
            "machine_overrides": {"tiers.nic.latency_s": latency_s}, "run": {"parts": ["layers"]},
        })  # fmt: skip
        timeline = run_scenario(step).timeline
        layer = timeline[(timeline["kind"] == "indexer") & (timeline["layer"] == 1) & (timeline["rank"] == 0)]
        rows.append(Row(
            id=f"indexer {context}", what=f"indexer of one layer in decode, batch {table['batch']}, {context} tokens",
            predicted=float((layer["end_s"] - layer["start_s"]).sum()) * 1e3, reference=theirs, unit="ms",
            source=table["source"],
        ))  # fmt: skip
    return rows


def _notes(facts: Mapping[str, Any], latency_s: float) -> list[str]:
    return [
        f"one latency of EFA, {latency_s * 1e6:.1f} us, is fitted on the decode steps of one request (two figures, one "
        f"per backend); all else is the profile of {facts['machine']} as shipped, its kernels those of H200's tables",
        "the low-latency kernels' time per message is from UCCL-EP's own benchmark, not from these tables",
        "no EP is an all-gather and a reduce-scatter, whose bytes and latencies are those of an all-reduce, around the "
        "fused kernel that SGLang runs without an all-to-all; before that EP at full chunks was worth 2 %, not 20",
        "TTFT is the prefill instance's: the hand-over of the KV cache, the router and the host are not modelled. The "
        "README gives 232 ms for one request of 1024 tokens in one place, 640 to 675 ms in another, but 1089 and 1092 "
        "ms for one of 8192: no time that a request pays once makes both",
        "UCCL-EP's normal combine reaches 18 GB/s at EP 16, its dispatch 50 (ep/README): here both have the NIC's rate",
        "normal all-to-alls wait on the host for the received counts, for which no time stands here, so that EP leads "
        "at few short prompts too. At full chunks both are a third too fast or more, short prompts most: it is neither "
        "attention nor what EP changes, and nothing cited here says what it is",
    ]
