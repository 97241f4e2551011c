"""A small folder as a recorded run leaves it: a toy model whose step of T tokens takes 20 T + 7 µs."""

import json

import pytest

CONFIG = {
    "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 128, "vocab_size": 100, "tie_word_embeddings": False,
}  # fmt: skip
META = {
    "model": "toy", "vllm_version": "0.19.0",
    "engine_kwargs": {"tensor_parallel_size": 1, "data_parallel_size": 1, "max_num_seqs": 4,
                      "max_num_batched_tokens": 32, "max_model_len": None, "enforce_eager": True},
}  # fmt: skip
DENSE = {"embedding": (0.5, 0.5), "final_layernorm": (0.5, 0.5), "layernorm": (0.5, 0.5), "qkv_proj": (10.0, 1000.0)}
# Arrivals 0 and 50 µs, prompts of 4 and 2 tokens, answers of 3 and 2. By hand: the first prompt alone takes 87 µs; its
# decode with the second prompt, 3 tokens, 67 µs; two decodes 47 µs.
REQUESTS = [(4, 3, 0.0, 87e-6, 201e-6), (2, 2, 50e-6, 154e-6, 201e-6)]


def write_tables(folder, degree=1, moe=None):
    """Kernel tables linear in tokens: qkv 10 µs a token, every attention 1 µs, LM head and sampler 1 µs each."""
    (folder / "profile_meta.yaml").write_text("gpu: Toy GPU\nmodel: toy\n")
    dense = ["layer,tokens,time_us"]
    dense += [
        f"{name},{tokens},{us}" for name, ends in DENSE.items() for tokens, us in zip((1, 100), ends, strict=True)
    ]
    (folder / f"tp{degree}_dense.csv").write_text("\n".join(dense))
    heads = [f"{name},{sequences},1.0" for name in ("lm_head", "sampler") for sequences in (1, 8)]
    (folder / f"tp{degree}_per_sequence.csv").write_text("\n".join(["layer,sequences,time_us", *heads]))
    shapes = [(0, 0, 1, 16), (0, 0, 4, 16), (0, 0, 1, 64), (0, 0, 4, 64), (16, 0, 0, 0), (16, 64, 0, 0), (64, 0, 0, 0),
              (16, 0, 1, 16), (16, 0, 4, 16), (64, 0, 1, 16), (64, 0, 4, 16)]  # fmt: skip
    lines = [",".join(map(str, [*shape, 1.0])) for shape in shapes]
    header = "prefill_chunk,kv_prefill,n_decode,kv_decode,time_us"
    (folder / f"tp{degree}_attention.csv").write_text("\n".join([header, *lines]))
    if moe:
        rows = [",".join(map(str, row)) for row in moe]
        (folder / f"tp{degree}_moe.csv").write_text("\n".join(["tokens,activated_experts,time_us", *rows]))
    return folder


@pytest.fixture
def run_folder(tmp_path):
    """A recorded run of the two requests, with its tables."""
    folder = tmp_path / "toy_run"
    folder.mkdir()
    write_tables(folder)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "meta.json").write_text(json.dumps(META))
    lines = [
        {"input_toks": prompt, "output_toks": output, "arrival_time": 1000.0 + arrival, "queued_ts": 5.0 + arrival,
         "first_token_ts": 5.0 + first, "last_token_ts": 5.0 + last}
        for prompt, output, arrival, first, last in REQUESTS
    ]  # fmt: skip
    (folder / "requests.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (folder / "timeseries.csv").write_text("t,running,waiting,kv_cache_pct\n0.0001,2,0,50.0\n0.0002,1,0,25.0\n")
    return folder
