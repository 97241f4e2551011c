"""Presets and deployments: every knob has its value and its source, every mistake its words."""

import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

import simulator.serving
from hw_profiles.faults import InputFaults
from simulator.scenario import load_scenario
from simulator.serving.deployment import deployment
from simulator.serving.knobs import Deployed, list_presets, load_knobs

PRESETS = Path(simulator.serving.__file__).parent / "presets"
LONGCAT = "longcat-flash-decode-h800x128"


@pytest.mark.parametrize("preset", list_presets())
def test_a_preset_names_its_version_and_a_source_for_each_of_its_knobs(preset):
    knobs = load_knobs(preset)
    assert knobs.version
    assert set(knobs.sources) <= {field.name for field in fields(knobs)}
    backend_s = tomllib.loads((PRESETS / f"{preset}.toml").read_text(encoding="utf-8"))
    stated = set(backend_s) - {"name", "version", "sources", "device", "several_groups"}
    assert stated == set(knobs.sources)


def on(gpu, gib, n_groups=1):
    return Deployed(gpu=gpu, memory_bytes=gib * 2**30, n_groups=n_groups)


@pytest.mark.parametrize(
    ("preset", "deployed", "expected"),
    [
        ("vllm", on("H100", 79), (1024, 8192, 0.9)),
        ("vllm", on("L40", 45), (256, 2048, 0.9)),
        ("vllm", on("A100 SXM4 80GB", 79), (256, 2048, 0.9)),
        ("sglang", on("H100", 79), (2048, 8192, 0.835)),
        ("sglang", on("L40", 45), (2048, 4096, 0.851)),
        ("sglang", on("B200", 179), (2048, 16384, 0.857)),
        ("sglang", on("H100", 79, n_groups=8), (2048, 1024, 0.835)),
    ],
)
def test_defaults_follow_the_device_and_its_attention_groups(preset, deployed, expected):
    knobs = load_knobs(preset, on=deployed)
    assert (knobs.max_num_seqs, knobs.max_batched_tokens, knobs.gpu_memory_share) == expected


def test_a_version_has_its_own_preset():
    assert [load_knobs(p).async_scheduling for p in ("vllm", "vllm-0.10")] == [True, False]
    with pytest.raises(InputFaults, match=r"serving\.version: got '0\.10'; .*vllm-0\.10"):
        load_knobs("vllm", {"version": "0.10"})


def test_a_share_of_weights_and_cache_alone_leaves_the_activations_out():
    blocks = [deployment(load_scenario(LONGCAT, [f"serving.memory_share_of={of}"])).kv_blocks
              for of in ("all", "weights_and_kv")]  # fmt: skip
    assert blocks[0] < blocks[1]


def test_a_knob_that_was_asked_for_says_so():
    knobs = load_knobs("vllm", {"max_num_seqs": 7})
    assert (knobs.max_num_seqs, knobs.sources["max_num_seqs"]) == (7, "asked for")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["serving.max_num_seq=4"], "serving.max_num_seq"),
        (["serving.max_num_seqs=0"], "serving.max_num_seqs: got 0; allowed at least 1"),
        (["serving.gpu_memory_share=1.5"], "serving.gpu_memory_share: got 1.5; allowed 0 to 1"),
        (["serving.policy=random"], "serving.policy"),
        (["serving.backend=vlm"], "did you mean 'vllm'?"),
        (["serving.router=roundrobin"], "did you mean 'round_robin'?"),
        (["serving.n_replicas=0"], "serving.n_replicas: got 0; allowed a whole number, at least 1"),
        (["serving.gpu_memory_share=0.1"], "are needed beside the KV cache"),
    ],
)
def test_a_mistake_is_named(settings, words):
    with pytest.raises(InputFaults) as found:
        deployment(load_scenario(LONGCAT, settings))
    assert words in str(found.value)


def test_the_kv_room_is_what_weights_buffers_and_activations_leave():
    """Blocks twice as long are half as many; a tenth of the GPU less is a tenth of its bytes less of KV."""
    one, wide = (deployment(load_scenario(LONGCAT, [f"serving.block_tokens={n}"])) for n in (16, 32))
    assert wide.kv_blocks == pytest.approx(one.kv_blocks / 2, abs=1)
    more = deployment(load_scenario(LONGCAT, ["serving.gpu_memory_share=0.8"]))
    gpu_bytes = load_scenario(LONGCAT).profile.device.hbm_bytes
    fewer = (one.kv_blocks - more.kv_blocks) * 16 * one.kv_bytes_per_token
    assert fewer == pytest.approx(0.1 * gpu_bytes, abs=2 * 16 * one.kv_bytes_per_token)


def test_asked_for_blocks_are_taken_as_they_are():
    assert deployment(load_scenario(LONGCAT, ["serving.kv_blocks=123"])).kv_blocks == 123
