"""Launch commands: weights in the plan's format, one command for all nodes, a router before split pools."""

from math import nan

from simulator.planner.launch import launches
from simulator.planner.operating import Point
from simulator.planner.sizing import Plan
from simulator.planner.space import Family
from workloads.layout import Layout
from workloads.zoo import ZOO


def point(precision="fp8", n_gpus=16, role="decode", schedule="sequential"):
    family = Family(machine="h200_sxm", role=role, n_gpus=n_gpus, layout=Layout(ep=n_gpus), schedule=schedule,
                    precision=precision, n_draft=0, prefill_tokens=8192)  # fmt: skip
    return Point(family=family, rate_per_s=1.0, sequences=8.0, most_sequences=10, prompts_per_step=0.0, tpot_s=0.01,
                 ttft_s=nan, limited_by="tpot")  # fmt: skip


def commands(model, decode, prefill=None):
    plan = Plan(machine="h200_sxm", serving="split" if prefill else "together", decode=decode, n_decode=2, n_gpus=48,
                usd_per_gpu_hour=2.0, prefill=prefill, n_prefill=1 if prefill else 0)  # fmt: skip
    return launches(plan, ZOO[model](), model, 8)


def test_weights_are_in_the_format_of_the_plan():
    (fp8, _), (bf16, _) = (commands("qwen3_235b", point(word)) for word in ("fp8", "bf16"))
    assert "--model-path Qwen/Qwen3-235B-A22B-FP8 " in fp8.command
    assert "--model-path Qwen/Qwen3-235B-A22B " in bf16.command


def test_weights_published_in_bf16_alone_are_quantised_on_the_way_in():
    for launch in commands("mixtral_8x7b", point("fp8", n_gpus=8)):
        assert launch.command.endswith("--quantization fp8")
    for launch in commands("mixtral_8x7b", point("bf16", n_gpus=8)):
        assert "--quantization" not in launch.command


def test_formats_that_nobody_published_are_said():
    assert all("convert it first" in " ".join(launch.cannot) for launch in commands("deepseek_v3", point("bf16")))


def test_every_node_of_a_replica_has_its_words():
    sglang, vllm = commands("deepseek_v3", point(n_gpus=16))
    assert "--nnodes 2 --node-rank $RANK" in sglang.command
    assert "--data-parallel-size 16 --data-parallel-size-local 8" in vllm.command
    assert "$HEADLESS_BUT_ON_HEAD" in vllm.command


def test_sequences_and_prompt_tokens_are_of_the_whole_replica_for_sglang_and_of_a_group_for_vllm():
    sglang, vllm = commands("deepseek_v3", point(n_gpus=16))
    assert "--max-running-requests 160 " in sglang.command
    assert "--max-num-seqs 10 " in vllm.command
    assert "--chunked-prefill-size 131072 " in sglang.command
    assert "--max-num-batched-tokens 8192 " in vllm.command


def test_split_pools_have_a_router():
    found = commands("deepseek_v3", point(), point(role="prefill"))
    assert [launch.pool for launch in found] == ["router", "prefill", "prefill", "decode", "decode"]
    assert found[0].command.count("--prefill http") == 1
    assert found[0].command.count("--decode http") == 2


def test_what_mainlines_lack_for_longcat_is_said():
    for launch in commands("longcat_flash", point(schedule="sbo")):
        assert any("ScMoE shortcut" in words for words in launch.cannot)
        assert any("zero experts" in words for words in launch.cannot)
