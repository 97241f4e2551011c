"""Links that groups of devices share, in whole steps: by hand on small fabrics, and laws of conservation."""

from dataclasses import replace

import numpy as np
import pytest
from small_fabrics import GB, PCIE, SHARED_NIC, THREE_LAYERS, TWO_PER_NODE, fabric

from simulator.borders import shared_borders
from simulator.costs.cost import Machine, capacities
from simulator.demands import cost_of
from simulator.engine.plan import alone_s
from simulator.evaluate import run_scenario
from simulator.scenario import load_scenario
from simulator.simulate import simulate
from workloads.batch import Batch, RoutingSpec
from workloads.layout import Layout
from workloads.lower import lower
from workloads.step import StepSpec
from workloads.zoo import tiny

EXPERTS = 16


def step_on(profile, n_gpus, *, ep=None, all_to_all="low_latency", seed=0, draw="mean", popularity="balanced"):
    model = replace(tiny(), moe=replace(tiny().moe, n_routed_experts=EXPERTS))
    return StepSpec(
        model=model, n_gpus=n_gpus, devices_per_node=profile.node.n_devices, phase="decode",
        layout=Layout(ep=ep or n_gpus), batch=Batch(sequences_per_gpu=16, context_tokens=8), all_to_all=all_to_all,
        routing=RoutingSpec(draw=draw, popularity=popularity), seed=seed,
        borders=tuple(shared.border for shared in shared_borders(profile, n_gpus)),
    )  # fmt: skip


def flight_of(profile, n_gpus, **changes):
    """The dispatch flight: seconds that its bytes take alone, and the work."""
    graph = lower(step_on(profile, n_gpus, **changes), "sequential")
    work = next(op.work for op in graph.ops if op.work.name in {"dispatch.flight", "dispatch"})
    machine = Machine(profile=profile, n_devices=n_gpus, launch="graph", compute_sms=10)
    return alone_s(cost_of(work, machine).demand, capacities(machine)), work


def test_a_leaf_that_sends_up_half_of_what_it_takes_doubles_the_flight():
    # a leaf is one node of two here: everything between nodes goes up, at half the rate of two NICs
    whole_C, _ = flight_of(fabric(), 8)
    half_C, _ = flight_of(fabric(oversubscription=2.0), 8)
    assert half_C == pytest.approx(2.0 * whole_C, rel=1e-12)


def test_on_rails_a_third_of_the_copies_stays_below_the_leaf():
    # leaf (0, 2) takes one rail of two nodes: of the six ranks of other nodes one hangs on the same leaf
    whole_C, _ = flight_of(fabric(kind="rail_fat_tree"), 8)
    half_C, _ = flight_of(fabric(kind="rail_fat_tree", oversubscription=2.0), 8)
    assert half_C == pytest.approx(2.0 * 5 / 6 * whole_C, rel=1e-12)


def test_links_that_carry_all_that_their_group_can_bring_are_no_borders():
    assert shared_borders(fabric(), 8) == []
    assert [shared.border.name for shared in shared_borders(fabric(oversubscription=2.0), 8)] == ["leaf"]


def test_halving_a_link_that_is_never_used_above_half_changes_nothing():
    # 16 of the 32 nodes of a leaf are there: half of its uplinks carry all that they send
    step_s = []
    for oversubscription in (1, 2):
        over = f"machine_overrides.fabric.oversubscription={oversubscription}"
        run = run_scenario(load_scenario("longcat-flash-decode-h800x128", ["routing.popularity=power_law:1.01", over]))
        step_s.append(float(run.times.end_OC.max()))
    assert step_s[1] == pytest.approx(step_s[0], rel=1e-9)


@pytest.mark.parametrize("ep", [8, 16, 128])
def test_kernels_that_know_the_nic_alone_cross_the_leaves_inside_a_node_too(ep):
    # H800: rail r of all 16 nodes hangs on leaf r. Even copies go to 8 rails alike, 7 of them beyond the leaf,
    # whether the EP group is one node or all of them
    settings = [f"layout.ep={ep}", "model_overrides.n_layers=4", "machine_overrides.fabric.oversubscription=8"]
    graph = lower(load_scenario("longcat-flash-decode-h800x128", settings).step, "sequential")
    traffic = next(op.work.traffic for op in graph.ops if op.work.name == "dispatch.flight")
    rank_bytes = 96 * 2 * 8 * (6144 + 4 * 6144 / 128 + 16)  # sequences, with a draft each, FFN experts on average
    for crossed in (traffic.border_out_C, traffic.border_in_C):
        assert crossed["leaf"] == pytest.approx(16 * 7 / 8 * rank_bytes, rel=1e-12)


def test_kernels_that_use_the_links_inside_a_node_cross_no_leaf_there():
    settings = ["layout.ep=8", "model_overrides.n_layers=4", "machine_overrides.fabric.oversubscription=8",
                "run.all_to_all=pairwise"]  # fmt: skip
    graph = lower(load_scenario("longcat-flash-decode-h800x128", settings).step, "sequential")
    traffic = next(op.work.traffic for op in graph.ops if op.work.name == "dispatch")
    assert not traffic.border_out_C["leaf"].any()


