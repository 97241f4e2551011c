"""Costs by fitted curves: alone an op takes exactly what its curve says, and no less than its datasheet roofline."""

from dataclasses import replace

import numpy as np
import pytest

from hw_profiles.curves.all_to_all import low_latency_s
from hw_profiles.curves.gemm import gemm_roofline_s, gemm_s
from hw_profiles.curves.grouped_gemm import grouped_gemm_s
from hw_profiles.curves.mla import mla_decode_s
from simulator.costs.cost import Machine, capacities
from simulator.costs.measured import expected_load
from simulator.demands import cost_of
from simulator.engine.plan import alone_s
from simulator.evaluate import evaluate
from simulator.scenario import load_scenario
from workloads.lower import lower

BALANCED = ["routing.popularity=balanced", "routing.drift=0", "schedule=sequential", "run.compute_sms=0"]
HOT = ["layout.expert_placement=contiguous", "schedule=sequential"]
MACHINES = ("h800_sxm", "h200_sxm", "h100_sxm", "h20")


def priced(scenario):
    graph = lower(scenario.step, scenario.schedule)
    machine = Machine(
        profile=scenario.profile, n_devices=scenario.n_gpus, launch="graph",
        compute_sms=scenario.compute_sms or scenario.profile.device.n_sms, fitted=scenario.fitted,
    )  # fmt: skip
    return machine, {op.work.name: (op.work, cost_of(op.work, machine)) for op in graph.ops}


def alone(machine, cost):
    return cost.demand.latency_s_C + alone_s(cost.demand, capacities(machine)) + cost.demand.tail_latency_s


def longcat(machine="h200_sxm", *settings):
    return load_scenario("longcat-flash-decode-h800x128", [f"machine={machine}", *settings])


def test_an_fp8_product_that_was_timed_alone_takes_a_pass_that_quantises_too():
    """H800's table is of DeepGEMM's kernel; the pass moves 3 bytes per value at 0.8 of the rate."""
    machine, costs = priced(longcat("h800_sxm"))
    work, cost = costs["ffn0.down"]
    curve = machine.fitted["infersim_gemm_fp8", "gemm_fp8"].curve
    product_s = gemm_s(192.0, 6144, 12288, chip=machine.chip, curve=curve)
    assert work.precision == "fp8"
    assert alone(machine, cost) == pytest.approx(product_s + 3e-6 + 192 * 12288 * 3 / (0.8 * 3.35e12))


def test_passes_around_experts_are_free_only_where_the_curve_is_of_whole_layers():
    for machine_name, free in (("h200_sxm", True), ("h800_sxm", False)):
        machine, costs = priced(longcat(machine_name))
        seconds = float(alone(machine, costs["experts.act"][1]).max())
        assert (seconds == 0.0) is free


def test_a_gemm_alone_takes_what_its_curve_says():
    machine, costs = priced(longcat())
    work, cost = costs["ffn0.gate_up"]
    curve = machine.fitted["gemm", "fp8_block"].curve
    assert alone(machine, cost) == pytest.approx(gemm_s(192.0, 2 * 12288, 6144, chip=machine.chip, curve=curve))
    assert set(cost.source_C) == {"fitted"}
    assert work.shape["n"] == 2 * 12288


def test_verifying_a_draft_costs_what_twice_the_heads_do():
    machine, costs = priced(longcat())
    _, cost = costs["mla0.core"]
    curve = machine.fitted["mla_generation_kernel", "sglang_fa3|bfloat16"].curve
    for heads, queries in ((64, 2), (128, 1)):
        expected = mla_decode_s(heads, queries, 96.0, 5000.0, chip=machine.chip, curve=curve)
        assert alone(machine, cost)[0] == pytest.approx(float(expected))


def test_a_flight_with_packing_takes_what_the_dispatch_curve_says():
    machine, costs = priced(longcat("h200_sxm", "n_gpus=16", "layout.ep=16"))
    phases = [costs[f"dispatch.{phase}"][1] for phase in ("issue", "flight", "receive")]
    curve = machine.fitted["deepep_low_latency", "dispatch"].curve
    expected = low_latency_s(192 * 8.0, 6144, 1.0, 512, 16, chip=machine.chip, curve=curve)
    assert sum(alone(machine, phase) for phase in phases) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("machine", MACHINES)
def test_no_gemm_beats_its_datasheet_roofline(machine):
    machine, costs = priced(longcat(machine))
    for work, cost in costs.values():
        if work.kernel == "gemm" and work.shape["batch"] == 1:
            n, k = float(np.max(work.shape["n"])), float(np.max(work.shape["k"]))
            least = gemm_roofline_s(work.shape["m"], n, k, chip=machine.chip, precision=work.precision)
            assert (alone(machine, cost) >= least * (1 - 1e-9)).all(), work.name


