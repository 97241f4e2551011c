"""Kernels as serving backends run them: whose curve prices an op, and that it takes what the curve says."""

import numpy as np
import pytest

from hw_profiles.curves.base import Chip
from hw_profiles.curves.elementwise import ElementwiseCurve, elementwise_s
from hw_profiles.curves.grouped_gemm import as_eight_bit, grouped_gemm_s
from hw_profiles.fits.elementwise import fit_elementwise
from simulator.costs.cost import Machine, capacities
from simulator.costs.served import expected_load
from simulator.demands import cost_of
from simulator.engine.plan import alone_s
from simulator.scenario_schema import RunOptions, Scenario
from workloads.batch import Batch, Precision
from workloads.layout import Layout
from workloads.lower import lower

CHIP = Chip(n_sms=10, hbm_bytes_per_s=1e12, peak_flops_per_s={"bf16": 1e15, "fp8": 2e15, "fp4": 4e15},
            nvlink_bytes_per_s=1e11, nic_bytes_per_s=1e10)  # fmt: skip


def priced(backend, *, machine="b200_sxm", model="qwen3_235b", **precision):
    scenario = Scenario(
        model=model, machine=machine, n_gpus=4,
        layout=Layout(attention_tp=4, dense_tp=4, ep=1, moe_tp=4, tp_tokens="replicated"),
        precision=Precision(**{"attention_weights": "bf16", **precision}),
        batch=Batch(sequences_per_gpu=4, context_tokens=1000), run=RunOptions(backend=backend),
    )  # fmt: skip
    of = Machine(profile=scenario.profile, n_devices=4, launch="graph", compute_sms=scenario.profile.device.n_sms,
                 fitted=scenario.fitted, backend=backend)  # fmt: skip
    graph = lower(scenario.step, scenario.schedule)
    return of, {op.work.name: (op.work, cost_of(op.work, of)) for op in graph.ops}


def alone(machine, cost):
    return cost.demand.latency_s_C + alone_s(cost.demand, capacities(machine)) + cost.demand.tail_latency_s


def test_the_two_products_of_experts_take_what_the_backend_s_layer_takes():
    machine, costs = priced("vllm", weights="fp4")
    (up, up_cost), (_, down_cost) = costs["experts.gate_up"], costs["experts.down"]
    curve = machine.fitted["served_experts", "vllm|nvfp4"].curve
    load = expected_load(up.rows_CX, up.shape["active_experts"], curve.row_tile)
    chip = as_eight_bit(machine.chip, weight_bytes=0.5625, arithmetic="fp4")
    layer_s = grouped_gemm_s(load, 4096, 1536 / 4, chip=chip, curve=curve, tokens=up.shape["tokens"])
    assert alone(machine, up_cost) + alone(machine, down_cost) == pytest.approx(layer_s)
    assert alone(machine, costs["experts.act"][1]) == pytest.approx(0.0)


@pytest.mark.parametrize(("backend", "machine", "weights", "name"), [
    ("trtllm", "b200_sxm", "fp4", ("served_experts", "trtllm|nvfp4")),
    ("trtllm", "b200_sxm", "fp8", ("served_experts", "sglang|fp8_block")),
    ("sglang", "h200_sxm", "fp8", ("moe_fused", "fp8_block")),
    ("vllm", "h200_sxm", "fp8", ("served_experts", "vllm|fp8_block")),
    ("sglang", "h200_sxm", "int4", ("served_experts", "vllm|int4_wo")),
])  # fmt: skip
def test_a_backend_s_own_table_goes_first_then_the_published_one_then_another_s(backend, machine, weights, name):
    curve = priced(backend, machine=machine, weights=weights)[1]["experts.down"][1].curve
    assert (curve.family, curve.group) == name


@pytest.mark.parametrize(("kv", "group"), [("bf16", "vllm|bfloat16"), ("fp8", "vllm|fp8")])
def test_decode_attention_of_grouped_queries_goes_by_the_bytes_of_its_cache(kv, group):
    machine, costs = priced("trtllm", kv=kv, weights="fp8")
    work, cost = next(pair for name, pair in costs.items() if name.endswith(".core"))
    curve = machine.fitted["served_decode", group].curve
    assert alone(machine, cost) == pytest.approx(elementwise_s(work.hbm_bytes_C, chip=machine.chip, curve=curve))


def test_a_latent_cache_in_fp8_takes_the_kernels_measured_with_one():
    _, costs = priced("sglang", model="deepseek_v3", kv="fp8", weights="fp8")
    curve = next(cost for name, (_, cost) in costs.items() if name.endswith(".core")).curve
    assert (curve.family, curve.group) == ("served_mla", "fp8")


def test_weights_of_half_a_byte_pass_the_memory_twice_as_fast():
    chip = as_eight_bit(CHIP, weight_bytes=0.5, arithmetic="bf16")
    assert (chip.hbm_bytes_per_s, chip.peak_flops_per_s["fp8"]) == (2e12, 1e15)


def test_a_floor_and_a_share_of_the_memory_rate_are_found_again():
    curve = ElementwiseCurve(floor_s=8e-6, memory_share=0.6)
    moved_bytes = np.geomspace(1e4, 1e9, 30)
    fitted = fit_elementwise(moved_bytes, elementwise_s(moved_bytes, chip=CHIP, curve=curve), chip=CHIP)
    assert (fitted.floor_s, fitted.memory_share) == (pytest.approx(8e-6, rel=1e-3), pytest.approx(0.6, rel=1e-3))
