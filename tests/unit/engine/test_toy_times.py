"""Times on the toy machine against times worked out by hand: 1 MFLOP, 1,000 bytes of HBM or 1,000 bytes of link take
one microsecond each when alone."""

import numpy as np
import pytest
from toy import both_ways, ends_us, flow, op, starts_us, times_of

from simulator.engine.run import run
from simulator.resources import Activity, Capacities, Demand


def us(*values: float) -> object:
    return pytest.approx(list(values), rel=1e-12)


def test_a_chain_runs_one_op_after_the_other():
    chain = [op(mflop=2), op(hbm=3_000), op(mflop=1, hbm=4_000)]
    assert starts_us(chain) == us(0, 2, 5)
    assert ends_us(chain) == us(2, 5, 9)  # the last op is bound by its 4,000 bytes


def test_a_fork_runs_side_by_side_and_joins_at_the_later_branch():
    fork = [op(mflop=2), op("main", hbm=3_000), op("side", [0], egress=5_000), op("main", [1, 2], mflop=1)]
    assert starts_us(fork) == us(0, 2, 2, 7)
    assert ends_us(fork) == us(2, 5, 7, 8)


def test_two_flows_share_a_link_equally():
    assert ends_us([flow("a", n_bytes=2_000), flow("b", n_bytes=2_000)]) == us(5, 5)  # 4,000 bytes, then the latency


def test_the_smaller_of_two_flows_leaves_its_share_to_the_larger():
    # Half a link each until 2 us, when a has sent its 1,000 bytes; b sends its other 2,000 alone, until 4 us.
    assert ends_us([flow("a", n_bytes=1_000), flow("b", n_bytes=3_000)]) == us(3, 5)


def test_a_flow_that_comes_later_shares_what_is_left():
    # a alone until 1 us (1,000 of its 3,000 bytes); then both at half: b sends 1,000 by 3 us, a's last 1,000 by 4 us.
    staggered = [flow("a", n_bytes=3_000), op("b", mflop=1), flow("b", n_bytes=1_000)]
    assert ends_us(staggered) == us(5, 1, 4)


def test_egress_and_ingress_are_links_of_their_own():
    assert ends_us([op("a", egress=2_000), op("b", ingress=3_000)]) == us(2, 3)


def test_an_exchange_ends_with_its_busier_direction():
    assert ends_us([op("a", egress=2_000, ingress=5_000)]) == us(5)


def test_two_readers_share_the_memory():
    # Half of HBM each: a reads its 2,000 bytes in 4 us; b, with 2,000 of its 4,000 left, needs 2 us more.
    assert ends_us([op("a", hbm=2_000), op("b", hbm=4_000)]) == us(4, 6)


def test_a_kernel_that_computes_more_than_it_reads_leaves_bandwidth_to_its_neighbour():
    # a: 4 MFLOP on 5 SMs take 8 us, in which it reads 2,000 bytes: 250 bytes/us, less than its half.
    # b: 5 MFLOP on 5 SMs would take 10 us; its 9,000 bytes at the 750 bytes/us left: 8 us bring 6,000.
    # Alone from 8 us on it reads the other 3,000 at 900 bytes/us, where its 5 SMs (0.1 of its work per us) bind.
    pair = [op("a", mflop=4, sms=5, hbm=2_000), op("b", mflop=5, sms=5, hbm=9_000)]
    assert ends_us(pair) == us(8, 8 + 3_000 / 900)


def test_latency_passes_before_anything_is_used():
    # b's latency runs beside a; from 2 us on they share: a's last 1,000 bytes take until 4 us.
    pair = [op("a", hbm=3_000), op("b", hbm=2_000, latency_us=2)]
    assert starts_us(pair) == us(0, 0)
    assert ends_us(pair) == us(4, 5)


def test_an_op_that_ends_within_the_latency_of_the_next_is_not_slowed():
    assert ends_us([op("a", hbm=1_000), op("b", hbm=2_000, latency_us=1.5)]) == us(1, 3.5)


def test_a_transfer_that_holds_sms_waits_for_the_gemm_before_it():
    # The GEMM has all 10 SMs; the holder wants 4 of them at 1 us and gets them at 6 us.
    beside = [op("main", mflop=6), op("comm", mflop=1), op("comm", egress=3_000, sms=4, holds=True)]
    # The second op needs SMs as well and waits for the first: 6 to 7 us, with all SMs; then the holder.
    assert ends_us(beside) == us(6, 7, 10)
    gemm_first = [op("main", mflop=6), op("comm", latency_us=1, egress=3_000, sms=4, holds=True)]
    assert ends_us(gemm_first) == us(6, 9)


def test_a_gemm_beside_a_holder_has_the_rest_and_grows_when_it_leaves():
    # 4 SMs are held until 3 us: the GEMM does 0.6 MFLOP/us for 3 us, then 1 MFLOP/us for the 4.2 MFLOP left.
    beside = [op("comm", egress=3_000, sms=4, holds=True), op("main", mflop=6)]
    assert ends_us(beside) == us(3, 7.2)


