"""The layers of the house (docs/design.md, section 2), high to low; names joined by | are strangers to each other."""

from dataclasses import replace
from pathlib import Path

import pytest
from architecture_rules import Rules, faults

ROOT = Path(__file__).parent.parent

HOUSE = Rules(
    packages=("simulator", "hw_profiles", "workloads", "validation"),
    layers=(
        "longsim",
        "validation.cli | simulator.cli | simulator.compare_command | simulator.machine_command"
        " | simulator.replay_command | simulator.plan_command | simulator.sweep_command | simulator.whatif_command",
        "simulator.runs_command | simulator.replay_watch | simulator.sweep_watch",
        "simulator.traffic_options",
        "simulator.console",
        "validation.suites",
        "validation.serving | validation.clusters | validation.studies",
        "validation.live",
        "validation.layer_traces",
        "validation.layer_predictions | validation.calibrate_own",
        "validation.own_machine",
        "validation.importers",
        "validation.table_checks | validation.point_transfers | validation.reproduction",
        "validation.point_kernels | validation.block_pair_fit",
        "validation.block_pairs | validation.collective_one_sided",
        "validation.collective_versions | validation.collective_tables | validation.collective_knee",
        "validation.judged_rows | validation.bars | validation.fitted_files | validation.points"
        " | validation.collective_rows",
        "validation.kernels | validation.known_tables",
        "validation.calibrate | validation.machine_fit",
        "validation.kernel_families | validation.infersim_families | validation.transfer_families"
        " | validation.trace_interference",
        "validation.families | validation.expert_draws",
        "validation.tables | validation.chips | validation.measure | validation.traces | validation.published_facts",
        "validation.measurements",
        "simulator.sweep | simulator.sweep_runs | simulator.cluster",
        "simulator.jobs | simulator.runs_out",
        "simulator.processes | simulator.store",
        "simulator.report | simulator.break_even",
        "simulator.differences | simulator.stored_run | simulator.planner",
        "simulator.run_key | simulator.relative",
        "simulator.question | simulator.slo_words",
        "simulator.serving",
        "simulator.zero_experts",
        "simulator.evaluate | simulator.candidates",
        "simulator.scenario",
        "simulator.scenario_checks",
        "simulator.layout_checks | simulator.model_checks | simulator.routing_checks | simulator.placement_checks"
        " | simulator.backend_checks",
        "simulator.scenario_schema",
        "simulator.overrides | simulator.availability",
        "simulator.failures",
        "simulator.answer",
        "simulator.amounts | simulator.metrics | simulator.bounds | simulator.critical_path | simulator.intervals"
        " | simulator.balance | simulator.rebalancing",
        "simulator.simulate",
        "simulator.demands",
        "simulator.costs | simulator.engine",
        "simulator.borders",
        "simulator.resources | simulator.timeline | simulator.plain",
        "workloads.lower",
        "workloads.schedules",
        "workloads.lowering",
        "workloads.loads | workloads.memory",
        "workloads.placements",
        "workloads.replayed",
        "workloads.choices",
        "workloads.expert_placement",
        "workloads.traffic | workloads.limited_routing",
        "workloads.routing_fit",
        "workloads.contexts | workloads.routing | workloads.routing_counts | workloads.zoo | workloads.layers"
        " | workloads.hf_config",
        "workloads.step | workloads.graph | workloads.scmoe_models | workloads.indexer",
        "workloads.padding | workloads.borders",
        "workloads.ops | workloads.model | workloads.batch | workloads.layout | workloads.routing_trace"
        " | workloads.config_keys",
        "hw_profiles.loader | hw_profiles.fits",
        "hw_profiles.fitted",
        "hw_profiles.curves",
        "hw_profiles.checks | hw_profiles.provenance | hw_profiles.shape | hw_profiles.topology",
        "hw_profiles.fabric_checks",
        "hw_profiles.schema | hw_profiles.faults",
    ),
    blind=(("workloads", "hw_profiles"), ("simulator", "validation"), ("simulator.engine", "simulator.costs")),
    plain=("hw_profiles.faults",),  # words about bad input, nothing of a machine
    only_in={
        "torch": ("workloads.layers", "validation.measure", "validation.studies"),
        "scipy": ("hw_profiles.fits", "validation"),
        "simpy": ("simulator",),
        "plotly": ("simulator.report",),
        "typer": (
            "longsim",
            "simulator.cli",
            "simulator.compare_command",
            "simulator.machine_command",
            "simulator.replay_command",
            "simulator.plan_command",
            "simulator.sweep_command",
            "simulator.runs_command",
            "simulator.whatif_command",
            "simulator.traffic_options",
            "simulator.console",
            "validation.cli",
        ),
        "sqlite3": ("simulator.store",),
        "distributed": ("simulator.cluster",),
        "rich": (
            "simulator.cli",
            "simulator.compare_command",
            "simulator.machine_command",
            "simulator.replay_command",
            "simulator.plan_command",
            "simulator.console",
            "validation.cli",
        ),
    },
    late=("longsim",),
)


