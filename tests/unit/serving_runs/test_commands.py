"""`longsim import kernel-table` and `longsim validate serving`, as a user runs them."""


def test_a_run_is_judged_shown_and_reported(longsim, run_folder, tmp_path):
    page = tmp_path / "page.html"
    done = longsim("validate", "serving", "--run", run_folder, "--report", page, "--json")
    assert done.code == 1  # the toy has no overhead and the fitted one is charged: a missed bar
    document = done.document
    assert [row["id"] for row in document["rows"]][:2] == ["toy_run tpot mean", "toy_run tpot p50"]
    assert "requests waiting" in page.read_text(encoding="utf-8")
    shown = longsim("validate", "serving", "--run", run_folder)
    assert shown.code == 1
    assert "of 12 judged figures within their bar" in shown.out


def test_imported_tables_serve_a_run_that_has_none(longsim, run_folder, tmp_path):
    profile = tmp_path / "profile"
    done = longsim("import", "kernel-table", run_folder, "--machine", "h100_sxm", "--out", profile)
    assert done.code == 0, done.err
    assert sorted(path.name for path in (profile / "kernel_tables").iterdir()) == [
        "profile_meta.yaml", "tp1_attention.csv", "tp1_dense.csv", "tp1_per_sequence.csv",
    ]  # fmt: skip
    own = longsim("validate", "serving", "--run", run_folder, "--json").document
    for path in run_folder.glob("tp1_*.csv"):
        path.unlink()
    from_profile = longsim("validate", "serving", "--run", run_folder, "--profile", profile, "--json")
    assert from_profile.document["rows"] == own["rows"]


def test_what_is_missing_is_said_without_a_traceback(longsim, run_folder, tmp_path):
    nothing = longsim("import", "kernel-table")
    assert nothing.code == 2
    assert [line.partition(":")[0] for line in nothing.faults] == ["--out", "--machine", "FILE"]
    foreign = longsim("import", "kernel-table", run_folder, "--system", "h100", "--step", "3")
    assert foreign.code == 2
    assert [line.partition(":")[0] for line in foreign.faults] == ["--step", "--system"]
    absent = longsim("validate", "serving", "--run", tmp_path / "nowhere")
    assert absent.code == 2
    assert "meta.json" in absent.err
    unknown = longsim("validate", "serving", "--run", run_folder, "--profile", tmp_path)
    assert unknown.code == 2
    assert "import the tables first" in unknown.err


def test_rows_and_quick_are_of_one_part_alone(longsim, tmp_path):
    beside = longsim("validate", "serving", "--quick", "--part", "deepseek")
    assert beside.code == 2
    assert beside.faults == ["--quick: got beside --part deepseek; allowed --part longcat alone; leave one of them out"]
    both = longsim("validate", "serving", "--rows", tmp_path / "rows.toml", "--quick", "--run", tmp_path)
    assert [line.partition(":")[0] for line in both.faults] == ["--rows", "--quick"]
    foreign = longsim("validate", "theory", "--quick")
    assert foreign.code == 2
    assert "--quick" in foreign.err
