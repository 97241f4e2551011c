"""Two real ranks under gloo: collectives and overlapped layers measured, failures told, what was measured kept."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="measuring needs torch")
if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
    pytest.skip("torch is built without gloo", allow_module_level=True)

from validation.measure.collectives import collectives, group_sizes, routed_rows, uneven_splits
from validation.measurements import read_measurements

ROOT = Path(__file__).parents[3]
# One rank: sizes and repeats of a test; FAIL is what rank 1 does at its third case.
RANK = """
import os, sys, time
from dataclasses import replace
import torch
torch.set_num_threads(1)
from validation.measure import command, interference, runner
from validation.measure.timing import Rule
sizes_of = command.sizes_of
command.sizes_of = lambda *at: replace(sizes_of(*at), batches=(2,), contexts=(8,), prompts=(), message_bytes=(512,),
                                        tokens=(4,), copy_bytes=(64,))
command.SAMPLE_S = {}
products = interference.products
interference.products = lambda lab: products(lab)[:1]
command.Rule = lambda spread_bound: Rule(sample_s=1e-5, n_repeats=5, n_rounds=1, spread_bound=10.0)
time_by_turns, n_cases = runner.time_by_turns, []
def counted(*at):
    n_cases.append(1)
    if len(n_cases) == 3 and os.environ["RANK"] == "1":
        {"vanish": lambda: os._exit(9), "hang": lambda: time.sleep(20), "": lambda: None}[os.environ["FAIL"]]()
    return time_by_turns(*at)
runner.time_by_turns = counted
from validation.measure.__main__ import measure, parse
sys.exit(measure(parse(sys.argv[1:])))
"""


def run_ranks(folder, *words, fail="", n_ranks=2):
    """The first rank's exit code and words."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    shared = {
        "WORLD_SIZE": str(n_ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "FAIL": fail,
        "OMP_NUM_THREADS": "1",
    }
    model = ("--model", "tiny", "--share", "1", "--experts", "0")
    command = [sys.executable, "-c", RANK, "--out", str(folder), *model, *words]
    ranks = [
        subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **shared, "RANK": rank}, stderr=subprocess.PIPE, text=True
        )
        for rank in map(str, range(n_ranks))
    ]
    try:
        said = ranks[0].communicate(timeout=60)[1]
    finally:
        for rank in ranks:
            rank.kill()
            rank.communicate()
    return ranks[0].returncode, said


def test_every_collective_is_measured_between_two_ranks(tmp_path):
    code, said = run_ranks(tmp_path, "--suite", "collectives")
    rows = read_measurements(tmp_path)
    assert code == 0, said
    assert [row.op for row in rows] == [*collectives(2), "all_to_all.routed", "share_loads"]
    assert all(row.shape["ranks"] == 2 and row.median_s > 0 for row in rows)
    routed = rows[-2]
    assert routed.shape == {"bytes": 512, "rows": 2, "ranks": 2}  # rows of 64 float32
    assert 0 < routed.moved_bytes <= 512


def test_collectives_between_some_of_the_ranks_are_measured_too(tmp_path):
    code, said = run_ranks(tmp_path, "--suite", "collectives", n_ranks=3)
    assert code == 0, said
    rows = read_measurements(tmp_path)
    n_each = len(collectives(2)) + 1  # and the layer's own all-to-all; 3 ranks do not share 8 experts evenly
    assert [row.shape["ranks"] for row in rows] == [2] * (n_each + 1) + [3] * n_each
    assert all(row.median_s > 0 for row in rows)


def test_a_product_beside_a_collective_is_measured_between_two_ranks(tmp_path):
    code, said = run_ranks(tmp_path, "--suite", "interference")
    assert code == 0, said
    rows = [row for row in read_measurements(tmp_path) if "collective" in row.op]
    assert [row.op for row in rows] == ["gemm_beside.collective", "collective_beside.gemm"]
    assert all(row.median_s > 0 and row.outcome["partner_s"] > 0 and row.shape["ranks"] == 2 for row in rows)


def test_orders_of_a_layer_are_measured_with_real_all_to_alls(tmp_path):
    code, said = run_ranks(tmp_path, "--suite", "overlap")
    assert code == 0, said
    rows = read_measurements(tmp_path)
    assert [row.shape["order"] for row in rows] == ["in_turn", "sbo", "two_stream"] * 2
    (rows_sent,) = {row.outcome["rows"] for row in rows if row.shape["zero"] == "none"}
    assert rows_sent == 2 * 3  # a rank's tokens times choices
    for row in rows:
        assert row.outcome["rows"] <= 6
        assert 1 <= row.outcome["most"] <= 12
        assert 1 <= row.outcome["active"] <= 8


@pytest.mark.parametrize("fail", ["vanish", "hang"])
def test_a_rank_that_is_gone_or_stuck_ends_in_words_and_the_rows_before_are_kept(tmp_path, fail):
    code, said = run_ranks(tmp_path, "--suite", "collectives", "--timeout-s", "2", fail=fail)
    assert code == 1
    assert "a rank vanished or a collective hung (" in said
    assert f"2 measurements in {tmp_path}" in said
    assert "Traceback" not in said
    assert len(read_measurements(tmp_path)) == 2


def test_powers_of_two_and_all_ranks_take_part():
    assert [group_sizes(n) for n in (2, 3, 4, 6, 16)] == [[2], [2, 3], [2, 4], [2, 4, 6], [2, 4, 8, 16]]


def test_random_routing_loses_no_row():
    rows_RR = routed_rows(100, 4)
    assert rows_RR.sum(axis=1).tolist() == [100] * 4
    assert len(set(rows_RR.flatten().tolist())) > 1


def test_uneven_splits_add_up_and_favour_the_first_rank():
    assert uneven_splits(300, 2) == [200, 100]
    assert uneven_splits(1, 4) == [1, 0, 0, 0]


def test_the_busiest_rank_of_an_uneven_all_to_all_is_the_one_that_keeps_least():
    assert collectives(2)["all_to_all.even"].sent_share == 0.5
    assert collectives(2)["all_to_all.uneven"].sent_share == pytest.approx(
        2 / 3, abs=0.15
    )  # splits of 4 values: 3 and 1