def test_the_house_stands_as_designed():
    assert faults(ROOT, HOUSE) == []


def test_every_line_of_the_layers_names_something_that_exists():
    for unit in HOUSE.level_of:
        path = ROOT.joinpath(*unit.split("."))
        assert path.is_dir() or path.with_suffix(".py").is_file(), unit


TOY = Rules(
    packages=("house",), layers=("door", "house.roof", "house.wall_a | house.wall_b", "house.floor"),
    blind=(("house.wall_a", "house.floor.cellar"),), only_in={"torch": ("house.floor",)}, late=("door",),
)  # fmt: skip
SOUND = {
    "door": "from importlib import import_module\nimport_module('house.roof')\n",
    "house/__init__": "",
    "house/roof": "import house.wall_a\nfrom house import wall_b\n",
    "house/wall_a": "from house.floor import deep\n",
    "house/wall_b": "",
    "house/floor/__init__": "",
    "house/floor/deep": "import torch\nfrom house.floor.cellar import wine\n",
    "house/floor/cellar": "wine = 1\n",
}
LONG_FUNCTION = "def long():\n" + "    x = 1\n" * 50
PLANTED = {
    "an upward import": ("house/floor/deep", "from house.roof import x\n", "house.floor.deep imports house.roof"),
    "a neighbour": ("house/wall_a", "import house.wall_b\n", "house.wall_a imports house.wall_b, which is not below"),
    "a cycle": ("house/floor/cellar", "import house.floor.deep\n", "a cycle: house.floor."),
    "an import in a function": ("house/roof", "def f():\n    import os\n", "house.roof:2: an import inside a function"),
    "a relative import": ("house/roof", "from . import wall_a\n", "house.roof:1: a relative import"),
    "a star import": ("house/roof", "from house.wall_a import *\n", "house.roof:1: a star import"),
    "no line": ("house/attic", "", "house.attic stands on no line of the layers"),
    "a busy __init__": ("house/__init__", "import house.roof\n", "house: a package's __init__ imports nothing"),
    "torch in the wrong place": ("house/roof", "import torch.nn\n", "house.roof imports torch, which belongs in "),
    "a blind eye opened": ("house/wall_a", "import house.floor.cellar\n", "house.wall_a knows nothing of house"),
    "a late import": ("house/roof", "import importlib\nimportlib.import_module('os')\n", "house.roof:2: a late import"),
    "a print": ("house/roof", "print('hello')\n", "house.roof:1: a print"),
    "a long file": ("house/roof", "x = 1\n" * 301, "house.roof: 301 lines; at most 300"),
    "a long function": ("house/roof", LONG_FUNCTION, "house.roof.long: 51 lines; at most 50"),
}  # fmt: skip


def build(root, files):
    for name, text in files.items():
        path = root / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_sound_tree_has_no_faults(tmp_path):
    build(tmp_path, SOUND)
    assert faults(tmp_path, TOY) == []


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_fault_is_found(tmp_path, planted):
    file, text, fault = PLANTED[planted]
    build(tmp_path, {**SOUND, file: text})
    assert any(fault in found for found in faults(tmp_path, TOY)), faults(tmp_path, TOY)


def test_a_blind_eye_may_still_see_what_is_plain(tmp_path):
    file, text, _ = PLANTED["a blind eye opened"]
    build(tmp_path, {**SOUND, file: text})
    assert faults(tmp_path, replace(TOY, plain=("house.floor.cellar",))) == []


def test_a_module_that_may_print_may_print(tmp_path):
    build(tmp_path, {**SOUND, "house/roof": "print('hello')\n"})
    assert faults(tmp_path, replace(TOY, prints=("house.roof",))) == []
