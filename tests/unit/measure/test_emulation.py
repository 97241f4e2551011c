"""One rank of a large group on one device: the outputs of a layer whose experts are all here, and the bytes sent."""

import time

import pytest

torch = pytest.importorskip("torch", reason="measuring needs torch")

from validation.measure.carriers import asleep
from validation.measure.case import Lab
from validation.measure.command import Options, measure
from validation.measure.emulation import StandIn
from validation.measure.layers import Layer, Point
from validation.measurements import read_measurements
from workloads.layers.overlap import in_turn, single_batch_overlap, two_streams
from workloads.zoo import tiny

torch.set_num_threads(1)
N_RANKS = 4
POINT = Point(n_sequences=6, n_new=1, n_context=8)
TOLERANCE = 1e-5  # of the largest entry; float32, rows summed in another order


@pytest.fixture
def lab():
    return Lab(spec=tiny(), device=torch.device("cpu"), dtype="fp32", sizes=None)


def orders(lab):
    return {"in_turn": in_turn, "sbo": single_batch_overlap, "two_stream": two_streams(lab.lane)}


def with_all_experts_here(lab, emulated):
    """The same layer in one process: every rank's experts, which are those of the emulated rank."""
    local = Layer(lab=lab, zero=emulated.zero)
    weights = emulated.block.state_dict()
    local.block.load_state_dict(
        {name: w.repeat(N_RANKS, 1, 1) if ".experts." in name else w for name, w in weights.items()}
    )
    return local


@pytest.mark.parametrize("order", ["in_turn", "sbo", "two_stream"])
@pytest.mark.parametrize("zero", ["skip", "none"])
def test_an_emulated_rank_gives_the_outputs_of_a_layer_whose_experts_are_all_here(lab, zero, order):
    emulated = Layer(lab=lab, zero=zero, exchange=StandIn(N_RANKS, asleep(1e9)))
    with torch.no_grad():
        out_BSD = emulated.work(orders(lab)[order], POINT)()
        local_BSD = with_all_experts_here(lab, emulated).work(in_turn, POINT)()
    assert (out_BSD - local_BSD).abs().max() <= TOLERANCE * local_BSD.abs().max()


def test_what_is_for_other_ranks_is_carried_there_and_back(lab):
    carried = []

    def carry(n_bytes):
        carried.append(n_bytes)
        return lambda: carried.append("arrived")

    layer = Layer(lab=lab, zero="none", exchange=StandIn(N_RANKS, carry))
    with torch.no_grad():
        sent_R = layer.dispatched(POINT).sent_R
    assert sum(sent_R) == 6 * 3
    n_bytes = sum(sent_R[1:]) * 64 * 4
    assert carried == [n_bytes, "arrived", n_bytes, "arrived"]


def test_a_link_takes_its_time_and_one_transfer_after_the_other():
    carry = asleep(1e6)
    start_s = time.perf_counter()
    for arrive in [carry(2_000), carry(3_000)]:
        arrive()
    assert time.perf_counter() - start_s >= 5e-3  # 5 kB at 1 MB/s


@pytest.mark.usefixtures("small")
def test_the_suite_is_labelled_as_an_emulation_and_tells_what_was_sent(tmp_path):
    assert measure(Options(out=tmp_path, model="tiny", share=1.0, suite="emulation"), lambda _: None) == 0
    rows = read_measurements(tmp_path)
    assert {row.op for row in rows} == {"scmoe_layer.emulation.sleep"}
    assert {row.shape["ep"] for row in rows} == {8}  # 8 experts are not shared by 32 or 128 ranks
    for row in rows:
        assert row.outcome["active"] == 1  # each rank holds one expert
        assert 0 < row.outcome["sent_bytes"] <= row.outcome["rows"] * 64 * 4
        if row.shape["zero"] == "none":
            assert row.outcome["rows"] == 3 * row.shape["batch"] * row.shape["new"]
