import math

import pytest

import longsim as front_door
from simulator.scenario import list_scenarios
from workloads.zoo import ZOO

METRICS = (
    "step_s", "layer_s", "tpot_s", "tokens_per_s_per_user", "tokens_per_s_per_gpu", "usd_per_million_output_tokens",
    "comm_s", "comm_s_max", "exposed_comm_s", "exposed_comm_s_max", "wait_s", "wait_s_max", "overlap_ratio", "busy_s",
    "flops", "bytes", "load_imbalance", "balancedness", "hottest_rank", "bound_by",
)  # fmt: skip


def test_run_prints_one_document_with_the_agreed_keys_and_nothing_else(longsim, scenario_file):
    said = longsim("run", scenario_file(), "--json")
    assert (said.code, said.err) == (0, "")
    agreed = ["version", "scenario", "feasible", "reason", "metrics", "interval", "kinds", "critical_path_by_source",
              "memory", "warnings"]  # fmt: skip
    assert list(said.document) == agreed
    assert set(said.document["metrics"]) == set(METRICS)
    assert said.document["version"] == front_door.__version__


def test_rates_follow_from_the_step_by_their_definitions(longsim, scenario_file):
    path = scenario_file()
    settings = ["--set", "mtp.n_draft=1", "--set", "mtp.acceptance=[0.5]", "--set", "batch.sequences_per_gpu=10"]
    metrics = longsim("run", path, "--json", *settings).document["metrics"]
    tpot_s = metrics["step_s"] / 1.5
    assert metrics["tpot_s"] == pytest.approx(tpot_s)
    assert metrics["tokens_per_s_per_user"] == pytest.approx(1 / tpot_s)
    assert metrics["tokens_per_s_per_gpu"] == pytest.approx(10 / tpot_s)
    assert metrics["usd_per_million_output_tokens"] == pytest.approx(2.0 / 3600 / (10 / tpot_s) * 1e6)  # H800 at $2/h
    assert metrics["overlap_ratio"] == pytest.approx(1 - metrics["exposed_comm_s"] / metrics["comm_s"])


def test_the_shares_of_the_critical_path_add_up(longsim, scenario_file):
    document = longsim("run", scenario_file(), "--json").document
    assert sum(document["critical_path_by_source"].values()) == pytest.approx(1.0)
    assert sum(row["critical_s"] for row in document["kinds"]) == pytest.approx(document["metrics"]["step_s"])


def test_run_in_words_says_how_sure_it_is(longsim, scenario_file):
    said = longsim("run", scenario_file())
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("8 GPUs reach ")
    assert said.out.count("The critical path rests ") == 1


def test_words_have_no_dust_and_no_odd_numbers(longsim):
    said = longsim("run", "longcat-flash-decode-h800x128").out
    assert "it waits 0 s for other ranks" in said
    assert "Routed tokens are spread evenly over the ranks." in said
    assert "e-" not in said


def test_what_does_not_fit_is_an_answer_with_its_reason_and_exit_code_3(longsim):
    said = longsim("run", "longcat-flash-decode-h800x128", "--json", "--set", "batch.sequences_per_gpu=400")
    assert said.code == 3
    assert said.document["feasible"] is False
    assert "KV cache" in said.document["reason"]
    assert said.document["metrics"] == {}
    assert str(said.document["memory"]["sequences_that_fit"]) in said.document["reason"]


def test_the_sequences_that_would_fit_do_fit_and_one_more_does_not(longsim):
    scenario = "longcat-flash-decode-h800x128"
    most = longsim("run", scenario, "--json").document["memory"]["sequences_that_fit"]
    assert longsim("run", scenario, "--json", "--set", f"batch.sequences_per_gpu={most}").code == 0
    assert longsim("run", scenario, "--json", "--set", f"batch.sequences_per_gpu={most + 1}").code == 3


def test_compare_is_every_combination_and_an_infeasible_one_is_a_row(longsim):
    said = longsim(
        "compare", "longcat-flash-decode-h800x128", "--vary", "schedule=sequential,sbo",
        "--vary", "batch.sequences_per_gpu=96,400", "--json",
    )  # fmt: skip
    assert (said.code, said.err) == (0, "")
    assert said.document["vary"] == ["schedule", "batch.sequences_per_gpu"]
    rows = said.document["rows"]
    assert [tuple(row["set"].values()) for row in rows] == [
        ("sequential", "96"), ("sequential", "400"), ("sbo", "96"), ("sbo", "400"),
    ]  # fmt: skip
    assert [row["feasible"] for row in rows] == [True, False, True, False]
    assert all(bool(row["reason"]) != row["feasible"] for row in rows)
    assert rows[2]["metrics"]["step_s"] < rows[0]["metrics"]["step_s"]


