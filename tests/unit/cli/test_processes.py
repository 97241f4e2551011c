"""What only a process of its own can show: what it loads, how it ends when interrupted, what it needs."""

import os
import signal
import subprocess
import sys
import time

import pytest

LOADED = """
import sys
sys.argv = ["longsim", *sys.argv[1:]]
import longsim
try:
    longsim.main()
except SystemExit as ending:
    assert not ending.code, ending.code
sys.stderr.write(" ".join(name for name in ("torch", "scipy", "plotly", "pytest") if name in sys.modules))
"""


def test_a_run_loads_neither_torch_nor_scipy_nor_plotly(python, scenario_file):
    said = python(LOADED, "run", str(scenario_file()), "--json")
    assert (said.code, said.err) == (0, "")
    assert said.document["feasible"]


def test_a_report_loads_plotly_and_still_no_torch(python, scenario_file, tmp_path):
    said = python(LOADED, "run", str(scenario_file()), "--report", str(tmp_path / "r.html"))
    assert said.code == 0
    assert said.err.splitlines()[-1] == "plotly"


def test_import_longsim_is_lazy_and_gives_the_public_names(python):
    said = python(
        "import sys, longsim\n"
        "early = {'numpy', 'pandas', 'simpy', 'pydantic', 'plotly', 'torch'} & set(sys.modules)\n"
        "answer = longsim.evaluate(longsim.load_scenario('longcat-flash-decode-h800x128'))\n"
        "print(sorted(early), answer.feasible, type(answer.timeline).__name__, 'evaluate' in dir(longsim))\n"
        "print(longsim.ZOO['tiny']().hidden, longsim.load_profile('h800_sxm').name)\n"
    )
    assert said.out == "[] True DataFrame True\n64 h800_sxm\n", said.err


def test_every_public_name_is_there(python):
    said = python("import longsim\nprint(all(getattr(longsim, name) for name in longsim.__all__))")
    assert said.out == "True\n", said.err


def test_a_name_that_longsim_does_not_have_is_an_attribute_error(python):
    said = python("import longsim\ntry:\n    longsim.nothing\nexcept AttributeError as error:\n    print(error)")
    assert said.out == "module 'longsim' has no attribute 'nothing'\n"


def test_a_command_without_its_extra_says_what_to_install(python):
    """A command that needs torch, on a machine without: one line, exit code 2."""
    said = python(
        "import sys, longsim\n"
        "class Block:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torch': raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n"
        "sys.meta_path.insert(0, Block())\n"
        "longsim._COMMANDS = {**longsim._COMMANDS, 'measure': ('torch:measure', 'Measure.')}\n"
        "sys.argv = ['longsim', 'measure']\n"
        "longsim.main()\n"
    )
    assert said.code == 2
    assert said.err == "this needs torch, which is not installed; run: pip install 'longsim[torch]'\n"


def test_the_demo_leaves_both_files_and_tells_its_story(environment, tmp_path):
    command = [sys.executable, "-m", "longsim", "demo"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "trace.json"]
    assert "5,000 tokens of context, 1 draft accepted at 90%" in done.stdout
    assert "simulating SBO" in done.stderr
    assert "simulating" not in done.stdout


@pytest.mark.parametrize("pause_s", [0.0, 0.3])
def test_ctrl_c_leaves_no_file_and_no_traceback(environment, tmp_path, pause_s):
    command = [sys.executable, "-m", "longsim", "demo"]
    demo = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True,
                            stdout=subprocess.DEVNULL)  # fmt: skip
    first = demo.stderr.readline()
    time.sleep(pause_s)
    demo.send_signal(signal.SIGINT)
    rest = demo.stderr.read()
    code = demo.wait(timeout=30)
    demo.stderr.close()
    assert first.startswith("simulating sequential")
    assert "Traceback" not in rest
    assert (code, rest.splitlines()[-1]) == (130, "interrupted; no file was left half-written")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_a_comparison_and_its_processes(environment, tmp_path):
    """The signal goes to the whole group, as from a terminal; processes of the comparison must not complain of it."""
    report = tmp_path / "r.html"
    seeds = ",".join(map(str, range(40)))
    command = [sys.executable, "-m", "longsim", "compare", "longcat-flash-decode-h800x128", "--set",
               "routing.draw=sample", "--vary", f"seed={seeds}", "--report", str(report)]  # fmt: skip
    comparison = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True,
                                  stdout=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
    time.sleep(3.0)  # long enough to be at work, a tenth of what the work takes
    os.killpg(comparison.pid, signal.SIGINT)
    _, said = comparison.communicate(timeout=60)
    assert (comparison.returncode, said) == (130, "interrupted; no file was left half-written\n")
    assert list(tmp_path.iterdir()) == []


def test_tables_in_a_pipe_have_room(environment):
    unsized = {name: value for name, value in environment.items() if name != "COLUMNS"}
    command = [sys.executable, "-m", "longsim", "validate", "theory"]
    done = subprocess.run(command, env=unsized, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "KV cache per token, BF16, 56 attentions" in done.stdout


def test_a_reader_that_leaves_early_is_no_error(environment, scenario_file):
    command = [sys.executable, "-m", "longsim", "models", "--json"]
    listing = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    listing.stdout.close()
    said = listing.stderr.read()
    listing.stderr.close()
    assert "Traceback" not in said
    listing.wait(timeout=30)
