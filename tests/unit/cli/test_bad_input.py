import pytest

SMALL = 'model = "tiny"\nmachine = "h800_sxm"\nn_gpus = 8\n'


def check(said, *parts):
    """Bad input: exit code 2, nothing on stdout, words that help on stderr."""
    assert said.code == 2
    assert said.out == ""
    for part in parts:
        assert part in said.err


def test_an_unknown_scenario_names_the_nearest(longsim):
    said = longsim("run", "longcat-flash-decode-h800x12")
    check(said, "scenario: got 'longcat-flash-decode-h800x12'", "did you mean 'longcat-flash-decode-h800x128'?")


def test_a_missing_file_is_named(longsim, tmp_path):
    check(longsim("run", tmp_path / "none.toml"), "none.toml', where no file is", "check the path")


def test_a_directory_is_no_scenario(longsim, tmp_path):
    check(longsim("run", tmp_path), "where no file is")


def test_malformed_toml_names_the_line(longsim, scenario_file):
    check(longsim("run", scenario_file('model = "tiny"\nmachine = \n')), "small.toml: got ", "line 2", "valid TOML")


def test_text_that_is_no_utf_8_is_said_to_be_none(longsim, tmp_path):
    (tmp_path / "latin.toml").write_bytes(b'title = "\xe9"\n')
    check(longsim("run", tmp_path / "latin.toml"), "latin.toml: got ", "UTF-8")


def test_an_unknown_model_and_machine_are_named_together(longsim, scenario_file):
    path = scenario_file('model = "longcat_flsh"\nmachine = "h80_sxm"\nn_gpus = 8\n')
    said = longsim("run", path)
    check(said, "did you mean 'longcat_flash'?", "did you mean 'h800_sxm'?")
    assert len(said.faults) == 2


def test_an_unknown_key_names_the_nearest(longsim, scenario_file):
    said = longsim("run", scenario_file(SMALL + "[batch]\nsequences = 8\n"))
    check(said, "batch.sequences: got 'sequences'", "did you mean 'sequences_per_gpu'?")


def test_every_fault_of_the_shape_is_reported_at_once(longsim, scenario_file):
    said = longsim("run", scenario_file('model = "tiny"\nn_gpus = "many"\n[layout]\nepp = 8\n'))
    check(said, "machine: got nothing", "n_gpus: got 'many'", "layout.epp")
    assert len(said.faults) == 3


def test_every_fault_of_sense_is_reported_at_once(longsim, scenario_file):
    said = longsim("run", scenario_file(SMALL + "[layout]\nep = 3\ndense_tp = 5\n[batch]\nsequences_per_gpu = -1\n"))
    check(said, "layout.ep: got 3; allowed 1, 2, 4, 8;", "layout.dense_tp: got 5", "batch.sequences_per_gpu: got -1")
    assert len(said.faults) == 3


@pytest.mark.parametrize("setting", ["layout.ep", "=3", ""])
def test_a_setting_without_key_or_value_is_explained(longsim, scenario_file, setting):
    check(longsim("run", scenario_file(), "--set", setting), "--set: got", "such as layout.ep=64")


@pytest.mark.parametrize("vary", ["layout.ep", "layout.ep=", "=1,2", "layout.ep=1,,2"])
def test_a_variation_without_key_or_values_is_explained(longsim, scenario_file, vary):
    check(longsim("compare", scenario_file(), "--vary", vary), "--vary: got", "such as layout.ep=32,64,128")


def test_compare_needs_something_to_vary(longsim, scenario_file):
    said = longsim("compare", scenario_file())
    assert said.code == 2
    assert "--vary" in said.err