def test_a_rank_that_comes_late_holds_up_everybody():
    # rank 0 has twice the tokens, so it enters the dispatch late, and all others wait for it there
    profile = fabric(oversubscription=2.0)
    graph = lower(step_on(profile, 8), "sequential", reduce_ranks=False)
    works = {id(op.work): op.work for op in graph.ops}
    slower = {key: replace(work, flops_C=work.flops_C * np.where(np.arange(8) == 0, 200.0, 1.0))
              for key, work in works.items() if work.kernel == "gemm" and work.kind == "attention"}  # fmt: skip
    late = replace(graph, ops=[replace(op, work=slower.get(id(op.work), op.work)) for op in graph.ops])
    before, after = (simulate(g, profile).timeline for g in (graph, late))
    flights = after[after["op"] == "dispatch.flight"]
    assert flights[flights["rank"] != 0]["wait_s"].min() > 10 * before["wait_s"].max()
    assert flights[flights["rank"] == 0]["wait_s"].max() == pytest.approx(0.0, abs=1e-12)
    ends = flights.groupby("op_id")["end_s"]
    assert ((ends.max() - ends.min()) < 1e-12).all()


def test_two_devices_on_one_nic_take_turns_and_one_alone_takes_all_of_it():
    # the NIC carries both at once what two own NICs would; a border of its own only when both send
    both_C, _ = flight_of(SHARED_NIC, 8)
    own_C, _ = flight_of(fabric(), 8)
    assert both_C == pytest.approx(own_C, rel=1e-12)
    machine = Machine(profile=SHARED_NIC, n_devices=8, launch="graph", compute_sms=10)
    assert capacities(machine).bytes_per_s["nic.egress"] == 2.0 * GB


def test_copies_across_the_sockets_of_a_pcie_node_share_one_way():
    # of the copies of two devices under a bridge two in four cross to the other socket, at 0.25 GB/s
    took_C, work = flight_of(PCIE, 4)
    crossing = work.traffic.sent_C["node"][0] / 3 * 2 * 2  # two of the three others, from both devices
    assert work.traffic.border_out_C["root"][0] == pytest.approx(crossing)
    assert took_C[0] == pytest.approx(crossing / (0.25 * GB), rel=1e-12)


@pytest.mark.parametrize("all_to_all", ["low_latency", "normal"])
@pytest.mark.parametrize(
    "profile", [fabric(oversubscription=2.0), THREE_LAYERS, SHARED_NIC], ids=["two", "three", "nic"]
)
def test_what_goes_out_of_all_groups_comes_into_them(profile, all_to_all):
    step = step_on(profile, 16, all_to_all=all_to_all, draw="sample", popularity="power_law:1.2", seed=3)
    graph = lower(step, "sequential", reduce_ranks=False)
    for work in {id(op.work): op.work for op in graph.ops}.values():
        if work.traffic is None or work.kind not in {"dispatch", "combine"}:
            continue
        for border in step.borders:
            first_R = [group[0] for group in border.groups]
            out, into = (
                ways[border.name][first_R].sum() for ways in (work.traffic.border_out_C, work.traffic.border_in_C)
            )
            assert out == pytest.approx(into, rel=1e-12)
            assert out <= work.traffic.sent_C["remote"].sum() * (1 + 1e-12)


def test_rail_aligned_copies_never_climb_where_a_leaf_takes_their_rail():
    # both nodes of a group hang on the same leaves, rail by rail; only other groups are above
    step = step_on(fabric(kind="rail_fat_tree", oversubscription=2.0), 4, all_to_all="normal")
    work = next(op.work for op in lower(step, "sequential").ops if op.work.kind == "dispatch")
    assert work.traffic.sent_C["remote"].sum() > 0.0
    assert work.traffic.border_out_C["leaf"].sum() == 0.0


def test_groups_of_experts_crowd_the_same_leaf():
    # two EP groups of 4: each leaf carries what one node of either sends, so the same as one group of 4 alone
    profile = fabric(oversubscription=2.0)
    two_C, _ = flight_of(profile, 8, ep=4)
    one_C, _ = flight_of(profile, 4)
    assert two_C == pytest.approx(np.full_like(two_C, one_C[0]), rel=1e-12)


def test_a_hot_rank_crowds_the_links_into_its_leaf():
    profile = fabric(oversubscription=2.0)
    even_C, _ = flight_of(profile, 8)
    hot_C, work = flight_of(profile, 8, popularity="power_law:1.5", seed=1)
    assert hot_C.max() > even_C.max()
    assert work.traffic.border_in_C["leaf"].max() > 1.2 * work.traffic.border_in_C["leaf"].mean()


def test_ranks_of_a_balanced_step_finish_together():
    profile = fabric(kind="rail_fat_tree", oversubscription=2.0)
    run = simulate(lower(step_on(profile, 8), "sbo", reduce_ranks=False), profile)
    ends = run.timeline.groupby("rank")["end_s"].max()
    assert ends.max() == pytest.approx(ends.min(), rel=1e-12)


def test_a_scenario_on_one_node_never_touches_a_nic():
    _, work = flight_of(TWO_PER_NODE, 2)
    assert work.traffic.sent_C["remote"].sum() == 0.0
