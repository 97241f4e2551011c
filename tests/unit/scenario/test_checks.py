"""Every fault of sense in words: field, what it got, what is allowed, what to do."""

from dataclasses import replace

import pytest

from hw_profiles.faults import InputFaults
from hw_profiles.loader import load_profile
from simulator.scenario import build_scenario, load_scenario
from simulator.scenario_checks import check_scenario

BASE = {"model": "longcat_flash", "machine": "h800_sxm", "n_gpus": 128, "layout": {"ep": 128}}
DIVIDES = "it has to divide"
FORMATS = ("weights", "attention_weights", "attention", "kv", "dispatch", "combine")
IN_BF16 = ("run.backend=torch", *(f"precision.{name}=bf16" for name in FORMATS))

# settings, field, got, allowed, remedy
FAULTS = (
    (["n_gpus=0"], "n_gpus", "0", "1 to 100000", "write the number of GPUs"),
    (["n_gpus=12", "layout.ep=4"], "n_gpus", "12", "up to 8, or a multiple of 8", "use whole nodes of h800_sxm"),
    (["n_gpus=4096"], "n_gpus", "4096", "up to 2048 (h800_sxm's fabric)", "raise fabric.max_devices"),
    (["batch.sequences_per_gpu=-1"], "batch.sequences_per_gpu", "-1", "0.001 to 100000", "write a number"),
    (["batch.sequences_per_gpu=inf"], "batch.sequences_per_gpu", "inf", "0.001 to 100000", "write a number in this"),
    (["batch.context_tokens=nan"], "batch.context_tokens", "nan", "0 to 1e+08", "write a number in this range"),
    (["batch.context_cv=-0.1"], "batch.context_cv", "-0.1", "0 to 10", "write a number in this range"),
    (["batch.max_dispatch_tokens=-1"], "batch.max_dispatch_tokens", "-1", "0 to 1e+06", "write a number in this range"),
    (["batch.max_dispatch_tokens=95"], "batch.max_dispatch_tokens", "95", "0, or at least this batch's 96", "raise it"),
    (["batch.prompt_tokens=-1"], "batch.prompt_tokens", "-1", "0 to 1e+07", "write a number in this range"),
    (["phase=prefill"], "batch.prompt_tokens", "0", "at least 1 when phase is prefill", "write the new tokens"),
    (["phase=train"], "phase", "'train'", "decode, prefill", "training steps are not modelled yet"),
    (["seed=-1"], "seed", "-1", "0 to 9.22337e+18", "write a number in this range"),
    (["run.compute_sms=-1"], "run.compute_sms", "-1", "0 to 10000", "write a number in this range"),
    (["run.compute_sms=133"], "run.compute_sms", "133", "0 to 132", "h800_sxm has 132 SMs; 0 takes all"),
    (["routing.popularity=trace:none.npz"], "routing.popularity",
     "'trace:none.npz' (none.npz: No such file or directory)", "a routing trace recorded by the layers",
     "check the file"),
    (["run.parts=[]"], "run.parts", "[]", "layers, lm_head, mtp, sampling", "name at least one"),
    (["schedule=sb"], "schedule", "'sb'", "prefill_pairs, sbo, sbo_one_stream, sequential", "did you mean 'sbo'?"),
    (["schedule=prefill_pairs"], "schedule", "'prefill_pairs'", "sequential, tbo, ", "set phase = \"prefill\" or"),
    (["model=deepseek_v3", "schedule=sbo"], "schedule", "'sbo'", "sequential, tbo, tbo_five_stage, tbo_phased (deep",
     "or a ScMoE model"),
    (["routing.popularity=even"], "routing.popularity", "'even'", "balanced, power_law:ALPHA, lognormal:SIGMA, counts:",
     "write one of these forms"),
    (["routing.popularity=balanced:3"], "routing.popularity", "'balanced:3'", "balanced, power_law", "write one of"),
    (["routing.popularity=power_law"], "routing.popularity", "'power_law'", "power_law:ALPHA", "write one of"),
    (["routing.popularity=power_law:x"], "routing.popularity", "'power_law:x'", "0 < ALPHA <= 10", "power_law:1.01"),
    (["routing.popularity=power_law:-1"], "routing.popularity", "'power_law:-1'", "0 < ALPHA <= 10", "power_law:1.01"),
    (["routing.popularity=lognormal:x"], "routing.popularity", "'lognormal:x'", "0 < SIGMA <= 5", "lognormal:1.1"),
    (["routing.drift=-0.1"], "routing.drift", "-0.1", "0 to 2", "write 0, or such as 0.1"),
    (["routing.ffn_experts.mean=13.0"], "routing.ffn_experts.mean", "13", "0 (the model's own) to 12", "write the m"),
    (["routing.ffn_experts=beta_binomial"], "routing.ffn_experts.std", "0", "1.63 to 5.66, ends excluded",
     "LongCat's published figure is 3"),
    (['routing.ffn_experts={kind="beta_binomial", mean=12.0, std=3.0}'], "routing.ffn_experts.mean", "12",
     "0 to 12, ends excluded", "choose kind = \"fixed\""),
    (["mtp.n_draft=-1"], "mtp.n_draft", "-1", "0 to 16", "write the drafts per step"),
    (["mtp.n_draft=2", "mtp.acceptance=[0.9, 0.8]"], "mtp.n_draft", "2", "0 to 1 (longcat_flash's draft heads)", "lo"),
    (["mtp.n_draft=1"], "mtp.acceptance", "[]", "one probability per draft", "write 1 of them"),
    (["mtp.n_draft=1", "mtp.acceptance=[90.0]"], "mtp.acceptance", "[90.0]", "probabilities from 0 to 1",
     "write shares, not per cent"),
    (["layout.ep=12"], "layout.ep", "12", "1, 2, 4, 8, 16, 32, 64, 128", f"{DIVIDES} n_gpus=128, n_routed_experts=512"),
    (["layout.attention_tp=3"], "layout.attention_tp", "3", "1, 2, 4, 8", f"{DIVIDES} n_gpus=128, n_heads=64"),
    (["layout.dense_tp=0"], "layout.dense_tp", "0", "1, 2, 4, 8", DIVIDES),
    (["layout.cp=2"], "layout.cp", "2", "1", "not modelled yet"),
    (["layout.pp=2"], "layout.pp", "2", "1", "not modelled yet"),
    (["layout.n_redundant_experts=4"], "layout.ep", "128", "1, 2, 4", "n_routed_experts + n_redundant_experts=516"),
    (["layout.n_redundant_experts=-128"], "layout.n_redundant_experts", "-128", "0 to 65024", "at most once on each"),
    (["layout.n_redundant_experts=65152"], "layout.n_redundant_experts", "65152", "0 to 65024", "at most once on each"),
    (["layout.n_expert_groups=8"], "layout.n_expert_groups", "8", "0 unless", "leave it out"),
    (["layout.expert_placement=eplb_hierarchical", "layout.n_expert_groups=8"], "layout.n_expert_groups", "8",
     "16, 32, 64, 128, 256, 512", "16 nodes the groups"),
    (["layout.placement_loads=stale:3"], "layout.placement_loads", "'stale:3'", "true, window:STEPS", "window:10"),
    (["layout.placement_loads=window:0"], "layout.placement_loads", "'window:0'", "true, window:STEPS", "window:10"),
    (["layout.rebalance_every_steps=-1"], "layout.rebalance_every_steps", "-1", "0 (never)", "between two"),
    (["layout.rebalance_every_steps=9", "layout.expert_placement=eplb"], "layout.rebalance_every_steps", "9",
     "placement_loads = ", "nothing would ever move"),
    (["run.backend=torch"], "precision", "'fp8, bf16'", "one of fp32, bf16 for every one of them", "or the backend"),
    ([*IN_BF16, "layout.dense_tp=2"], "layout.dense_tp", "'2'", "1 (backend torch)", "change it"),
    ([*IN_BF16, "model=deepseek_v3", "schedule=tbo"], "model", "'deepseek_v3'", "ScMoE models with MLA", "change it"),
    (["machine_overrides.fabric.n_layers=2.5"], "machine_overrides.fabric.n_layers", "2.5", "whole numbers", "write"),
    (["precision.attention=fp8"], "precision.attention", "'fp8'", "bf16 on h800_sxm", "choose one of these, or"),
    (["model=longcat"], "model", "'longcat'", "deepseek_v3, ", "did you mean"),
    (["machine=h8000_sxm"], "machine", "'h8000_sxm'", "a100_sxm, ", "did you mean 'h800_sxm'?"),
    (["model_overrides.hiden=3"], "model_overrides.hiden", "'hiden'", "attention, ", "did you mean 'hidden'?"),
    (["model_overrides.moe.topk=3"], "model_overrides.moe.topk", "'topk'", "top_k", "did you mean 'top_k'?"),
    (["model_overrides.hidden.x=3"], "model_overrides.hidden.x", "'x'", "none", "use one of"),
    (["model_overrides.hidden=big"], "model_overrides.hidden", "'big'", "whole numbers, as in 6144", "write one"),
    (["model_overrides.hidden=0.5"], "model_overrides.hidden", "0.5", "whole numbers, as in 6144", "write one"),
    (["model_overrides.hidden=true"], "model_overrides.hidden", "True", "whole numbers, as in 6144", "write one"),
    (["model_overrides.tied_embeddings=1"], "model_overrides.tied_embeddings", "1", "true, false", "write one"),
    (["model_overrides.title=1"], "model_overrides.title", "1", "words, as in LongCat-Flash", "write one"),
    (["model_overrides.block=moo"], "model_overrides.block", "'moo'", "scmoe, moe", "write one of these"),
    (["model_overrides.moe=3"], "model_overrides.moe", "3", "moe.n_routed_experts, moe.n_zero_experts", "write one"),
    (["model_overrides.ngram=3"], "model_overrides.ngram", "3", "nothing: there is no ngram", "write one"),
    (["model_overrides.n_layers=0"], "model_overrides.n_layers", "0", "1 to 100000000", "write a size"),
    (["model=deepseek_v3", "model_overrides.moe.n_expert_groups=7"], "model_overrides.moe.n_expert_groups", "7",
     "1 or more, dividing moe.n_routed_experts, 256", "set it together"),
    (["model=deepseek_v3", "model_overrides.moe.n_limited_groups=9"], "model_overrides.moe.n_limited_groups", "9",
     "1 to moe.n_expert_groups, 8", "raise it"),
    (["model_overrides.moe.n_expert_groups=8"], "model_overrides.moe.n_limited_groups", "1",
     "no limit beside zero experts", "set it to"),
    (["model_overrides.moe.top_k=600"], "model_overrides.moe.top_k", "600", "up to moe.n_routed_experts, 512", "lower"),
    (["model_overrides.moe.top_k=4"], "model_overrides.moe.mean_ffn_experts", "8", "0 to moe.top_k, 4", "set it"),
    (["model_overrides.n_dense_layers=3"], "model_overrides.n_dense_layers", "3", "0 to 0", "lower it"),
    (["model_overrides.shortcut=4"], "model_overrides.shortcut", "4", "0, 1, 2, 3", "write one of these"),
    (["model=deepseek_v3", "model_overrides.shortcut=2"], "model_overrides.shortcut", "2",
     "nothing: deepseek_v3 has block 'moe'", "choose a ScMoE model"),
    (["phase=prefill", "batch.prompt_tokens=8", "schedule=prefill_pairs", "model_overrides.shortcut=3"],
     "model_overrides.shortcut", "3", "2 with the schedule 'prefill_pairs'", "choose another schedule"),
    (["machine_overrides.tiers.nick.bytes_per_s=1e9"], "machine_overrides.tiers.nick.bytes_per_s", "'nick'",
     "nic, nvlink", "did you mean 'nic'?"),
    (["machine_overrides.tiers.nic=1e9"], "machine_overrides.tiers.nic", "1000000000",
     "nic.bytes_per_s, nic.efficiency, nic.latency_s", "write one of these"),
    (["machine_overrides.tiers.nic.bytes_per_s=50"], "machine_overrides.tiers.nic.bytes_per_s", "50", "1e+06 to 1e+16",
     "write bytes per second"),
    (["machine_overrides.device.n_sms=13.5"], "machine_overrides.device.n_sms", "13.5", "whole numbers", "write one"),
    (["machine_overrides.device.peak_flops_per_s.bf16=fast"], "machine_overrides.device.peak_flops_per_s.bf16",
     "'fast'", "numbers", "write one of these"),
    (["machine_overrides.fabric.kind=torus"], "machine_overrides.fabric.kind", "'torus'", "single_node", "write one"),
    (["machine_overrides.provenance.launch=1"], "machine_overrides.provenance.launch", "1", "figures of the machine",
     "marked as assumed"),
    (["model=deepseek_v3", "model_overrides.n_dense_layers=61"], "model_overrides.n_dense_layers", "61", "0 to 60",
     "lower it"),
)  # fmt: skip


