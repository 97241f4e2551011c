"""The cases cover a layer: each op of torch that a forward pass calls is called by the cases of its parts, as often."""

from collections import Counter

import pytest

torch = pytest.importorskip("torch", reason="the suites time torch")

from torch.utils._python_dispatch import TorchDispatchMode

from validation.measure.case import Lab, Sizes
from validation.measure.layers import Layer, Point
from validation.measure.ranks import Ranks
from validation.measure.suites import cases_of
from workloads.layers.exchange import Arrived
from workloads.layers.overlap import in_turn
from workloads.zoo import tiny

torch.set_num_threads(1)
N_TOKENS, N_RANKS = 4, 2
# Ops that only name other parts of the same memory, or that make an empty tensor.
FREE = {
    "view", "_unsafe_view", "split", "split_with_sizes", "transpose", "unsqueeze", "squeeze", "slice", "expand", "t",
    "permute", "detach", "alias", "select", "as_strided", "empty", "unbind", "chunk", "lift_fresh", "_reshape_alias",
}  # fmt: skip
PER_ATTENTION = (
    "norm", "attention.q_a", "attention.q_norm", "attention.q_b", "attention.scale_query", "attention.rope_query",
    "attention.kv_a", "attention.kv_norm", "attention.scale_latent", "attention.rope_key", "attention.pack_entry",
    "attention.o",
)  # fmt: skip
ABSORBED = (
    "attention.cache_append", "attention.absorb_query", "attention.pack_query:absorbed", "attention_decode",
    "attention.absorb_value", "attention.merge_heads",
)  # fmt: skip
UNPACKED = (
    "attention.kv_b",
    "attention.unpack",
    "attention.pack_query:unpacked",
    "attention_prefill",
    "attention.merge_heads",
)
PER_FFN = ("norm", "dense_ffn.gate_up", "dense_ffn.act", "dense_ffn.down")
MOE = ("router", "moe.sort", "moe.count", "moe.permute", "moe.unpermute", "moe.identity")
RESIDUALS = ("residual",) * 5


class Called(TorchDispatchMode):
    """Counts the ops called, those that cost nothing and those of a marked module left out."""

    def __init__(self):
        super().__init__()
        self.ops, self.is_marked = Counter(), False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name.partition("::")[2]
        if name not in FREE and not self.is_marked:
            self.ops[name] += 1
        return func(*args, **(kwargs or {}))


def lab_of(dtype):
    sizes = Sizes(
        tokens=(N_TOKENS,), batches=(N_TOKENS,), contexts=(8,), prompts=(N_TOKENS,), tokens_per_expert=(3,),
        copy_bytes=(64,), message_bytes=(64,),
    )  # fmt: skip
    return Lab(spec=tiny(), device=torch.device("cpu"), dtype=dtype, sizes=sizes)


def calls(work):
    work()
    with torch.no_grad(), Called() as called:
        work()
    return called.ops


def calls_of_a_layer(lab, point, exchange=None):
    """Of one forward pass, without the experts, whose calls depend on their loads."""
    layer = Layer(lab=lab, zero="skip", exchange=exchange)
    with torch.no_grad():
        work, called = layer.work(in_turn, point), Called()
        experts = layer.block.moe.experts
        experts.register_forward_pre_hook(lambda *_: setattr(called, "is_marked", True))
        experts.register_forward_hook(lambda *_: setattr(called, "is_marked", False))
        with called:
            work()
    return called.ops


def calls_of_parts(lab, parts):
    attention = lab.spec.attention
    widths = {attention.kv_lora_rank: "absorbed", attention.qk_nope_head_dim: "unpacked"}
    known = {}
    for case in cases_of("quick", lab, Ranks()):
        name = case.kernel if case.op == "attention.core" else case.op
        if name == "attention.pack_query":
            name += f":{widths[case.shape['width'] - attention.qk_rope_head_dim]}"
        known[name] = case
    found = Counter()
    for part in parts:
        with torch.no_grad():
            found += calls(known[part].make())
    return found


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize(("point", "core"), [
    (Point(n_sequences=N_TOKENS, n_new=1, n_context=8), ABSORBED),
    (Point(n_sequences=1, n_new=N_TOKENS, n_context=N_TOKENS), UNPACKED),
], ids=["decode", "prefill"])  # fmt: skip
def test_the_parts_of_a_layer_are_its_cases(point, core, dtype):
    lab = lab_of(dtype)
    parts = 2 * (PER_ATTENTION + core + PER_FFN) + MOE + RESIDUALS
    assert calls_of_parts(lab, parts) == calls_of_a_layer(lab, point)


class Mirror:
    """An exchange of ranks that all send what this one sends."""

    n_ranks = N_RANKS

    def share_loads(self, load_N):
        return load_N.view(N_RANKS, -1)

    def send(self, rows_MD, _sent_R, _received_R):
        return Arrived(rows_MD)


def test_between_ranks_a_layer_also_regroups_its_rows():
    lab, point = lab_of("fp32"), Point(n_sequences=N_TOKENS, n_new=1, n_context=8)
    more = calls_of_a_layer(lab, point, Mirror()) - calls_of_a_layer(lab, point)
    assert more == calls_of_parts(lab, ("moe.regroup", "moe.ungroup"))