def test_a_kernel_without_a_free_sm_waits_for_one():
    assert ends_us([op("a", mflop=4), op("b", mflop=2, sms=2)]) == us(4, 5 + 9)  # 2 MFLOP on 2 SMs take 10 us


def test_a_small_kernel_leaves_sms_to_the_next():
    # a: 2 MFLOP on 2 SMs, 10 us. b: 8 SMs, 0.8 MFLOP/us: 8 MFLOP in 10 us. c: after both, 10 SMs.
    assert ends_us([op("a", mflop=2, sms=2), op("b", mflop=8), op("b", [0], mflop=1)]) == us(10, 10, 11)


def test_nobody_overtakes_a_holder_that_waits():
    # a holds 6 SMs until 2 us. b wants 8 and waits; c came later and gets nothing, though 4 SMs are free.
    # At 2 us b gets its 8 until 5 us, c the other 2: 0.6 of its 2 MFLOP; at 5 us it has all 10 SMs.
    queue = [
        op("a", egress=2_000, sms=6, holds=True),
        op("b", ingress=3_000, sms=8, holds=True),
        op("c", mflop=2),
    ]
    assert ends_us(queue) == us(2, 5, 6.4)


def test_sms_once_held_are_not_lost_to_a_kernel_that_was_launched_before():
    # The GEMM is launched first but its latency ends at 3 us; the holder has its SMs from 1 us to 5 us.
    # From 3 us the GEMM has 6 SMs: 1.2 MFLOP by 5 us, the other 4.8 with 10 SMs by 9.8 us.
    pair = [op("main", mflop=6, latency_us=3), op("comm", latency_us=1, egress=4_000, sms=4, holds=True)]
    assert ends_us(pair) == us(9.8, 5)


def test_a_head_that_waits_blocks_those_behind_it():
    # comm's head waits for main's 5 us; what stands behind it could have run at 0.
    blocked = [op("main", mflop=5), op("comm", [0], egress=1_000), op("comm", ingress=1_000)]
    assert starts_us(blocked) == us(0, 5, 6)
    assert ends_us(blocked) == us(5, 6, 7)


def test_a_group_ends_together_after_its_slowest_rank_and_the_latency():
    exchange = [op("comm", **both_ways([1_000, 4_000]), group=[0, 0], tail_us=1, n_classes=2)]
    times = times_of(exchange, n_classes=2)
    assert times.end_OC[0] == us(5e-6, 5e-6)
    assert times.wait_OC[0] == us(3e-6, 0)  # rank 0 has waited for rank 1


def test_groups_of_the_same_op_do_not_wait_for_one_another():
    exchange = [op("comm", egress=[1_000, 4_000, 2_000, 3_000], group=[0, 1, 0, 1], n_classes=4)]
    assert times_of(exchange, n_classes=4).end_OC[0] == us(2e-6, 4e-6, 2e-6, 4e-6)


def test_a_kernel_that_waits_for_its_group_keeps_its_sms():
    # Rank 0 has sent at 1 us but holds its 4 SMs until rank 1 has, at 5 us, and the latency, 6 us.
    # Its GEMM: 6 SMs for 6 us, 3.6 of 6 MFLOP; then 10 SMs. Rank 1's GEMM the same, by the same hold.
    ops = [
        op("comm", egress=[1_000, 5_000], sms=4, holds=True, group=[0, 0], tail_us=1, n_classes=2),
        op("main", mflop=6, n_classes=2),
    ]
    assert ends_us(ops, 0, n_classes=2) == us(6, 8.4)
    assert ends_us(ops, 1, n_classes=2) == us(6, 8.4)


def test_a_transfer_without_sms_leaves_the_gemm_alone_while_its_group_waits():
    ops = [
        op("comm", egress=[1_000, 5_000], group=[0, 0], tail_us=1, n_classes=2),
        op("main", mflop=6, n_classes=2),
    ]
    assert ends_us(ops, 0, n_classes=2) == us(6, 6)


@pytest.mark.parametrize("contention", [True, False])
def test_an_op_without_work_takes_its_latency_and_no_more(contention):
    ops = [
        op("a", mflop=4),
        op("b"),
        op("b", latency_us=2, sms=10, holds=True),
        op("b", latency_us=1, hbm=[0]),
        op("b", [0]),
    ]
    assert ends_us(ops, contention=contention) == us(4, 0, 2, 3, 4)


def test_an_op_that_one_rank_has_no_part_in_shares_nothing_there():
    # On rank 0 "a" moves nothing for its latency of 1 us; "b" is not slowed there, on rank 1 it is.
    ops = [op("a", latency_us=1, hbm=[0, 2_000], n_classes=2), op("b", hbm=[2_000, 2_000], n_classes=2)]
    assert ends_us(ops, 0, n_classes=2) == us(1, 2)
    # Rank 1: b alone until 1 us, then both at half: b's last 1,000 bytes until 3 us, a's other 1,000 until 4 us.
    assert ends_us(ops, 1, n_classes=2) == us(4, 3)


def test_a_rank_without_bytes_waits_for_its_group_with_its_sms():
    # Rank 0 sends nothing but takes part: its kernel holds 4 SMs until rank 1 has sent (3 us).
    ops = [
        op("comm", egress=[0, 3_000], sms=4, holds=True, group=[0, 0], n_classes=2),
        op("main", mflop=6, n_classes=2),
    ]
    assert ends_us(ops, 0, n_classes=2) == us(3, 7.2)