def test_attention_does_not_know_the_degree_of_expert_parallelism():
    took = set()
    for ep in (32, 64, 128):
        machine, costs = priced(longcat("h200_sxm", f"layout.ep={ep}"))
        took.add(float(sum(alone(machine, c)[0] for n, (w, c) in costs.items() if w.kind == "attention")))
    assert len(took) == 1


@pytest.mark.parametrize("op", ["ffn0.gate_up", "experts.gate_up", "mla0.core"])
def test_a_kernel_that_computes_all_the_time_is_slower_by_the_sms_that_it_must_leave(op):
    prefill = ["phase=prefill", "schedule=sequential", "batch.prompt_tokens=4096", "batch.context_tokens=0",
               "batch.sequences_per_gpu=2", "mtp.n_draft=0"]  # fmt: skip
    took = []
    for sms in (132, 66):
        machine, costs = priced(longcat("h200_sxm", *prefill, f"run.compute_sms={sms}"))
        demand = costs[op][1].demand
        took.append(alone(machine, costs[op][1])[0] - demand.latency_s_C[0])
    assert took[1] == pytest.approx(2 * took[0], rel=1e-9)


def test_an_oversubscribed_fabric_slows_a_fitted_all_to_all_by_what_its_leaves_lack():
    # 16 of the 32 nodes of a leaf are there: at 4 to 1 its uplinks carry 8 NICs' worth of 16, and of the copies to
    # other nodes one in eight stays on its rail, so on its leaf
    took = []
    for oversubscription in (1, 4):
        over = f"machine_overrides.fabric.oversubscription={oversubscription}"
        machine, costs = priced(longcat("h200_sxm", "run.all_to_all=low_latency", over))
        flight = next(cost for work, cost in costs.values() if work.name == "dispatch.flight")
        took.append(alone(machine, flight)[0] - flight.demand.tail_latency_s)
    rates = machine.profile.tiers["nic"]
    assert took[1] > took[0]
    leaf_s = flight.demand.bytes_C["leaf.egress"][0] / (8 * rates.bytes_per_s * rates.efficiency)
    assert took[1] == pytest.approx(leaf_s, rel=1e-9)


def test_rail_aligned_copies_stay_on_their_leaf():
    over = "machine_overrides.fabric.oversubscription=4"
    _, costs = priced(longcat("h200_sxm", "run.all_to_all=normal", over))
    combine = next(cost for work, cost in costs.values() if work.kind == "combine")
    assert not [name for name in combine.demand.bytes_C if name.startswith("leaf")]


@pytest.mark.parametrize("kind", ["dispatch", "experts", "attention"])
def test_more_tokens_never_take_less_time(kind):
    before = 0.0
    for sequences in (1, 8, 32, 64, 96, 128):
        machine, costs = priced(longcat("h200_sxm", f"batch.sequences_per_gpu={sequences}"))
        now = float(sum(alone(machine, c)[0] for _, (w, c) in costs.items() if w.kind == kind))
        assert now >= before
        before = now


def test_rooflines_are_used_where_asked_for_and_where_nothing_was_fitted():
    assert longcat("h200_sxm", "run.costs=roofline").fitted == {}
    assert load_scenario("longcat-flash-report-theory").fitted == {}
    by_curve, by_roofline = (evaluate(longcat("h800_sxm", f"run.costs={c}")) for c in ("fitted", "roofline"))
    assert by_curve.metrics["tpot_s"] > by_roofline.metrics["tpot_s"]


def test_outside_the_measured_range_an_answer_says_so():
    inside = evaluate(longcat()).timeline
    beyond = evaluate(longcat("h200_sxm", "batch.context_tokens=200000", "batch.sequences_per_gpu=4")).timeline
    core = "mla0.core"
    assert not inside[inside["op"] == core]["extrapolated"].any()
    assert beyond[beyond["op"] == core]["extrapolated"].all()


def test_a_cache_in_another_format_than_the_measured_one_is_outside_the_range():
    for kv, outside in (("bf16", False), ("fp8", True)):
        timeline = evaluate(longcat("h800_sxm", f"precision.kv={kv}")).timeline
        assert (timeline[timeline["op"] == "mla0.core"]["extrapolated"] == outside).all()


def test_an_answer_warns_of_the_share_of_its_critical_path_that_is_extrapolated():
    far = evaluate(longcat("h200_sxm", "batch.context_tokens=200000", "batch.sequences_per_gpu=4"))
    path = far.critical_path
    share = path["time_s"][path["extrapolated"]].sum() / path["time_s"].sum()
    assert next(w for w in far.warnings if "measured range" in w).startswith(f"{share:.0%} of the critical path")
    assert not [w for w in evaluate(longcat("h800_sxm")).warnings if "measured range" in w]


