"""Any forward pass can be recorded, whatever its order."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the layers need torch")

from unit.layers.tiny import tiny_spec

from workloads.layers.lane import Lane
from workloads.layers.language_model import LanguageModel
from workloads.layers.overlap import in_turn, single_batch_overlap, two_streams
from workloads.layers.recorder import RoutingRecorder
from workloads.layers.settings import LayerSettings
from workloads.layers.weights import initialise
from workloads.routing_trace import read_routing_trace, write_routing_trace

torch.set_num_threads(1)
SPEC = tiny_spec()


def model_and_ids():
    model = LanguageModel(SPEC, LayerSettings())
    initialise(model, 0.3, torch.Generator().manual_seed(0))
    return model, torch.randint(SPEC.vocab, (2, 6), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_a_recorded_trace_holds_the_routers_choices_and_comes_back_from_its_file(tmp_path):
    model, ids_BS = model_and_ids()
    chosen = []
    model.layers[1].moe.router.register_forward_hook(lambda _m, _i, routing: chosen.append(routing.ids_TK.numpy()))
    with RoutingRecorder(model) as recorder:
        model(ids_BS)
        model(ids_BS[:, :1])
    model(ids_BS)  # after the `with`: not recorded
    write_routing_trace(recorder.trace(), tmp_path / "trace.npz")
    trace = read_routing_trace(tmp_path / "trace.npz")
    assert (trace.n_layers, trace.n_steps, trace.top_k) == (2, 2, 3)
    assert (trace.n_routed_experts, trace.n_zero_experts) == (8, 4)
    assert trace.ids_LMK.dtype == np.int16
    np.testing.assert_array_equal(trace.step(0)[1], chosen[0])
    np.testing.assert_array_equal(trace.step(1)[1], chosen[1])


@torch.no_grad()
def test_every_order_records_the_same_trace():
    model, ids_BS = model_and_ids()
    traces = []
    with Lane(torch.device("cpu")) as lane:
        for run_block in (in_turn, single_batch_overlap, two_streams(lane)):
            with RoutingRecorder(model) as recorder:
                model(ids_BS, run_block=run_block)
            traces.append(recorder.trace().ids_LMK)
    np.testing.assert_array_equal(traces[0], traces[1])
    np.testing.assert_array_equal(traces[0], traces[2])


def test_nothing_recorded_is_no_trace():
    model, _ = model_and_ids()
    with RoutingRecorder(model) as recorder, pytest.raises(ValueError, match="allowed one or more steps"):
        recorder.trace()
