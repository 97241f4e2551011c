"""What the two-batch orders put between a half's sends and its receives."""

from dataclasses import replace

import pytest
from unit.workloads.toys import toy_step

from workloads.lower import lower
from workloads.zoo import deepseek_v3

MODEL = replace(deepseek_v3(), n_layers=3, n_dense_layers=1)


def main_stream(schedule, **changes):
    """Names of the ops on the compute stream as "op@half of layer"."""
    graph = lower(toy_step(model=MODEL, sequences=4, **changes), schedule)
    return [f"{op.name} {op.layer}" for op in graph.ops if op.stream == "main"]


def between(names, first, last):
    return names[names.index(first) + 1 : names.index(last)]


def test_tbo_hides_the_second_half_s_combine_behind_the_first_half_s_next_attention():
    names = main_stream("tbo")
    assert "mla0.core@a 2" in between(names, "combine.issue@b 1", "combine.receive@b 1")
    assert between(names, "combine.receive@b 1", "mla0.norm@b 2") == ["merge@b 1"]


@pytest.mark.parametrize(("half", "other", "next_layer"), [("a", "b", 1), ("b", "a", 2)])
def test_five_stages_hide_a_dispatch_behind_projections_and_a_combine_behind_a_core(half, other, next_layer):
    names = main_stream("tbo_five_stage")
    beside_dispatch = between(names, f"dispatch.issue@{half} 1", f"dispatch.receive@{half} 1")
    beside_combine = between(names, f"combine.issue@{half} 1", f"combine.receive@{half} 1")
    assert beside_dispatch[:3] == [f"shared.{name}@{half} 1" for name in ("gate_up", "act", "down")]
    assert f"mla0.q_b@{other} {next_layer}" in beside_dispatch
    assert f"mla0.core@{other} {next_layer}" not in beside_dispatch
    assert beside_combine[0] == f"mla0.core@{other} {next_layer}"
    assert beside_combine[-1] == f"router.top_k@{other} {next_layer}"


def test_five_stages_place_the_work_of_tbo():
    assert sorted(main_stream("tbo_five_stage")) == sorted(main_stream("tbo"))
    prefill = {"phase": "prefill", "prompt_tokens": 8, "context_tokens": 0, "all_to_all": "normal"}
    assert sorted(main_stream("tbo_five_stage", **prefill)) == sorted(main_stream("tbo", **prefill))
