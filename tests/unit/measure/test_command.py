"""The command: a table on disk, continued where it was left, and words for everything that can go wrong."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="measuring needs torch")

from hw_profiles.faults import InputFaults
from validation.measure import runner
from validation.measure.command import Options, measure
from validation.measure.ranks import Ranks
from validation.measure.suites import cases_of
from validation.measurements import TABLE_FILE, append_measurement, read_measurements, read_meta

torch.set_num_threads(1)
ROOT = Path(__file__).parents[3]


def measured(folder, **options):
    """The exit code and the words of one run of the tiny model."""
    words = []
    return measure(
        Options(out=folder, **{"model": "tiny", "share": 1.0, "suite": "layers"} | options), words.append
    ), words


@pytest.mark.usefixtures("small")
def test_a_suite_ends_as_a_table_with_its_environment(tmp_path):
    code, words = measured(tmp_path / "new", suite="quick")
    rows, meta = read_measurements(tmp_path / "new"), read_meta(tmp_path / "new")
    assert code == 0
    assert words[-1] == f"{len(rows)} measurements in {tmp_path / 'new'}"
    assert all(row.median_s > 0 and row.n_repeats >= 20 and row.suite == "quick" for row in rows)
    assert meta["subject"]["model"] == "tiny"
    assert meta["subject"]["spec"]["hidden"] == 64
    (run,) = meta["runs"]
    assert {"date", "command", "device", "torch", "python", "n_threads", "rule", "suite"} <= set(run)


@pytest.mark.usefixtures("small")
def test_progress_tells_what_was_measured_and_the_time_left(tmp_path):
    _, words = measured(tmp_path)
    assert words[0].startswith("[1/4] scmoe_layer batch=2 new=1 context=8 ranks=1 order=in_turn zero=skip fp32: ")
    assert words[3].endswith("; 0 s left")


@pytest.mark.usefixtures("small")
def test_a_finished_table_is_not_measured_again(tmp_path):
    measured(tmp_path)
    rows = read_measurements(tmp_path)
    code, words = measured(tmp_path)
    assert (code, words[0]) == (0, "4 of 4 measured before")
    assert read_measurements(tmp_path) == rows
    assert len(read_meta(tmp_path)["runs"]) == 2


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("error", "code", "said"), [
    (KeyboardInterrupt(), 130, "interrupted; 1 measurements in {out}; the same command goes on from there"),
    (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), 2,
     "--out: got '{out}', No space left on device; 1 measurements in {out}; free some space or choose another folder"),
])  # fmt: skip
def test_what_was_measured_before_the_end_is_kept_and_continued(tmp_path, monkeypatch, error, code, said):
    def fail_at_the_second(folder, row):
        if read_measurements(folder):
            raise error
        append_measurement(folder, row)

    with monkeypatch.context() as patch:
        patch.setattr(runner, "append_measurement", fail_at_the_second)
        assert measured(tmp_path)[0] == code
        assert measured(tmp_path)[1][-1] == said.format(out=tmp_path)
    assert measured(tmp_path)[0] == 0
    assert len(read_measurements(tmp_path)) == 4


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("n_kept", [1, 2, 3])
def test_a_group_cut_in_two_is_measured_again_whole(tmp_path, n_kept):
    """Four rows: a decode and a prefill, each with and without zero-computation experts, by turns."""
    measured(tmp_path)
    table = tmp_path / TABLE_FILE
    table.write_bytes(b"".join(table.read_bytes().splitlines(keepends=True)[: 1 + n_kept]))
    _, words = measured(tmp_path)
    assert [word.partition("]")[0] for word in words if word.startswith("[")] == (
        ["[1/4", "[2/4", "[3/4", "[4/4"] if n_kept == 1 else ["[1/2", "[2/2"]
    )
    assert len(read_measurements(tmp_path)) == 4


@pytest.mark.usefixtures("small")
def test_a_layer_tells_how_many_rows_it_dispatched(tmp_path):
    """Three choices per token, of 8 experts and, under skip, of 4 more that send nothing; 2 tokens, then 5."""
    measured(tmp_path)
    outcome = {(row.shape["new"], row.shape["zero"]): row.outcome for row in read_measurements(tmp_path)}
    assert outcome[1, "none"]["rows"] == outcome[1, "none"]["most"] == 2 * 3
    assert outcome[5, "none"]["rows"] == 5 * 3
    for new, tokens in ((1, 2), (5, 5)):
        skip = outcome[new, "skip"]
        assert 0 < skip["rows"] == skip["most"] < 3 * tokens
        assert skip["active"] <= min(8, skip["rows"])


@pytest.mark.usefixtures("small")
def test_what_does_not_fit_is_skipped_and_named(tmp_path, monkeypatch):
    def too_large(*_):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(runner, "time_by_turns", too_large)
    assert measured(tmp_path)[0] == 0
    assert all(line.endswith("out of memory") for line in read_meta(tmp_path)["skipped"])


@pytest.mark.usefixtures("small")
def test_what_slows_the_device_marks_the_row(tmp_path, monkeypatch):
    monkeypatch.setattr("validation.measure.command.slowed_by", lambda _device: "power cap")
    measured(tmp_path)
    assert read_measurements(tmp_path)[0].marked == "slowed by power cap"


@pytest.mark.usefixtures("small")
def test_a_folder_of_another_model_is_refused(tmp_path):
    measured(tmp_path)
    code, words = measured(tmp_path, share=0.5)
    assert code == 2
    assert "which holds share 1.0" in words[-1]


@pytest.mark.usefixtures("small")
def test_orders_of_a_layer_are_measured_side_by_side(tmp_path):
    assert measured(tmp_path, suite="overlap")[0] == 0
    orders = [row.shape["order"] for row in read_measurements(tmp_path)]
    assert orders == ["in_turn", "sbo", "two_stream"] * 4


def test_between_processes_nothing_is_emulated():
    with pytest.raises(InputFaults, match="'emulation' in 2 processes"):
        cases_of("emulation", None, Ranks(n_ranks=2))


@pytest.mark.parametrize(("options", "said"), [
    ({"device": "tpu"}, "--device: got 'tpu'"),
    ({"suite": "quik"}, "did you mean 'quick'?"),
    ({"model": "longcat"}, "did you mean 'longcat_2'?"),
    ({"dtype": "int3"}, "--dtype: got 'int3'"),
    ({"share": 2.0}, "--share: got 2; allowed above 0, at most 1"),
    ({"model": "mixtral_8x7b", "share": 0.01}, "allowed a model of block 'scmoe'"),
    ({"suite": "collectives"}, "torchrun --nproc-per-node 2"),
])  # fmt: skip
def test_wrong_input_is_refused_in_words(tmp_path, options, said):
    code, words = measured(tmp_path, **options)
    assert code == 2
    assert said in "\n".join(words)


def test_without_a_gpu_cuda_is_refused_kindly(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    code, words = measured(tmp_path, device="cuda")
    assert (code, words) == (2, ["--device: got 'cuda', but torch sees no CUDA device; allowed cpu here; check "
                                 "nvidia-smi and install torch with CUDA"])  # fmt: skip


BARE = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"pandas", "scipy", "pydantic", "networkx", "simpy", "typer", "rich", "plotly"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocker())
import torch
torch.set_num_threads(1)
from validation.measure.__main__ import measure, parse
from validation.measure import command
from dataclasses import replace
sizes_of = command.sizes_of
command.sizes_of = lambda *at: replace(sizes_of(*at), batches=(2,), contexts=(8,), prompts=(5,))
sys.exit(measure(parse(sys.argv[1:])))
"""


def test_a_bare_node_with_torch_and_numpy_alone_can_measure(tmp_path):
    words = ["--out", tmp_path, "--suite", "layers", "--model", "tiny", "--share", "1"]
    run = [sys.executable, "-W", "error", "-c", BARE, *words]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert len(read_measurements(tmp_path)) == 4


def test_the_front_door_knows_the_command(tmp_path):
    run = [sys.executable, "-m", "longsim", "measure", "--out", tmp_path, "--suite", "collectives"]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "torchrun" in done.stderr
