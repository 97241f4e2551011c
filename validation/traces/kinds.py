"""What an op of a profiler trace is for: by the name of an annotation, else of the kernel or the operator."""

import re
from functools import lru_cache

PROFILER_STEP = re.compile(r"^ProfilerStep#(\d+)$")
_LAYER = re.compile(r"^layers?[ ._:#-]?(\d+)(?:[./: ](.+))?$", re.IGNORECASE)
_HALF = re.compile(r"@\w+$")
_COLLECTIVE = r"(all_gather|reduce_scatter|all_reduce)"

_ANNOTATED = (
    (r"mtp\d*\.(?:.*\.)?(dispatch|combine)(\.|$)", r"\1"),
    (rf"mtp\d*\.(mla|gqa|attention)\d*\.{_COLLECTIVE}$", "attention_tp"),
    (rf"mtp\d*\.(ffn|dense_ffn)\d*\.{_COLLECTIVE}$", "dense_tp"),
    (r"mtp\d*(\.|$)", "mtp"),
    (rf"(mla|gqa|attention)\d*\.{_COLLECTIVE}$", "attention_tp"),
    (r"(mla|gqa|attention)\d*\.(post_)?norm$", "norm"),
    (r"(mla|gqa|attention)\d*(\.|$)", "attention"),
    (rf"(ffn|dense_ffn)\d*\.{_COLLECTIVE}$", "dense_tp"),
    (r"(ffn|dense_ffn)\d*(\.|$)", "dense_ffn"),
    (r"(router|dispatch|combine|experts|embedding|lm_head|sampling|p2p)(\.|$)", r"\1"),
    (r"shared(_experts)?(\.|$)", "shared_experts"),
    (r"(final_)?norm(\.|$)", "norm"),
    (r"(merge|residual)(\.|$)", "residual"),
)
"""Names of our ops (workloads/lowering) to their kinds; the first that matches."""

_BY_NAME = (
    # Communication first: a library's dispatch kernel may speak of GEMMs too.
    (r"(deep_?ep|internode|intranode|nvshmem|a2a|moe).*dispatch", "dispatch"),
    (r"(deep_?ep|internode|intranode|nvshmem|a2a|moe).*combine", "combine"),
    (r"send_?recv|c10d::(send|recv)|:(send|recv)$|ptop", "p2p"),
    (r"nccl|rccl|gloo|nvshmem|c10d::|all_?to_?all|all_?gather|reduce_?scatter|all_?reduce|record_param_comms",
     "collective"),
    (r"^mem(cpy|set)|aten::(copy_|to|clone|contiguous|fill_|zero_)$", "copy"),
    (r"flash|fmha|attention|\bmla\b|_mla_", "attention"),
    (r"gemm|gemv|cutlass|cublas|xmma|matmul|nvjet|aten::(addmm|baddbmm|bmm|linear|mm|einsum|mv)$", "gemm"),
    (r"norm", "norm"),
    (r"top_?k", "router"),
    (r"elementwise|aten::(add|sub|mul|div|silu|sigmoid|softmax|exp|rsqrt|pow)_?$", "elementwise"),
)  # fmt: skip
"""Names of kernels and operators to kinds, without regard to case; the first that is found, else `OTHER`."""
OTHER = "other"

_annotated = tuple((re.compile(pattern), kind) for pattern, kind in _ANNOTATED)
_by_name = tuple((re.compile(pattern, re.IGNORECASE), kind) for pattern, kind in _BY_NAME)
_RANGES_OF_COLLECTIVES = re.compile(r"^(gloo|mpi|ucc|nccl):")


@lru_cache(maxsize=4096)  # a trace says the same few words a hundred thousand times
def layer_of(annotation: str) -> tuple[int, str]:
    """Return the layer that an annotation names (-1: none) and what else it says: "layer3.mla0.q_b" says both."""
    found = _LAYER.match(annotation)
    return (int(found[1]), found[2] or "") if found else (-1, annotation)


@lru_cache(maxsize=4096)
def kind_of_annotation(name: str) -> str:
    """Return the kind of an annotation named like one of our ops, "" where it is not."""
    whole = _HALF.sub("", name)
    return next((found.expand(kind) for pattern, kind in _annotated if (found := pattern.match(whole))), "")


def kind_of_name(name: str) -> str:
    """Return the kind that the name of a kernel or an operator tells, `OTHER` where it tells none."""
    return next((kind for pattern, kind in _by_name if pattern.search(name)), OTHER)


def is_collective_range(name: str) -> bool:
    """Whether an annotation is a collective at work, which a process group marks as a range of its own."""
    return _RANGES_OF_COLLECTIVES.match(name) is not None
