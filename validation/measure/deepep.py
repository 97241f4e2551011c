"""Cases of DeepEP's all-to-alls (github.com/deepseek-ai/DeepEP, class Buffer): normal kernels over SM counts,
low-latency kernels with and without receive hook, alone and beside a matrix product.

T tokens, D hidden, K choices per token, R ranks. The library is not needed to import this module.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from hw_profiles.faults import Fault, InputFaults
from validation.measure.case import Case, Lab
from validation.measure.interference import product_work, products
from validation.measure.ranks import Ranks
from validation.measure.steady import Steady
from validation.measure.timing import Work

try:
    import deep_ep
except ImportError:
    deep_ep = None

SM_COUNTS = (8, 12, 16, 20, 24, 32)
LOW_LATENCY_TOKENS = 128  # a rank; more are a prefill's, for the normal kernels
BESIDE_TOKENS = 128  # rows of the product beside
ROUTING_SEED = 1


class Buffers:
    """DeepEP's buffer of this rank, made where it is first needed, between all ranks at once."""

    def __init__(self, lab: Lab, ranks: Ranks) -> None:
        self.lab, self.n_ranks, self.group = lab, ranks.n_ranks, dist.group.WORLD
        self.n_experts = (lab.whole or lab.spec).moe.n_routed_experts

    @cached_property
    def buffer(self) -> Any:  # noqa: ANN401  the library has no types
        """The buffer of all kernels, as large as the most SMs and the low-latency kernels want; queue pairs as in the
        library's own tests: per expert held and per SM."""
        library, hidden = deep_ep.Buffer, self.lab.spec.hidden
        library.set_num_sms(max(SM_COUNTS))
        configs = [make(self.n_ranks) for make in (library.get_dispatch_config, library.get_combine_config)]
        row_bytes = hidden * torch.bfloat16.itemsize
        nvl_bytes = max(config.get_nvl_buffer_size_hint(row_bytes, self.n_ranks) for config in configs)
        rdma_bytes = max(config.get_rdma_buffer_size_hint(row_bytes, self.n_ranks) for config in configs)
        ll_bytes = library.get_low_latency_rdma_size_hint(LOW_LATENCY_TOKENS, hidden, self.n_ranks, self.n_experts)
        n_pairs = max(self.n_experts // self.n_ranks, *SM_COUNTS)
        return library(
            self.group, nvl_bytes, max(rdma_bytes, ll_bytes), low_latency_mode=True, num_qps_per_rank=n_pairs
        )

    def clean(self) -> None:
        """Make the buffer fit for low-latency kernels after normal ones."""
        self.buffer.clean_low_latency_buffer(LOW_LATENCY_TOKENS, self.lab.spec.hidden, self.n_experts)

    def tokens(self, n_tokens: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return rows `x_TD`, their experts `ids_TK`, drawn at random without repeats, and even `weights_TK`."""
        top_k, device = self.lab.spec.moe.top_k, self.lab.device
        generator = torch.Generator(device).manual_seed(ROUTING_SEED + self.lab.rank)
        scores_TN = torch.rand(n_tokens, self.n_experts, device=device, generator=generator)
        ids_TK = scores_TN.topk(top_k, dim=-1).indices
        weights_TK = torch.full((n_tokens, top_k), 1.0 / top_k, device=device)
        return self.lab.random(n_tokens, self.lab.spec.hidden).bfloat16(), ids_TK, weights_TK


def deepep_cases(lab: Lab, ranks: Ranks) -> Iterator[Case]:
    """Yield dispatch and combine over tokens, by every kernel, alone and beside the products of the model's FFN.

    Rows of BF16, experts of the whole model; `moved_bytes` is None, as copies to one rank travel once. InputFaults
    where the library is missing or there is one process.
    """
    check(lab.device, ranks)
    buffers = Buffers(lab, ranks)
    for n_tokens in lab.sizes.tokens:
        shape = {"tokens": n_tokens, "hidden": lab.spec.hidden, "top_k": lab.spec.moe.top_k,
                 "experts": buffers.n_experts, "ranks": ranks.n_ranks}  # fmt: skip
        for n_sms in SM_COUNTS:
            for step, make in (("dispatch", normal_dispatch), ("combine", normal_combine)):
                work = partial(make, buffers, n_tokens, n_sms)
                yield from _alone_and_beside(lab, f"deepep.normal_{step}", shape | {"sms": n_sms}, work)
        if n_tokens <= LOW_LATENCY_TOKENS:
            for has_hook in (False, True):
                for step, start in (("dispatch", low_latency_dispatch), ("combine", low_latency_combine)):
                    work = partial(start, buffers, n_tokens, has_hook=has_hook)
                    yield from _alone_and_beside(lab, f"deepep.ll_{step}", shape | {"hook": int(has_hook)}, work)


def check(device: torch.device, ranks: Ranks) -> None:
    """Raise InputFaults for everything that DeepEP lacks here."""
    faults = []
    if device.type != "cuda":
        faults.append(Fault(field="--device", got=f"{device.type!r} for --suite deepep", allowed="cuda",
                            remedy="choose --suite collectives here"))  # fmt: skip
    if getattr(deep_ep, "Buffer", None) is None:
        faults.append(Fault(field="--suite", got="'deepep' without the class deep_ep.Buffer",
                            allowed="a node with DeepEP",
                            remedy="install github.com/deepseek-ai/DeepEP or choose --suite collectives"))  # fmt: skip
    if ranks.n_ranks == 1:
        faults.append(Fault(field="--suite", got="'deepep' in one process", allowed="two ranks or more",
                            remedy="start it as: torchrun --nproc-per-node 8 -m validation.measure …"))  # fmt: skip
    if faults:
        raise InputFaults(faults)


def normal_dispatch(buffers: Buffers, n_tokens: int, n_sms: int) -> Work:
    """Return the dispatch by kernels that hold `n_sms` SMs; the layout is computed before."""
    x_TD, ids_TK, weights_TK = buffers.tokens(n_tokens)
    to_rank, to_node, to_expert, is_in_rank, _ = buffers.buffer.get_dispatch_layout(ids_TK, buffers.n_experts)

    def work() -> object:
        deep_ep.Buffer.set_num_sms(n_sms)
        return buffers.buffer.dispatch(
            x_TD, num_tokens_per_rank=to_rank, num_tokens_per_rdma_rank=to_node, is_token_in_rank=is_in_rank,
            num_tokens_per_expert=to_expert, topk_idx=ids_TK, topk_weights=weights_TK,
            config=deep_ep.Buffer.get_dispatch_config(buffers.n_ranks),
        )  # fmt: skip

    return work


def normal_combine(buffers: Buffers, n_tokens: int, n_sms: int) -> Work:
    """Return the combine of what one dispatch received, by kernels that hold `n_sms` SMs."""
    received: Any = normal_dispatch(buffers, n_tokens, n_sms)()
    rows_MD, _, weights_MK, _, handle, _ = received

    def work() -> object:
        deep_ep.Buffer.set_num_sms(n_sms)
        config = deep_ep.Buffer.get_combine_config(buffers.n_ranks)
        return buffers.buffer.combine(rows_MD, handle, topk_weights=weights_MK, config=config)

    return work


def low_latency_dispatch(buffers: Buffers, n_tokens: int, *, has_hook: bool) -> Work:
    """Return the low-latency dispatch; with a hook it is sent, then received by a call of its own."""
    x_TD, ids_TK, _ = buffers.tokens(n_tokens)
    buffers.clean()

    def work() -> object:
        received = buffers.buffer.low_latency_dispatch(
            x_TD, ids_TK, LOW_LATENCY_TOKENS, buffers.n_experts, use_fp8=False, return_recv_hook=has_hook
        )
        if has_hook:
            received[-1]()
        return received

    return work


def low_latency_combine(buffers: Buffers, n_tokens: int, *, has_hook: bool) -> Work:
    """Return the low-latency combine of what one dispatch received."""
    _, ids_TK, weights_TK = buffers.tokens(n_tokens)
    received: Any = low_latency_dispatch(buffers, n_tokens, has_hook=False)()
    rows_GMD, _, handle, _, _ = received

    def work() -> object:
        combined = buffers.buffer.low_latency_combine(rows_GMD, ids_TK, weights_TK, handle, return_recv_hook=has_hook)
        if has_hook:
            combined[-1]()
        return combined

    return work


def _alone_and_beside(lab: Lab, op: str, shape: Mapping[str, int], make: Callable[[], Work]) -> Iterator[Case]:
    """Once alone; once beside each product, which is kept going on every rank."""
    yield Case(kernel="deepep", op=op, shape=shape, dtype="bf16", make=make)
    for n, k in products(lab):
        gemm = partial(product_work, lab, BESIDE_TOKENS, n, k)
        yield Case(
            kernel="deepep", op=f"{op}_beside.gemm", dtype="bf16", make=make,
            shape={**shape, "m": BESIDE_TOKENS, "n": n, "k": k}, beside=partial(_kept_going, lab, gemm),
        )  # fmt: skip


def _kept_going(lab: Lab, make: Callable[[], Work]) -> Steady:
    return Steady(make(), lab.device)