@pytest.fixture
def scenario_path(tmp_path):
    path = tmp_path / "base.toml"
    path.write_text('model = "longcat_flash"\nmachine = "h800_sxm"\nn_gpus = 128\nlayout = { ep = 128 }\n')
    return str(path)


@pytest.mark.parametrize(
    ("settings", "field", "got", "allowed", "remedy"), FAULTS, ids=[" ".join(f[0]) for f in FAULTS]
)
def test_the_fault_says_field_value_allowed_and_remedy(scenario_path, settings, field, got, allowed, remedy):
    with pytest.raises(InputFaults) as caught:
        load_scenario(scenario_path, settings)
    fault = caught.value.faults[0]
    assert {other.field for other in caught.value.faults} == {field}
    assert fault.got == got
    assert allowed in fault.allowed
    assert remedy in fault.remedy
    assert "\n" not in str(fault)


def test_all_faults_of_sense_come_together():
    bad = {
        **BASE, "n_gpus": 128, "schedule": "sbbo", "layout": {"ep": 12, "cp": 2}, "batch": {"context_cv": -1.0},
        "mtp": {"n_draft": 1}, "routing": {"popularity": "x"}, "precision": {"attention": "fp8"},
    }  # fmt: skip
    with pytest.raises(InputFaults) as caught:
        build_scenario(bad)
    assert {fault.field for fault in caught.value.faults} == {
        "schedule", "layout.ep", "layout.cp", "batch.context_cv", "mtp.acceptance", "routing.popularity",
        "precision.attention",
    }  # fmt: skip


