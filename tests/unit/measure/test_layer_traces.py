"""A recorded layer beside its prediction: the name of its file says what was run."""

import pytest

pytest.importorskip("torch", reason="what names the files records with torch")

from hw_profiles.faults import InputFaults
from hw_profiles.loader import load_profile
from validation.layer_predictions import Target
from validation.layer_traces import read_layer_trace
from validation.measure.recording import trace_name
from validation.measurements import Measurement
from workloads.zoo import tiny

SHAPE = {"batch": 2, "new": 1, "context": 8, "ranks": 1, "order": "sbo", "zero": "skip"}
ROW = Measurement(
    suite="layers", kernel="layer", op="scmoe_layer", shape=SHAPE, dtype="fp32", device="fake", median_s=1e-3,
    spread=0.0, n_repeats=20,
)  # fmt: skip


@pytest.mark.parametrize(
    "strange", [{"order": "backwards"}, {"zero": "remap"}, {"batch": "many"}, {"ranks": ""}], ids=str
)
def test_a_file_that_names_no_layer_is_refused(tmp_path, strange):
    target = Target(profile=load_profile("cpu_core"), fitted={})
    path = tmp_path / trace_name(SHAPE | strange)
    with pytest.raises(InputFaults, match=r"--trace: got .*; allowed a file of a measurement's traces folder"):
        read_layer_trace(path, tiny(), target, [ROW])


def test_a_file_that_is_not_there_is_told_as_such(tmp_path):
    target = Target(profile=load_profile("cpu_core"), fitted={})
    with pytest.raises(InputFaults, match="no file"):
        read_layer_trace(tmp_path / trace_name(SHAPE), tiny(), target, [ROW])
