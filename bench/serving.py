"""Serving requests: whole processes (a dense model, 100,000 of LongCat on 128 GPUs, pools apart) and the loop alone."""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from process import peak_mb, wall_s

from simulator.serving.knobs import BackendKnobs
from simulator.serving.replay import replay
from simulator.serving.step_times import DecodeLine, GroupBatch, StepBatch
from workloads.batch import Mtp
from workloads.traffic.requests import Requests

ROUNDS = 3
LLAMA_8B = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 4096, "intermediate_size": 14336,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
    "vocab_size": 128256, "tie_word_embeddings": False, "hidden_act": "silu",
}  # fmt: skip
DENSE = """model = "{folder}"
machine = "h100_sxm"
n_gpus = 1
precision = {{ weights = "bf16", attention_weights = "bf16" }}
"""
# Azure's conversation trace of 2023: mean prompt 1,155 and output 211 tokens, here as lognormals of its spread
CONVERSATIONS = ("--prompt", "lognormal:1155,cv=0.96", "--output", "lognormal:211,cv=0.77")


class Lines:
    """Step times of a line: what is left is the loop."""

    def seconds(self, batch: StepBatch) -> float:
        """Return the seconds of a step [s]."""
        return 0.006 + 1e-8 * batch.decode_context_tokens + 1e-5 * batch.n_decode + 2e-5 * batch.prefill_tokens

    def decode_line(
        self, n_decode: int, decode_context_tokens: int, longest_decode_tokens: int = 0,
        fullest: GroupBatch | None = None,
    ) -> DecodeLine:  # fmt: skip
        """Return one line for every context."""
        del decode_context_tokens, longest_decode_tokens, fullest
        return DecodeLine(from_tokens=0, until_tokens=1e18, at_s=0.006 + 1e-5 * n_decode, s_per_token=1e-8)


def iterations_per_s(mtp: Mtp) -> float:
    """Return the steps per second of the loop alone: 10,000 requests at 4/s, 1,024 tokens in, 128 out."""
    n, rng = 10_000, np.random.default_rng(0)
    requests = Requests(
        arrival_s_N=np.cumsum(rng.exponential(0.25, n)), prompt_tokens_N=np.full(n, 1024),
        output_tokens_N=np.full(n, 128), session_N=np.full(n, -1),
    )  # fmt: skip
    best = 0.0
    for _ in range(ROUNDS):
        began_s = time.perf_counter()
        run = replay(iter([requests]), knobs=BackendKnobs(), step_times=Lines(), kv_blocks=28_000, mtp=mtp)
        best = max(best, run.n_steps / (time.perf_counter() - began_s))
    return best


def measure() -> dict[str, float]:
    """Return the figures; whole processes are the best of three."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "config.json").write_text(json.dumps(LLAMA_8B), encoding="utf-8")
        (root / "dense.toml").write_text(DENSE.format(folder=folder), encoding="utf-8")
        replaying = [sys.executable, "-m", "longsim", "replay"]
        dense = [
            *replaying, str(root / "dense.toml"), "--requests", "poisson:4", "--count", "10000", "--prompt",
            "fixed:1024", "--output", "fixed:128", "--out", str(root / "tables"),
        ]  # fmt: skip
        longcat = [*replaying, "longcat-flash-decode-h800x128", "--set", "serving.max_num_seqs=256", *CONVERSATIONS]
        many, half = ([*longcat, "--requests", "poisson:300", "--count", n] for n in ("100000", "50000"))
        many_s, half_s = wall_s(many), wall_s(half)
        split = [
            *replaying, "deepseek-v3-split-h200x80", "--requests", "poisson:20", "--count", "10000", "--prompt",
            "fixed:4096", "--output", "fixed:512",
        ]  # fmt: skip
        return {
            "serving.dense_10k_s": min(wall_s(dense) for _ in range(ROUNDS)),
            "serving.dense_10k_peak_mb": peak_mb(dense),
            "serving.iterations_per_s": iterations_per_s(Mtp()),
            "serving.iterations_with_drafts_per_s": iterations_per_s(Mtp(n_draft=3, acceptance=[0.8, 0.6, 0.4])),
            "serving.longcat_100k_s": many_s,
            "serving.longcat_100k_peak_mb": peak_mb(many),
            "serving.longcat_growth": many_s / half_s,
            "serving.split_10k_s": min(wall_s(split) for _ in range(ROUNDS)),
            "serving.split_10k_peak_mb": peak_mb(split),
        }
