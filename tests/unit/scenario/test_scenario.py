from dataclasses import replace

import pytest

from hw_profiles.faults import InputFaults
from hw_profiles.loader import load_profile
from simulator.evaluate import run_scenario, warnings_of
from simulator.overrides import override_model
from simulator.scenario import (
    apply_setting,
    build_scenario,
    list_scenarios,
    load_scenario,
    parse_value,
    read_tables,
    resolved,
)
from workloads.zoo import longcat_flash

MINIMAL = {"model": "longcat_flash", "machine": "h800_sxm", "n_gpus": 8}

# The contract: docs/design.md, section 5. Defaults where it states them for a bare scenario.
CONTRACT = {
    "phase": "decode", "schedule": "sequential", "seed": 0,
    "layout.attention_tp": 1, "layout.dense_tp": 1, "layout.ep": 1, "layout.cp": 1, "layout.pp": 1,
    "layout.expert_placement": "contiguous", "layout.n_redundant_experts": 0,
    "layout.n_expert_groups": 0, "layout.replica_choice": "even", "layout.placement_loads": "true",
    "layout.rebalance_every_steps": 0,
    "batch.sequences_per_gpu": 96, "batch.context_tokens": 5000, "batch.context_cv": 0.0,
    "batch.request_balance": "random", "batch.max_dispatch_tokens": 0, "batch.prompt_tokens": 0,
    "routing.popularity": "balanced", "routing.ffn_experts.kind": "fixed", "routing.zero_experts": "skip",
    "precision.weights": "fp8", "precision.attention": "bf16", "precision.kv": "bf16", "precision.dispatch": "fp8",
    "precision.combine": "bf16", "run.launch": "graph", "run.contention": True,
    "run.parts": ("layers", "lm_head", "mtp", "sampling"), "mtp.n_draft": 0,
}  # fmt: skip
SHAPE_FAULTS = (
    ({"n_gpus": "8"}, "n_gpus", "'8'", "a whole number", "write a whole number"),
    ({"n_gpus": 8.5}, "n_gpus", "8.5", "a whole number", "write a whole number"),
    ({"model": 3}, "model", "3", "a text in quotes", "write a text in quotes"),
    ({"batch": 3}, "batch", "3", "a table", "write a table"),
    ({"batch": {"context_tokens": "many"}}, "batch.context_tokens", "'many'", "a number", "write a number"),
    ({"run": {"contention": "yes"}}, "run.contention", "'yes'", "true or false", "write true or false"),
    ({"mtp": {"acceptance": 0.9}}, "mtp.acceptance", "0.9", "a list", "write a list"),
    ({"layouts": {}}, "layouts", "'layouts'", "layout, ", "did you mean 'layout'?"),
    ({"run": {"lanch": "graph"}}, "run.lanch", "'lanch'", "launch", "did you mean 'launch'?"),
    ({"phase": "decoding"}, "phase", "'decoding'", "'decode', 'prefill' or 'train'", "did you mean 'decode'?"),
    ({"precision": {"kv": "fp7"}}, "precision.kv", "'fp7'", "'bf16', 'fp8' or 'fp32'", "did you mean 'fp8'?"),
    ({"run": {"parts": ["layer"]}}, "run.parts.0", "'layer'", "'layers'", "did you mean 'layers'?"),
    ({"routing": {"ffn_experts": "wide"}}, "routing.ffn_experts.kind", "'wide'", "'beta_binomial'", "use one of"),
)


def dotted(tables, prefix=""):
    for key, value in tables.items():
        if isinstance(value, dict):
            yield from dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def test_defaults_are_those_of_the_contract():
    got = dict(dotted(resolved(build_scenario(MINIMAL))))
    assert {key: got[key] for key in CONTRACT} == CONTRACT


def test_only_model_machine_and_n_gpus_have_no_default():
    with pytest.raises(InputFaults) as caught:
        build_scenario({})
    assert [str(fault) for fault in caught.value.faults] == [
        f"{key}: got nothing; allowed a value; add {key} to the file" for key in ("model", "machine", "n_gpus")
    ]


@pytest.mark.parametrize(
    ("tables", "field", "got", "allowed", "remedy"), SHAPE_FAULTS, ids=[f[1] for f in SHAPE_FAULTS]
)
def test_a_fault_of_shape_says_field_value_allowed_and_remedy(tables, field, got, allowed, remedy):
    with pytest.raises(InputFaults) as caught:
        build_scenario({**MINIMAL, **tables})
    (fault,) = caught.value.faults
    assert (fault.field, fault.got) == (field, got)
    assert allowed in fault.allowed
    assert remedy in fault.remedy


def test_all_faults_of_shape_come_together():
    with pytest.raises(InputFaults) as caught:
        build_scenario({"model": 3, "n_gpus": 8.5, "bacth": {}, "run": {"launch": "quick"}})
    assert {fault.field for fault in caught.value.faults} == {"model", "n_gpus", "bacth", "run.launch", "machine"}