def test_an_interval_holds_the_answer_and_widens_outside_the_measured_range():
    near, far = (
        evaluate(longcat("h200_sxm", f"batch.context_tokens={context}", "batch.sequences_per_gpu=4"))
        for context in (100_000, 200_000)
    )
    width = []
    for answer in (near, far):
        low, high = answer.interval["tpot_s"]
        assert low <= answer.metrics["tpot_s"] <= high
        width.append((high - low) / answer.metrics["tpot_s"])
    assert width[1] > width[0]


def test_an_interval_is_the_same_for_the_same_seed():
    assert evaluate(longcat()).interval == evaluate(longcat()).interval


def test_kernels_that_send_every_copy_over_the_nic_take_the_curve_s_time_without_nvlink():
    """DeepEP before June 2025: of 128 ranks 127 are across the NIC, not 120."""
    deepseek = "deepseek-v3-decode-h800x128"
    settings = [
        "machine=h100_sxm",
        "schedule=sequential",
        "routing.popularity=balanced",
        "mtp.n_draft=0",
        "mtp.acceptance=[]",
    ]
    for tiers, reach in (("nic", 1), ("nvlink_and_nic", 8)):
        scenario = load_scenario(
            deepseek, [*settings, f"machine_overrides={{'all_to_all.low_latency_tiers'='{tiers}'}}"]
        )
        machine, costs = priced(scenario)
        curve = machine.fitted["deepep_low_latency", "combine"].curve
        shape = costs["combine.flight"][0].shape
        copies = float(np.max(shape["copies_in"]))
        whole_s = float(low_latency_s(copies, 7168.0, 1.0, 256.0, 128.0, chip=machine.chip, curve=curve, reach=reach))
        phases = ("combine.issue", "combine.flight", "combine.receive")
        assert sum(float(np.max(alone(machine, costs[name][1]))) for name in phases) == pytest.approx(whole_s, rel=1e-6)


@pytest.mark.parametrize("machine_name", ["h100_sxm", "h200_sxm"])
def test_normal_kernels_lose_pace_beside_compute_as_they_were_seen_to_on_the_h800(machine_name):
    scenario = load_scenario("deepseek-v3-profile-prefill-h800x32", [f"machine={machine_name}"])
    machine, costs = priced(scenario)
    seen = load_scenario("deepseek-v3-profile-prefill-h800x32").fitted["interference", "normal"].curve
    assert machine.fitted["interference", "normal"].curve == seen
    assert costs["dispatch"][1].demand.share_beside_compute == seen.dispatch_share
    assert costs["combine"][1].demand.share_beside_compute == seen.combine_share


def test_contiguous_experts_take_the_curve_of_the_tokens_that_arrive():
    """Those that arrive are counted once each, however many rows they are."""
    machine, costs = priced(load_scenario("deepseek-v3-sglang-prefill-h100x32", BALANCED))
    curve = machine.fitted["moe_wideep", "deepgemm_contiguous"].curve
    work, cost = costs["experts.down"]
    load = expected_load(work.rows_CX, work.shape["active_experts"], curve.row_tile)
    arrived, rows = float(work.shape["arrived"][0]), float(work.shape["rows"][0])
    coefficients = replace(curve, eager_floor_s=0.0)
    whole_s, without_s = (
        grouped_gemm_s(load, 7168, 2048, chip=machine.chip, curve=coefficients, tokens=n) for n in (arrived, 0.0)
    )
    assert rows / 8 < arrived < rows
    assert whole_s - without_s == pytest.approx(arrived * curve.token_s)
    assert alone(machine, cost) == pytest.approx(whole_s / 3)


def test_gathered_tokens_all_enter_the_fused_kernel():
    """128 ranks of 96 sequences, of two tokens each."""
    machine, costs = priced(longcat("h200_sxm", "run.all_to_all=all_gather"))
    work, cost = costs["experts.gate_up"]
    assert work.variant == "fused"
    assert work.shape["tokens"] == pytest.approx(128 * 96 * 2)
    assert cost.curve == machine.fitted["moe_fused", "fp8_block"]


def test_a_normal_kernel_takes_as_long_as_the_fuller_direction():
    """Ranks of popular experts get more tokens than they send copies of their own; the others send more."""
    _, costs = priced(load_scenario("deepseek-v3-sglang-prefill-h100x32", HOT))
    work, arrived_C = costs["dispatch"][0], costs["experts.down"][0].shape["arrived"]
    copies_C = work.shape["rank_copies"] * work.shape["tokens"]
    assert (copies_C >= arrived_C).all()
    assert (copies_C == arrived_C).any()
    assert (copies_C > arrived_C).any()
