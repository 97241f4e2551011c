"""Launch commands of a plan's replicas for SGLang and vLLM, and what these cannot express.

Flags as the two document them: docs.sglang.io "Server Arguments", "Expert Parallelism", "PD Disaggregation"; vLLM 0.12
docs "Expert Parallel Deployment" and `vllm serve --help`; drafts and other nodes as in LongCat-Flash's own deployment
guide (meituan-longcat/LongCat-Flash-Chat, docs/deployment_guide.md). None was run here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from simulator.planner.operating import Point
from simulator.planner.precisions import PRECISIONS
from simulator.planner.sizing import Plan
from workloads.model import ModelSpec

HUB: dict[str, str] = {
    "longcat_flash": "meituan-longcat/LongCat-Flash-Chat",
    "deepseek_v3": "deepseek-ai/DeepSeek-V3-0324",
    "kimi_k2": "moonshotai/Kimi-K2-Instruct",
    "qwen3_235b": "Qwen/Qwen3-235B-A22B",
    "mixtral_8x7b": "mistralai/Mixtral-8x7B-Instruct-v0.1",
}
IN_FP8: dict[str, str] = {  # checkpoints with FP8 weights, where they are others
    "longcat_flash": "meituan-longcat/LongCat-Flash-Chat-FP8",
    "qwen3_235b": "Qwen/Qwen3-235B-A22B-FP8",
}
_FP8_ALONE = ("deepseek_v3", "kimi_k2")  # published in FP8
_ROUTED = 4  # replicas of a pool that the router's command names; the rest follow alike
_TWO_BATCH = ("tbo", "tbo_five_stage", "tbo_phased")
_SCMOE = ("sbo", "sbo_one_stream", "two_stream", "prefill_pairs")


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How one pool starts: `pool`, `backend`, the `command` of one replica (on each of its nodes; words that begin with
    $ are to be filled in: $RANK of the node, its $FIRST_RANK_OF_NODE, $HEAD, the first node's address, and --headless
    for $HEADLESS_BUT_ON_HEAD on every other one), and what it `cannot` express."""

    pool: str
    backend: str
    n_replicas: int
    command: str
    cannot: Sequence[str]


def launches(plan: Plan, model: ModelSpec, model_path: str, node: int) -> list[Launch]:
    """Return the commands of each pool of a plan for both backends."""
    pools = [("prefill", plan.prefill, plan.n_prefill)] if plan.prefill else []
    pools.append(("decode" if plan.prefill else "replicas", plan.decode, plan.n_decode))
    before = router(plan)
    found = [before] if before else []
    return found + [
        Launch(pool=pool, backend=backend, n_replicas=n,
               command=_command(words(pool, point, path, node), model_path, point),
               cannot=[*cannot_express(backend, point, model), *_other_weights(model_path, point)])
        for pool, point, n in pools
        if point is not None
        for path in [_weights(model_path, point)]
        for backend, words in (("sglang", _sglang), ("vllm", _vllm))
    ]  # fmt: skip


def router(plan: Plan) -> Launch | None:
    """Return how SGLang's router in front of split pools starts; None where there is nothing to route by role."""
    if plan.prefill is None:
        return None
    words = ["python -m sglang_router.launch_router --pd-disaggregation"]
    words += [f"--prefill http://$PREFILL_{n}:30000 8998" for n in range(min(plan.n_prefill, _ROUTED))]
    words += [f"--decode http://$DECODE_{n}:30000" for n in range(min(plan.n_decode, _ROUTED))]
    more = plan.n_prefill > _ROUTED or plan.n_decode > _ROUTED
    return Launch(pool="router", backend="sglang", n_replicas=1, command=" ".join([*words, *(["…"] if more else [])]),
                  cannot=[])  # fmt: skip


def _command(words: Sequence[str], model_path: str, point: Point) -> str:
    return " ".join([*words, *_quantized(model_path, point)])


def _weights(model_path: str, point: Point) -> str:
    """The checkpoint in the plan's number format, where one is known."""
    published = IN_FP8 if _format(point) == "fp8" else {}
    return published.get(model_path) or HUB.get(model_path, model_path)


def _format(point: Point) -> str:
    return PRECISIONS[point.family.precision].weights


def _quantized(model_path: str, point: Point) -> list[str]:
    """Weights that are published in BF16 alone become FP8 when they are loaded."""
    is_other = model_path in HUB and model_path not in IN_FP8 and model_path not in _FP8_ALONE
    return ["--quantization fp8"] if is_other and _format(point) == "fp8" else []


def _other_weights(model_path: str, point: Point) -> list[str]:
    """What is to be said of weights that are not to be had as planned."""
    word = _format(point)
    if model_path not in HUB:
        known = "/" in model_path
        return [f"whether the weights at {model_path} are in {word}, as planned" if known else
                f"the place of {model_path}'s weights in {word}: put your own path in its place"]  # fmt: skip
    if word not in ("bf16", "fp8") or (word == "bf16" and model_path in _FP8_ALONE):
        return [f"weights in {word}: {HUB[model_path]} is published in FP8 or BF16; convert it first"]
    return []


