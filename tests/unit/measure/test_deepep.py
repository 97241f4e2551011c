"""DeepEP's kernels as the suite calls them, against a stand-in with the signatures of its public Buffer."""

from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch", reason="measuring needs torch")

from hw_profiles.faults import InputFaults
from validation.measure import deepep
from validation.measure.case import Lab, Sizes
from validation.measure.command import Options, measure
from validation.measure.ranks import Ranks
from workloads.zoo import tiny

torch.set_num_threads(1)
CALLS = []


class Config:
    def __init__(self, num_sms):
        self.num_sms = num_sms

    def get_nvl_buffer_size_hint(self, hidden_bytes, num_ranks):
        return hidden_bytes * self.num_sms

    def get_rdma_buffer_size_hint(self, hidden_bytes, num_ranks):
        return 0


class Buffer:
    num_sms = 20

    def __init__(self, group, num_nvl_bytes=0, num_rdma_bytes=0, low_latency_mode=False, num_qps_per_rank=12):
        CALLS.append(("Buffer", num_nvl_bytes, num_rdma_bytes, low_latency_mode, num_qps_per_rank))

    @staticmethod
    def set_num_sms(new_num_sms):
        assert new_num_sms % 2 == 0
        Buffer.num_sms = new_num_sms

    @staticmethod
    def get_dispatch_config(num_ranks):
        return Config(Buffer.num_sms)

    get_combine_config = get_dispatch_config

    @staticmethod
    def get_low_latency_rdma_size_hint(num_max_dispatch_tokens_per_rank, hidden, num_ranks, num_experts):
        return num_max_dispatch_tokens_per_rank * hidden

    def get_dispatch_layout(self, topk_idx, num_experts, previous_event=None, async_finish=False):
        assert int(topk_idx.max()) < num_experts
        assert all(len(set(row)) == len(row) for row in topk_idx.tolist())
        return "to_rank", None, "to_expert", "is_in_rank", None

    def dispatch(self, x, handle=None, num_tokens_per_rank=None, num_tokens_per_rdma_rank=None, is_token_in_rank=None,
                 num_tokens_per_expert=None, topk_idx=None, topk_weights=None, expert_alignment=1,
                 config=None):  # fmt: skip
        assert (num_tokens_per_rank, is_token_in_rank, num_tokens_per_expert) == ("to_rank", "is_in_rank", "to_expert")
        assert x.dtype == torch.bfloat16
        CALLS.append(("dispatch", config.num_sms))
        return x, topk_idx, topk_weights, [], "handle", None

    def combine(self, x, handle, topk_weights=None, bias=None, config=None):
        assert handle == "handle"
        CALLS.append(("combine", config.num_sms))
        return x, topk_weights, None

    def clean_low_latency_buffer(self, num_max_dispatch_tokens_per_rank, hidden, num_experts):
        CALLS.append("cleaned")

    def low_latency_dispatch(self, x, topk_idx, num_max_dispatch_tokens_per_rank, num_experts, use_fp8=True,
                             async_finish=False, return_recv_hook=False):  # fmt: skip
        assert len(x) <= num_max_dispatch_tokens_per_rank
        CALLS.append(("ll_dispatch", return_recv_hook))
        return x, None, "ll_handle", None, (lambda: CALLS.append("received")) if return_recv_hook else None

    def low_latency_combine(self, x, topk_idx, topk_weights, handle, async_finish=False, return_recv_hook=False):
        assert handle == "ll_handle"
        CALLS.append(("ll_combine", return_recv_hook))
        return x, None, (lambda: CALLS.append("received")) if return_recv_hook else None


@pytest.fixture
def cases(monkeypatch):
    monkeypatch.setattr(deepep, "deep_ep", SimpleNamespace(Buffer=Buffer))
    monkeypatch.setattr(deepep, "check", lambda _device, _ranks: None)  # of CUDA
    CALLS.clear()
    sizes = Sizes(
        tokens=(4, 256), batches=(), contexts=(), prompts=(), tokens_per_expert=(), copy_bytes=(), message_bytes=()
    )
    lab = Lab(spec=tiny(), device=torch.device("cpu"), dtype="fp32", sizes=sizes)
    return list(deepep.deepep_cases(lab, Ranks(n_ranks=2)))


def alone(cases, op, n_tokens=4):
    return [case for case in cases if case.op == op and case.shape["tokens"] == n_tokens]


@pytest.mark.parametrize("step", ["dispatch", "combine"])
def test_normal_kernels_run_with_the_stated_sms(cases, step):
    for case in alone(cases, f"deepep.normal_{step}"):
        case.make()()
        assert CALLS[-1] == (step, case.shape["sms"])


@pytest.mark.parametrize("step", ["dispatch", "combine"])
def test_with_a_hook_the_receive_is_a_call_of_its_own(cases, step):
    bare, hooked = alone(cases, f"deepep.ll_{step}")
    bare.make()()
    assert CALLS[-1] == (f"ll_{step}", False)
    hooked.make()()
    assert CALLS[-2:] == [(f"ll_{step}", True), "received"]


def test_one_buffer_holds_what_every_kernel_wants(cases):
    for case in cases[:4]:
        case.make()
    most_sms = max(deepep.SM_COUNTS)
    assert [call for call in CALLS if call[0] == "Buffer"] == [("Buffer", 64 * 2 * most_sms, 128 * 64, True, most_sms)]


@pytest.mark.parametrize("step", ["dispatch", "combine"])
def test_the_buffer_is_cleaned_before_low_latency_kernels(cases, step):
    work = alone(cases, f"deepep.ll_{step}")[0].make()
    assert "cleaned" in CALLS
    n_before = len(CALLS)
    work()
    assert "cleaned" not in CALLS[n_before:]


def test_a_prefill_is_left_to_the_normal_kernels(cases):
    assert {case.op for case in cases if case.shape["tokens"] == 256} == {
        f"deepep.normal_{step}{beside}" for step in ("dispatch", "combine") for beside in ("", "_beside.gemm")
    }


def test_every_kernel_is_measured_beside_both_products(cases):
    for op in ("deepep.normal_dispatch", "deepep.ll_combine"):
        beside = alone(cases, f"{op}_beside.gemm")
        assert len(beside) == 2 * len(alone(cases, op))
        assert all(case.beside for case in beside)


def test_without_gpu_library_or_ranks_one_line_each_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(deepep, "deep_ep", None)
    with pytest.raises(InputFaults) as caught:
        deepep.check(torch.device("cpu"), Ranks())
    assert [fault.field for fault in caught.value.faults] == ["--device", "--suite", "--suite"]
    words = []
    assert measure(Options(out=tmp_path, model="tiny", share=1.0, suite="deepep"), words.append) == 2
    assert "'deepep' in one process" in words[-1]
