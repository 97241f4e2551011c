"""Two and four gloo processes against one that holds the whole layer: same outputs, same gradients."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the layers need torch")
if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
    pytest.skip("torch is built without gloo", allow_module_level=True)

from unit.layers.ranks import CASES, Case, inputs, run, whole_block

torch.set_num_threads(1)
ROOT = Path(__file__).parents[3]
TOLERANCE = 1e-5  # of the largest entry or of 1; float32, sums of rows in another order
N_LOCAL_PROCESSES = (2, 4)


@pytest.fixture(scope="module", params=N_LOCAL_PROCESSES)
def ranks(request, tmp_path_factory):
    world, folder = request.param, tmp_path_factory.mktemp("ranks")
    script = Path(__file__).with_name("ranks.py")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen([sys.executable, script, str(rank), str(world), folder], env=environment)
        for rank in range(world)
    ]
    try:
        assert [process.wait(timeout=120) for process in processes] == [0] * world
    finally:
        for process in processes:
            process.kill()
    return [torch.load(folder / f"rank{rank}.pt") for rank in range(world)]


def assert_same(ours, reference):
    assert ours.shape == reference.shape
    assert (ours - reference).abs().max() <= TOLERANCE * max(1.0, reference.abs().max())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_ranks_give_the_outputs_and_gradients_of_one_process(ranks, case):
    world = len(ranks)
    whole = run(
        Case(policy=case.policy, order="in_turn", batch=case.batch, bias=case.bias),
        whole_block(case),
        *inputs(case, world),
    )
    results = [rank[case.name] for rank in ranks]
    assert_same(torch.cat([r["out"] for r in results]), whole["out"])
    assert_same(torch.cat([r["x_grad"] for r in results]), whole["x_grad"])
    for name, grad in whole["grads"].items():
        shares = [r["grads"][name] for r in results]
        both = torch.cat(shares) if "experts." in name else torch.stack(shares).sum(0)
        assert_same(both, grad)


def test_some_ranks_receive_no_row(ranks):
    received = [rank["skip-in_turn-many-first_two"]["rows_received"] for rank in ranks]
    assert received[0] == 2 * 6 * len(ranks)
    assert received[-1] == 0
    assert all(rank["skip-in_turn-many-all_zero"]["rows_received"] == 0 for rank in ranks)


def test_zero_experts_travel_only_when_remapped(ranks):
    rows = {
        p: sum(rank[f"{p}-in_turn-many-mixed"]["rows_received"] for rank in ranks) for p in ("skip", "remap0", "none")
    }
    n_choices = 3 * 6 * len(ranks)
    assert rows["remap0"] == rows["none"] == n_choices
    assert 0 < rows["skip"] < n_choices


def test_all_to_alls_are_under_way_while_dense_compute_runs(ranks):
    assert ranks[0]["was_under_way"]
    assert ranks[0]["log"] == [
        "issue dispatch", "ffn_0", "collect dispatch", "issue combine", "ffn_1", "collect combine",
        "issue combine", "ffn_1 gradient", "collect combine", "issue dispatch", "ffn_0 gradient", "collect dispatch",
    ]  # fmt: skip


def test_counts_of_the_budget_controller_add_up_over_ranks(ranks):
    world = len(ranks)
    assert [rank["counts"] for rank in ranks] == [[sum(range(world)), world]] * world