def test_compare_in_words_gives_the_reason_of_what_does_not_fit(longsim):
    said = longsim("compare", "longcat-flash-decode-h800x128", "--vary", "batch.sequences_per_gpu=96,400")
    assert said.code == 0
    assert "does not fit" in said.out
    assert "sequences_per_gpu=400 cannot run: needs " in said.out


def test_compare_puts_the_best_first_and_explains_it_against_the_scenario(longsim, scenario_file, tmp_path):
    report = tmp_path / "r.html"
    said = longsim("compare", scenario_file(), "--vary", "run.launch=eager,graph", "--report", report)
    assert (said.code, said.err) == (0, f"report: {report}\n")
    rows = [line for line in said.out.splitlines() if "launch=" in line]
    assert rows[0].split()[:2] == ["★", "launch=graph"]
    assert rows[1].split()[0] == "launch=eager"
    assert "launch=graph against launch=eager: +" in said.out
    assert "The scenario itself is like launch=graph." in said.out
    assert "★ launch=graph" in report.read_text(encoding="utf-8")


def test_a_layout_that_does_not_divide_is_a_row_with_its_reason(longsim, scenario_file):
    rows = longsim("compare", scenario_file(), "--vary", "layout.ep=8,3", "--json").document["rows"]
    assert [row["feasible"] for row in rows] == [True, False]
    assert rows[1]["reason"].startswith("layout.ep: got 3; allowed 1, 2, 4, 8;")


def test_lists_name_everything(longsim):
    models = longsim("models", "--json").document["models"]
    assert [row["name"] for row in models] == list(ZOO)
    machines = longsim("machines", "--json").document["machines"]
    assert {"h800_sxm", "h100_sxm", "h200_sxm", "h20", "a100_sxm"} <= {row["name"] for row in machines}
    scenarios = longsim("scenarios", "--json").document["scenarios"]
    assert [row["name"] for row in scenarios] == list_scenarios()
    assert all(row["title"] for row in scenarios)


@pytest.mark.parametrize("command", ["models", "machines", "scenarios"])
def test_tables_for_people_show_every_name_whole(longsim, command):
    names = [row["name"] for row in longsim(command, "--json").document[command]]
    table = longsim(command).out
    assert all(name in table for name in names)


def test_infinite_figures_are_null_in_json(longsim):
    machines = {row["name"]: row for row in longsim("machines", "--json").document["machines"]}
    assert machines["longcat_report_theory"]["link_bytes_per_s"]["nvlink"] is None
    assert math.isfinite(machines["h800_sxm"]["link_bytes_per_s"]["nvlink"])


def test_a_machine_is_shown_with_its_sources_and_its_fabric(longsim):
    said = longsim("machines", "h800_sxm", "--gpus", "16", "--json")
    figures = {row["figure"]: row for row in said.document["figures"]}
    assert figures["node.n_devices"]["value"] == 8
    assert all(row["source"] and row["reference"] for row in figures.values())
    fabric = said.document["fabric"]
    assert (fabric["counts"]["device"], fabric["counts"]["nic"]) == (16, 16)
    assert fabric["shared_links"][0]["devices"] == [0, 8]
    assert "tiers.nvlink.efficiency" in longsim("machines", "h800_sxm").out


def test_a_machine_has_a_page(longsim, tmp_path):
    said = longsim("machines", "a30_pcie", "--report", str(tmp_path / "a30.html"))
    assert said.code == 0
    assert "A30 PCIe" in (tmp_path / "a30.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "field"),
    [(["h80_sxm"], "machine"), (["a30_pcie", "--gpus", "9"], "n_devices"), (["--gpus", "8"], "--gpus, --report")],
)
def test_a_machine_that_cannot_be_shown_is_a_line_on_stderr(longsim, arguments, field):
    said = longsim("machines", *arguments)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"{field}: got ")


def test_validate_theory_prints_one_document_and_passes(longsim):
    said = longsim("validate", "theory", "--json")
    assert (said.code, said.err) == (0, "")
    assert {"suite", "rows", "summary", "skipped"} <= set(said.document)
    assert said.document["summary"]["n_ok"] == said.document["summary"]["n"] == len(said.document["rows"])


def test_validate_in_words_keeps_ids_and_figures_on_one_line(longsim):
    lines = longsim("validate", "theory").out.splitlines()
    (line,) = [line for line in lines if "T1.dispatch" in line]
    assert "235.93" in line
    assert "ok" in line


def test_report_and_trace_are_written_and_named_on_stderr(longsim, scenario_file, tmp_path):
    report, trace = tmp_path / "r.html", tmp_path / "t.json"
    said = longsim("run", scenario_file(), "--json", "--report", report, "--trace", trace)
    assert said.code == 0
    assert said.document["feasible"]
    assert said.faults == [f"report: {report}", f"trace: {trace}"]
    assert report.stat().st_size > 1e6
    assert trace.read_text().startswith("{")


def test_the_version_is_printed(longsim):
    said = longsim("--version")
    assert (said.code, said.out) == (0, f"longsim {front_door.__version__}\n")