def test_an_ep_group_over_several_nodes_fills_them():
    """48 GPUs of 8 per node and 48 experts: 12 divides both, but is one and a half nodes."""
    odd = {**BASE, "n_gpus": 48, "layout": {"ep": 12}, "model_overrides": {"moe.n_routed_experts": 48}}
    with pytest.raises(InputFaults, match=r"layout.ep: got 12; allowed .*a multiple of 8"):
        build_scenario(odd)


def test_a_sound_scenario_has_no_fault():
    assert check_scenario(build_scenario(BASE)) == []


def test_a_machine_without_fp8_says_so_for_each_precision():
    with pytest.raises(InputFaults) as caught:
        build_scenario({**BASE, "machine": "a100_sxm"})
    assert {f.field: f.allowed for f in caught.value.faults} == {
        "precision.weights": "bf16 on a100_sxm", "precision.attention_weights": "bf16 on a100_sxm",
    }  # fmt: skip


def test_normal_kernels_have_no_limit_of_tokens_per_rank():
    normal = {**BASE, "batch": {"max_dispatch_tokens": 5}, "run": {"all_to_all": "normal"}}
    assert build_scenario(normal).all_to_all == "normal"


def test_compute_leaves_the_sms_of_an_overlapped_normal_all_to_all():
    profile = load_profile("h800_sxm")
    prefill = {**BASE, "phase": "prefill", "schedule": "prefill_pairs", "batch": {"prompt_tokens": 8}}
    scenario = build_scenario(prefill)
    assert scenario.all_to_all == "normal"
    assert scenario.compute_sms == profile.device.n_sms - profile.all_to_all.normal_sms
    assert replace(scenario, schedule="sequential").compute_sms == 0
    assert build_scenario(BASE).compute_sms == 0