@pytest.mark.parametrize(("text", "value"), [
    ("64", 64), ("0.5", 0.5), ("true", True), ("[0.9, 0.8]", [0.9, 0.8]), ('"sbo"', "sbo"), ("sbo", "sbo"),
    ("{ kind = 'fixed' }", {"kind": "fixed"}), ("power_law:1.01", "power_law:1.01"), ("", ""),
])  # fmt: skip
def test_a_setting_is_read_as_toml_else_as_a_word(text, value):
    assert parse_value(text) == value


def test_settings_reach_into_tables_and_make_those_that_are_not_there():
    tables = {"batch": {"context_tokens": 100}}
    for setting in ("batch.context_tokens=200", "layout.ep = 8", "schedule=sbo", "title=a=b"):
        assert apply_setting(tables, setting) == []
    assert tables == {"batch": {"context_tokens": 200}, "layout": {"ep": 8}, "schedule": "sbo", "title": "a=b"}


def test_overrides_keep_their_dots():
    tables = {}
    apply_setting(tables, "model_overrides.moe.top_k=8")
    assert tables == {"model_overrides": {"moe.top_k": 8}}


def test_ffn_experts_as_a_word_can_be_refined():
    tables = {"routing": {"ffn_experts": "beta_binomial"}}
    assert apply_setting(tables, "routing.ffn_experts.std=3") == []
    assert tables == {"routing": {"ffn_experts": {"kind": "beta_binomial", "std": 3}}}


def test_a_value_has_no_keys_below_it():
    (fault,) = apply_setting({"layout": {"ep": 8}}, "layout.ep.x=3")
    assert str(fault) == "layout.ep.x: got 'layout.ep.x=3'; allowed ep=VALUE; ep is no table"


def test_overrides_change_the_model_and_nothing_else():
    model = override_model(
        longcat_flash(), {"n_layers": 4.0, "moe.top_k": 8, "mtp.ffn": "moe", "tied_embeddings": True}
    )
    assert (model.n_layers, model.moe.top_k, model.mtp.ffn, model.tied_embeddings) == (4, 8, "moe", True)
    assert isinstance(model.n_layers, int)
    assert model.moe.n_routed_experts == 512
    assert longcat_flash().n_layers == 28


def test_every_shipped_scenario_is_sound_and_titled():
    for name in list_scenarios():
        assert load_scenario(name).title, name


def test_a_file_names_its_scenario_after_itself(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('model = "tiny"\nmachine = "h800_sxm"\nn_gpus = 8\n')
    assert load_scenario(str(path)).name == "mine"


def test_a_shipped_name_is_found_without_its_ending():
    path, tables = read_tables("longcat-flash-decode-h800x128")
    assert path.name == "longcat-flash-decode-h800x128.toml"
    assert tables["model"] == "longcat_flash"


def test_a_machine_of_ones_own_is_given_by_path(tmp_path):
    shipped = build_scenario(MINIMAL).profile
    source = next(path for path in (_data() / "h800_sxm").glob("profile.toml"))
    (tmp_path / "profile.toml").write_text(source.read_text())
    assert build_scenario({**MINIMAL, "machine": str(tmp_path)}).profile == shipped


def _data():
    from hw_profiles import loader

    return loader._DATA


def test_an_overridden_figure_of_the_machine_is_an_assumed_one():
    scenario = load_scenario("longcat-flash-decode-h800x128", ["machine_overrides.tiers.nic.bytes_per_s=25e9"])
    own, changed = load_profile("h800_sxm"), scenario.profile
    assert changed.tiers["nic"] == replace(own.tiers["nic"], bytes_per_s=25e9)
    assert (changed.device, changed.tiers["nvlink"]) == (own.device, own.tiers["nvlink"])
    assert changed.provenance["tiers.nic.bytes_per_s"].source == "assumed"
    unchanged = {path for path, source in changed.provenance.items() if source == own.provenance[path]}
    assert set(own.provenance) - unchanged == {"tiers.nic.bytes_per_s"}


def test_half_the_link_takes_a_flight_of_bytes_twice_as_long():
    """On the report's machine a sequential flight is bytes over the NIC and nothing else."""

    def dispatch_s(settings):
        timeline = run_scenario(
            load_scenario("longcat-flash-report-theory", ["schedule=sequential", *settings])
        ).timeline
        took = timeline[timeline["op"] == "dispatch.flight"]
        return (took["end_s"] - took["start_s"]).mean()

    nic = load_profile("longcat_report_theory").tiers["nic"]
    halved = [f"machine_overrides.tiers.nic.bytes_per_s={nic.bytes_per_s / 2}"]
    assert dispatch_s(halved) == pytest.approx(2 * dispatch_s([]), rel=1e-9)


@pytest.mark.parametrize(
    ("settings", "warned"),
    [
        ([], False),
        (["run.all_to_all=normal"], True),
        (["run.all_to_all=normal", "run.launch=eager"], False),
        (["run.all_to_all=normal", "layout.ep=1"], False),
    ],
)
def test_normal_all_to_alls_in_a_graph_of_decode_are_warned_of(settings, warned):
    warnings = warnings_of(load_scenario("longcat-flash-lite-decode-h800x8", settings))
    assert any("wait on the host" in warning for warning in warnings) == warned