def test_a_key_varied_twice_is_explained(longsim, scenario_file):
    said = longsim("compare", scenario_file(), "--vary", "layout.ep=1", "--vary", "layout.ep=8")
    check(said, "--vary: got 'layout.ep' twice")


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--vary", "layout.epp=1,8"], "layout.epp: got 'epp'"),
        (["--vary", "layout.ep=8,many"], "layout.ep: got 'many'"),
        (["--vary", "schedule=sequential,sqeuential"], "schedule: got 'sqeuential'"),
        (["--vary", "layout.ep=1,8", "--set", "layout.ep=4"], "--vary: got 'layout.ep', which --set sets too"),
        (["--vary", "seed=" + ",".join(map(str, range(1001)))], "--vary: got 1,001 combinations"),
    ],
)
def test_a_comparison_that_makes_no_sense_is_one_line(longsim, scenario_file, arguments, fault):
    said = longsim("compare", scenario_file(), *arguments)
    check(said, fault)
    assert len(said.faults) == 1


def test_an_unknown_suite_names_the_nearest(longsim):
    check(longsim("validate", "teory"), "suite: got 'teory'", "did you mean 'theory'?")


def test_an_unknown_command_or_option_ends_with_2(longsim, scenario_file):
    check(longsim("rnu"), "No such command 'rnu'")
    check(longsim("run", scenario_file(), "--jsn"), "No such option")


@pytest.mark.parametrize("option", ["--report", "--trace"])
def test_an_output_in_a_directory_that_is_not_there_is_refused_before_the_work(
    longsim, scenario_file, tmp_path, option
):
    check(longsim("run", scenario_file(), option, tmp_path / "no" / "out"), f"{option}: got", "does not exist")


def test_every_output_that_cannot_be_written_is_named(longsim, scenario_file, tmp_path):
    said = longsim("run", scenario_file(), "--report", tmp_path, "--trace", tmp_path / "no" / "out")
    check(said, "--report: got", "which is a directory", "--trace: got", "does not exist")


def test_an_output_below_a_file_is_refused(longsim, scenario_file):
    path = scenario_file()
    check(longsim("run", path, "--report", path / "out.html"), "--report: got", "does not exist")


def test_a_full_disk_is_said_to_be_full(longsim, scenario_file, tmp_path):
    """Through a link, so that nothing but the link is at risk."""
    (tmp_path / "full.html").symlink_to("/dev/full")
    check(longsim("run", scenario_file(), "--report", tmp_path / "full.html"), "--report: got", "No space left")
    assert (tmp_path / "full.html").is_symlink()


def test_a_name_too_long_for_the_disk_is_said_to_be_so(longsim, scenario_file, tmp_path):
    check(longsim("run", scenario_file(), "--report", tmp_path / ("x" * 250)), "--report: got", "File name too long")


def test_what_has_no_work_on_some_rank_or_takes_no_time_is_answered(longsim):
    """Sampled routing of a fraction of a sequence leaves ranks idle; the report's machine has links without end."""
    scenario = "longcat-flash-decode-h800x128"
    idle = longsim("run", scenario, "--set", "batch.sequences_per_gpu=0.3", "--set", "routing.draw=sample")
    assert (idle.code, idle.err) == (0, "")
    endless = longsim("run", scenario, "--set", "machine=longcat_report_theory")
    assert (endless.code, endless.err) == (0, "")


def test_counts_of_fewer_experts_than_a_token_takes_are_refused(longsim, scenario_file, tmp_path):
    """Two experts with tokens, three picks."""
    (tmp_path / "counts.txt").write_text("5 1 0 0 0 0 0 0")
    said = longsim("run", scenario_file(), "--set", f"routing.popularity=counts:{tmp_path}/counts.txt")
    check(said, "routing.popularity", "has 2 experts with tokens; allowed at least top-k, 3")


def test_counts_that_cannot_be_read_are_explained(longsim, scenario_file, tmp_path):
    (tmp_path / "counts.txt").write_text("1 2 3")
    said = longsim("run", scenario_file(), "--set", f"routing.popularity=counts:{tmp_path}/counts.txt")
    check(said, "routing.popularity", "holds 3 counts; allowed exactly 8")
    check(longsim("run", scenario_file(), "--set", "routing.popularity=counts:none.txt"), "none.txt", "No such file")