def _sglang(pool: str, point: Point, path: str, node: int) -> list[str]:
    family = point.family
    layout, groups = family.layout, family.n_groups
    words = ["python -m sglang.launch_server", f"--model-path {path}", "--trust-remote-code"]
    words += [f"--tp-size {family.n_gpus}"]
    if groups > 1:
        words += [f"--dp-size {groups}", "--enable-dp-attention", "--enable-dp-lm-head"]
    if layout.ep > 1:
        words += [f"--ep-size {layout.ep}"]
    if layout.ep > 1 and not layout.replicated:
        words += ["--moe-a2a-backend deepep", f"--deepep-mode {_deepep(pool)}"]
    if layout.dense_tp == 1 and layout.ep > 1 and not layout.replicated:
        words += ["--moe-dense-tp-size 1"]
    if layout.n_redundant_experts:
        words += [f"--ep-num-redundant-experts {layout.n_redundant_experts}"]
    if layout.expert_placement != "contiguous":
        words += ["--enable-eplb"]
    if family.schedule in _TWO_BATCH:
        words += ["--enable-two-batch-overlap"]
    if family.n_draft:
        words += ["--speculative-algorithm EAGLE", f"--speculative-draft-model-path {path}",
                  f"--speculative-num-steps {family.n_draft}",
                  "--speculative-eagle-topk 1", f"--speculative-num-draft-tokens {family.n_draft + 1}"]  # fmt: skip
    if pool in ("prefill", "decode"):
        words += [f"--disaggregation-mode {pool}"]
    if pool != "prefill":
        words += [f"--max-running-requests {point.most_sequences * groups}"]
    if pool != "decode":
        words += [f"--chunked-prefill-size {family.prefill_tokens * groups}"]
    words += ["--page-size 64", *_kv_sglang(family.precision)]
    return [*words, *_nodes(family.n_gpus, node, "--nnodes", "--node-rank", "--dist-init-addr")]


def _deepep(pool: str) -> str:
    return {"prefill": "normal", "decode": "low_latency"}.get(pool, "auto")


def _kv_sglang(precision: str) -> list[str]:
    return ["--kv-cache-dtype fp8_e4m3"] if PRECISIONS[precision].kv == "fp8" else []


def _nodes(n_gpus: int, node: int, n_nodes: str, rank: str, address: str) -> list[str]:
    if n_gpus <= node:
        return []
    return [f"{n_nodes} {n_gpus // node}", f"{rank} $RANK", f"{address} $HEAD:5000"]


def _vllm(pool: str, point: Point, path: str, node: int) -> list[str]:
    family = point.family
    layout, groups = family.layout, family.n_groups
    words = [f"vllm serve {path}", "--trust-remote-code", f"--tensor-parallel-size {layout.attention_tp}"]
    if groups > 1:
        local = max(1, node // layout.attention_tp)
        words += [f"--data-parallel-size {groups}", f"--data-parallel-size-local {min(groups, local)}"]
    if layout.ep > 1:
        words += ["--enable-expert-parallel"]
    if layout.ep > 1 and not layout.replicated:
        words += [f"--all2all-backend {'deepep_high_throughput' if pool == 'prefill' else 'deepep_low_latency'}"]
    if layout.n_redundant_experts or layout.expert_placement != "contiguous":
        config = f'{{"num_redundant_experts": {layout.n_redundant_experts}}}'
        words += ["--enable-eplb", f"--eplb-config '{config}'"]
    if family.schedule in _TWO_BATCH:
        words += ["--enable-dbo"]
    if family.n_draft:
        words += [f"""--speculative-config '{{"method": "mtp", "num_speculative_tokens": {family.n_draft}}}'"""]
    if pool in ("prefill", "decode"):
        role = "kv_producer" if pool == "prefill" else "kv_consumer"
        words += [f"""--kv-transfer-config '{{"kv_connector": "NixlConnector", "kv_role": "{role}"}}'"""]
    if pool != "prefill":
        words += [f"--max-num-seqs {point.most_sequences}"]
    words += [f"--max-num-batched-tokens {family.prefill_tokens}", "--block-size 64"]
    if PRECISIONS[family.precision].kv == "fp8":
        words += ["--kv-cache-dtype fp8"]
    if family.n_gpus > node:
        words += ["--data-parallel-address $HEAD", "--data-parallel-rpc-port 13345",
                  "--data-parallel-start-rank $FIRST_RANK_OF_NODE", "$HEADLESS_BUT_ON_HEAD"]  # fmt: skip
    return words


def cannot_express(backend: str, point: Point, model: ModelSpec) -> list[str]:
    """Return what a backend's mainline has no words for, of this replica."""
    family = point.family
    layout, found = family.layout, []
    if family.schedule in _SCMOE:
        order = family.schedule.replace("_", " ")
        found.append(f"the {order} order: overlap over the ScMoE shortcut is not in mainline {backend}; its steps will "
                     "be longer than planned")  # fmt: skip
    if model.moe.n_zero_experts:
        found.append(f"zero experts that are never dispatched: mainline {backend} sends them to expert 0 (remap0)")
    if layout.dense_tp not in (1, layout.attention_tp, family.n_gpus) or (backend == "vllm" and layout.dense_tp !=
                                                                         layout.attention_tp):  # fmt: skip
        found.append(f"dense FFNs split over {layout.dense_tp} ranks beside attention over {layout.attention_tp}")
    if layout.moe_tp > 1 and layout.ep > 1:
        found.append("experts split by number and by width at once")
    if family.schedule == "tbo_phased":
        found.append("which phase of two-batch overlap is which")
    return found
