"""The PyTorch layer as ops: each of them is measured under its name, with the amounts that are measured."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch", reason="the cases time torch")

from validation.layer_predictions import extrapolated_share, step_of
from validation.measure.case import Lab, Sizes
from validation.measure.ranks import Ranks
from validation.measure.suites import cases_of
from validation.measurements import Measurement
from workloads.lower import lower
from workloads.lowering.view import group_sizes
from workloads.ops import COMMUNICATION_KERNELS
from workloads.padding import padded_rows
from workloads.zoo import tiny

TOKENS, CONTEXT, PROMPT = 4, 8, 5
SIZES = Sizes(
    tokens=(TOKENS, PROMPT), batches=(TOKENS,), contexts=(CONTEXT,), prompts=(PROMPT,), tokens_per_expert=(3,),
    copy_bytes=(64,), message_bytes=(64,),
)  # fmt: skip
ONLY_BETWEEN_RANKS = {"permute/moe.regroup", "permute/moe.ungroup"}


def layer_row(*, batch=TOKENS, new=1, context=CONTEXT, ranks=1, order="in_turn", zero="skip", outcome=None):
    shape = {"batch": batch, "new": new, "context": context, "ranks": ranks, "order": order, "zero": zero}
    return Measurement(
        suite="layers", kernel="layer", op="scmoe_layer", shape=shape, dtype="fp32", device="fake", median_s=1.0,
        spread=0.0, n_repeats=20, outcome=outcome or {},
    )  # fmt: skip


@pytest.fixture(scope="module")
def cases():
    lab = Lab(spec=tiny(), device=torch.device("cpu"), dtype="fp32", sizes=SIZES)
    return {(f"{case.kernel}/{case.op}", case.shape.get("m", case.shape.get("tokens", case.shape.get("batch")))): case
            for case in cases_of("quick", lab, Ranks())}  # fmt: skip


def works_of(row):
    return [op.work for op in lower(step_of(row, tiny()), "sequential").ops if op.layer >= 0]


def rows_of_layer():
    return [layer_row(), layer_row(batch=1, new=PROMPT, context=PROMPT)]


@pytest.mark.parametrize("row", rows_of_layer(), ids=["decode", "prefill"])
def test_every_op_of_the_layer_is_measured_under_its_name(cases, row):
    measured = {name for name, _ in cases}
    assert {work.variant for work in works_of(row)} <= measured


def test_what_is_measured_of_a_layer_is_in_it(cases):
    in_both = {work.variant for case in rows_of_layer() for work in works_of(case)}
    parts = {name for name, _ in cases if name.partition("/")[2].startswith(("attention.", "dense_ffn.", "moe."))}
    assert parts - in_both - ONLY_BETWEEN_RANKS == {"permute/moe.count"}  # no bytes: what the host waits for


@pytest.mark.parametrize("row", rows_of_layer(), ids=["decode", "prefill"])
def test_products_have_the_amounts_that_are_measured(cases, row):
    tokens = int(row.shape["batch"]) * int(row.shape["new"])
    for work in works_of(row):
        if work.kernel == "gemm":
            case = cases[work.variant, tokens]
            assert work.flops_C[0] == pytest.approx(case.flops), work.name
            assert work.hbm_bytes_C[0] + work.activation_bytes_C[0] == pytest.approx(case.moved_bytes), work.name


@pytest.mark.parametrize("row", rows_of_layer(), ids=["decode", "prefill"])
def test_attention_has_the_amounts_that_are_measured(cases, row):
    cores = [work for work in works_of(row) if work.variant.endswith("/attention.core")]
    assert len(cores) == 2
    for work in cores:
        case = cases[work.variant, int(row.shape["batch"])]
        assert work.flops_C[0] == pytest.approx(case.flops), work.name
        assert work.hbm_bytes_C[0] + work.activation_bytes_C[0] == pytest.approx(case.moved_bytes), work.name


def test_moves_have_the_bytes_that_are_measured(cases):
    for work in works_of(layer_row()):
        if (
            work.kernel == "elementwise"
            and work.kind not in {"dispatch", "combine"}
            and work.variant != "elementwise/attention.pack_query"
        ):
            assert work.activation_bytes_C[0] == pytest.approx(cases[work.variant, TOKENS].moved_bytes), work.name


def test_the_rows_that_were_dispatched_set_the_load():
    seen = works_of(layer_row(batch=32, outcome={"rows": 48}))
    experts = next(work for work in seen if work.variant == "grouped_gemm/experts")
    assert float(experts.shape["rows"][0]) == pytest.approx(48, abs=10)  # one draw with that mean


def test_without_zero_experts_every_choice_is_a_row():
    spec = tiny()
    experts = next(work for work in works_of(layer_row(zero="none")) if work.variant == "grouped_gemm/experts")
    assert float(experts.shape["rows"][0]) == TOKENS * spec.moe.top_k


def test_between_ranks_rows_and_their_counts_travel():
    works = works_of(layer_row(ranks=2))
    flights = [work for work in works if work.kernel in COMMUNICATION_KERNELS]
    assert [work.name for work in flights] == ["dispatch.loads", "dispatch.flight", "combine.flight"]
    sent, back = (work.traffic.sent_C["remote"].sum() for work in flights[1:])
    assert sent == pytest.approx(back)
    assert group_sizes(step_of(layer_row(ranks=2), tiny()))["ep"] == 2


def test_padding_covers_every_row_and_costs_nothing_for_even_loads():
    assert padded_rows(np.full(8, 5)) == 40
    assert padded_rows(np.array([1, 0, 0, 0, 0, 0])) == 1
    load_G = np.array([9, 1, 4, 4, 3, 4, 5, 4])
    assert load_G.sum() <= padded_rows(load_G) <= len(load_G) * load_G.max()


def test_the_extrapolated_share_is_one_of_time_in_the_layer():
    ops = pd.DataFrame(
        {"layer": [0, 0, -1], "start_s": [0.0, 1.0, 4.0], "end_s": [1.0, 4.0, 9.0], "extrapolated": [True, False, True]}
    )
    assert extrapolated_share(ops) == 1.0 / 4.0


def test_several_layers_of_alike_loads_share_their_work():
    step = replace(step_of(layer_row(), tiny()), model=replace(tiny(), n_layers=2))
    by_layer = {}
    for op in lower(replace(step, routing=replace(step.routing, draw="mean")), "sbo_one_stream").ops:
        by_layer.setdefault(op.layer, []).append(id(op.work))
    assert by_layer[0] == by_layer[1]
