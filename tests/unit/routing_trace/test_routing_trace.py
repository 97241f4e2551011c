"""Routing traces: counts, steps, files, faults."""

import subprocess
import sys

import numpy as np
import pytest

from workloads.routing_trace import RoutingTrace, read_routing_trace, routing_trace, write_routing_trace


def example():
    """Two layers, steps of 2 and 1 tokens, top-2 of 3 routed and 1 zero-computation expert (id 3)."""
    first = [np.array([[0, 3], [1, 0]], dtype=np.int16), np.array([[2, 3]], dtype=np.int16)]
    second = [np.array([[3, 1], [1, 2]], dtype=np.int16), np.array([[0, 1]], dtype=np.int16)]
    return routing_trace([first, second], n_routed_experts=3, n_zero_experts=1)


def test_steps_and_counts_worked_by_hand():
    trace = example()
    assert (trace.n_layers, trace.n_steps, trace.top_k) == (2, 2, 2)
    np.testing.assert_array_equal(trace.step(0), [[[0, 3], [1, 0]], [[3, 1], [1, 2]]])
    np.testing.assert_array_equal(trace.step(1), [[[2, 3]], [[0, 1]]])
    np.testing.assert_array_equal(trace.counts(), [[2, 1, 1, 2], [1, 3, 1, 1]])
    np.testing.assert_array_equal(trace.ffn_experts(), [[1, 2, 1], [1, 2, 2]])


def test_a_file_gives_the_trace_back_and_is_the_same_every_time(tmp_path):
    trace = example()
    for name in ("a.npz", "b.npz"):
        write_routing_trace(trace, tmp_path / name)
    again = read_routing_trace(tmp_path / "a.npz")
    np.testing.assert_array_equal(again.ids_LMK, trace.ids_LMK)
    np.testing.assert_array_equal(again.tokens_per_step, trace.tokens_per_step)
    assert (again.n_routed_experts, again.n_zero_experts) == (3, 1)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_real_size_takes_less_than_two_bytes_per_choice(tmp_path):
    ids = np.random.default_rng(0).integers(0, 768, size=(4, 1000, 12)).astype(np.int16)
    trace = routing_trace([[layer] for layer in ids], n_routed_experts=512, n_zero_experts=256)
    write_routing_trace(trace, tmp_path / "trace.npz")
    assert (tmp_path / "trace.npz").stat().st_size < 2 * ids.size


def test_no_object_is_unpickled(tmp_path):
    np.savez(tmp_path / "trace.npz", ids=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match=r"no \.npz of plain arrays"):
        read_routing_trace(tmp_path / "trace.npz")


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "text.npz").write_text("ids\n")
    with pytest.raises(ValueError, match=r"no \.npz of plain arrays"):
        read_routing_trace(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", ids=np.zeros((1, 1, 1), dtype=np.int16), seed=0)
    with pytest.raises(ValueError, match=r"missing \['n_routed_experts', .*\], unknown \['seed'\]"):
        read_routing_trace(tmp_path / "other.npz")
    with pytest.raises(ValueError, match=r"allowed a name that ends in \.npz"):
        write_routing_trace(example(), tmp_path / "trace.csv")


def test_every_fault_is_named():
    with pytest.raises(ValueError, match="experts: got 0 \\+ 2") as error:
        RoutingTrace(
            ids_LMK=np.array([[[7]]], dtype=np.int16), tokens_per_step=np.array([2]), n_routed_experts=0,
            n_zero_experts=2,
        )  # fmt: skip
    assert "tokens_per_step: got int64 of sum 2; allowed int64, sum 1" in str(error.value)
    assert "ids: got 7 to 7; allowed 0 to 1" in str(error.value)


def test_layers_that_saw_other_tokens_are_refused():
    ids_TK = np.zeros((2, 1), dtype=np.int16)
    with pytest.raises(ValueError, match="the same in every layer"):
        routing_trace([[ids_TK], [ids_TK[:1]]], n_routed_experts=1, n_zero_experts=0)


def test_reading_needs_no_torch():
    code = "import sys, workloads.routing_trace; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