@pytest.mark.parametrize("contention", [True, False])
def test_ops_that_share_nothing_take_their_time_alone_with_or_without_contention(contention):
    ops = [
        op("main", mflop=3, sms=6),
        op("comm", egress=2_000, latency_us=1, group=[0], tail_us=1),
        op("copy", ingress=1_000, sms=4, holds=True),
        op("memory", hbm=5_000),
        op("main", [1, 3], mflop=1),
    ]
    assert ends_us(ops, contention=contention) == us(5, 4, 1, 5, 6)


def test_without_contention_nothing_slows_anything():
    ops = [op("a", mflop=4, hbm=4_000), op("b", mflop=4, hbm=4_000), op("c", hbm=1_000, sms=4, holds=True)]
    assert ends_us(ops, contention=False) == us(4, 4, 1)


def test_of_two_that_start_at_the_same_time_the_first_op_has_the_sms():
    # a ends at 2 us and frees both streams at once: op 2 has all SMs until 5 us, whatever the order of events.
    ops = [op("x", mflop=2), op("y", [0]), op("y", mflop=3), op("x", mflop=1)]
    assert ends_us(ops) == us(2, 2, 5, 6)


def test_a_stream_starts_where_its_first_op_stands():
    assert starts_us([op("a", mflop=1), op("b", [0], mflop=1), op("c", [1], mflop=1)]) == us(0, 1, 2)


def test_work_far_smaller_than_the_clock_resolves_still_ends():
    # After 1,000 s the clock's step is 1e-13 s; both flows have less than that to do.
    ops = [op("a", latency_us=1e9), op("a", hbm=1e-8), op("b", latency_us=1e9), op("b", hbm=3e-8)]
    assert ends_us(ops) == us(1e9, 1e9, 1e9, 1e9)


def test_the_same_plan_runs_the_same_twice():
    ops = [op(s, hbm=1_000 + 7 * i, mflop=1, latency_us=0.1 * i) for i, s in enumerate("abcabcabc")]
    first, second = times_of(ops), times_of(ops)
    assert np.array_equal(first.end_OC, second.end_OC)
    assert np.array_equal(first.start_OC, second.start_OC)


def test_a_dependency_that_comes_later_is_refused():
    with pytest.raises(ValueError, match="op 0 waits for op 1, which does not come before it"):
        times_of([op("a", [1]), op("b")])


def test_kernels_that_wait_for_one_another_for_ever_are_named():
    # Rank 0 starts op 1 first, rank 1 starts op 3 first; each holds the SMs that the other op needs there.
    ops = [
        op("x", latency_us=[0, 2], n_classes=2),
        op("x", egress=1_000, sms=6, holds=True, group=[0, 0], n_classes=2),
        op("y", latency_us=[2, 0], n_classes=2),
        op("y", ingress=1_000, sms=6, holds=True, group=[0, 0], n_classes=2),
        op("z", [3], mflop=1, n_classes=2),
    ]
    expected = "op 1 of rank class 0 waits for rank classes 1 to get as far; op 3 of rank class 0 waits for 6 SMs"
    with pytest.raises(RuntimeError, match=expected):
        times_of(ops, n_classes=2)


def test_a_transfer_loses_pace_beside_compute_and_regains_it_alone():
    zeros_C = np.zeros(1)
    transfer = Demand(
        latency_s_C=zeros_C, sm_s_C=zeros_C, sms=0, bytes_C={"link.egress": np.array([1e9])}, share_beside_compute=0.5
    )
    gemm = Demand(latency_s_C=zeros_C, sm_s_C=np.array([10.0]), sms=10)
    times = run(
        [
            Activity(stream="comm", deps=(), demand=transfer),
            Activity(stream="main", deps=(), demand=gemm),
        ],
        Capacities(n_sms=10, bytes_per_s={"link.egress": 1e9}),
        n_classes=1,
    )
    # the GEMM ends at 1 s, when half of the transfer is done; the other half goes alone in 0.5 s
    assert times.end_OC[:, 0] == pytest.approx([1.5, 1.0], rel=1e-12)


def test_a_transfer_takes_pace_from_the_compute_beside_it():
    zeros_C = np.zeros(1)
    transfer = Demand(
        latency_s_C=zeros_C, sm_s_C=zeros_C, sms=0, bytes_C={"link.egress": np.array([1e9])}, compute_share=0.5
    )
    gemm = Demand(latency_s_C=zeros_C, sm_s_C=np.array([10.0]), sms=10)
    times = run(
        [Activity(stream="comm", deps=(), demand=transfer), Activity(stream="main", deps=(), demand=gemm)],
        Capacities(n_sms=10, bytes_per_s={"link.egress": 1e9}),
        n_classes=1,
    )
    # the transfer ends at 1 s, when half of the GEMM is done; the other half goes alone in 0.5 s
    assert times.end_OC[:, 0] == pytest.approx([1.0, 1.5], rel=1e-12)
