"""The table of measurements: written row by row, read back, whole after every kind of end."""

import errno
import os
from dataclasses import replace

import pytest

from hw_profiles.faults import InputFaults
from validation.measurements import (
    COLUMNS,
    META_FILE,
    OLD_COLUMNS,
    TABLE_FILE,
    Measurement,
    append_measurement,
    read_measurements,
    read_meta,
    write_meta,
)

ROW = Measurement(
    suite="quick", kernel="gemm", op="attention.q_a", shape={"m": 8, "n": 96, "k": 384}, dtype="fp32",
    device='Chip "X", 2 cores', median_s=1.25e-5, spread=0.03, n_repeats=20, n_rounds=2, flops=589_824.0,
)  # fmt: skip
OTHER = replace(ROW, op="copy", shape={"bytes": 65536}, flops=None, moved_bytes=131072.0, marked="spread 0.2 above 0.1",
                outcome={"rows": 7, "most": 4})  # fmt: skip
OLD_TABLE = ",".join(OLD_COLUMNS) + "\nlayers,layer,scmoe_layer,{},fp32,Chip,,,2.0,0.01,20,1,\n"


def test_rows_come_back_as_they_were_written(tmp_path):
    append_measurement(tmp_path, ROW)
    append_measurement(tmp_path, OTHER)
    assert read_measurements(tmp_path) == [ROW, OTHER]


def test_of_two_rows_of_one_thing_the_later_counts(tmp_path):
    again = replace(ROW, median_s=2.5e-5)
    for row in (ROW, OTHER, again):
        append_measurement(tmp_path, row)
    assert read_measurements(tmp_path) == [again, OTHER]


def test_a_table_without_outcomes_still_reads_and_goes_on(tmp_path):
    (tmp_path / TABLE_FILE).write_text(OLD_TABLE)
    (old,) = read_measurements(tmp_path)
    assert (old.median_s, old.outcome) == (2.0, {})
    append_measurement(tmp_path, OTHER)
    assert read_measurements(tmp_path) == [old, OTHER]


def test_what_came_out_is_no_part_of_what_was_measured():
    assert replace(ROW, outcome={"rows": 1}).key == ROW.key


def test_a_folder_without_a_table_has_no_rows(tmp_path):
    assert read_measurements(tmp_path) == []
    assert read_meta(tmp_path) == {}


def test_the_header_names_the_columns(tmp_path):
    append_measurement(tmp_path, ROW)
    assert (tmp_path / TABLE_FILE).read_text().splitlines()[0] == ",".join(COLUMNS)


def test_a_line_cut_off_by_a_crash_is_left_out_and_then_overwritten(tmp_path):
    append_measurement(tmp_path, ROW)
    with (tmp_path / TABLE_FILE).open("a") as file:
        file.write("quick,gemm,torn")
    assert read_measurements(tmp_path) == [ROW]
    append_measurement(tmp_path, OTHER)
    assert read_measurements(tmp_path) == [ROW, OTHER]


def test_a_header_cut_off_by_a_crash_is_written_again(tmp_path):
    (tmp_path / TABLE_FILE).write_text("suite,ker")
    append_measurement(tmp_path, ROW)
    assert read_measurements(tmp_path) == [ROW]


def test_a_full_disk_leaves_the_rows_before(tmp_path, monkeypatch):
    append_measurement(tmp_path, ROW)

    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        append_measurement(tmp_path, OTHER)
    assert read_measurements(tmp_path) == [ROW]


def test_every_line_that_is_no_measurement_is_named(tmp_path):
    append_measurement(tmp_path, ROW)
    with (tmp_path / TABLE_FILE).open("a") as file:
        file.write("a,b\n" + "x," * 12 + "y\n")
    with pytest.raises(InputFaults) as caught:
        read_measurements(tmp_path)
    assert [fault.field.rpartition(":")[2] for fault in caught.value.faults] == ["3", "4"]


@pytest.mark.parametrize("median_s", ["0.0", "-1.0", "nan", "inf"])
def test_a_time_that_cannot_be_is_refused(tmp_path, median_s):
    append_measurement(tmp_path, OTHER)
    path = tmp_path / TABLE_FILE
    path.write_text(path.read_text().replace(",1.25e-05,", f",{median_s},"))
    with pytest.raises(InputFaults, match=f"median_s {median_s}, which is no time above 0"):
        read_measurements(tmp_path)


def test_a_shape_that_names_nothing_is_refused(tmp_path):
    append_measurement(tmp_path, replace(OTHER, shape={}))
    path = tmp_path / TABLE_FILE
    path.write_text(path.read_text().replace(",{},", ",3,"))
    with pytest.raises(InputFaults, match="3, which is no JSON object"):
        read_measurements(tmp_path)


def test_a_table_of_other_columns_is_refused(tmp_path):
    (tmp_path / TABLE_FILE).write_text("m,n,k\n1,2,3\n")
    with pytest.raises(InputFaults, match="suite, kernel, op"):
        read_measurements(tmp_path)


def test_two_rows_of_one_thing_have_one_key_whatever_the_order_of_the_shape():
    assert replace(ROW, shape={"k": 384, "n": 96, "m": 8}, median_s=1.0).key == ROW.key
    assert replace(ROW, dtype="bf16").key != ROW.key


def test_meta_is_replaced_whole(tmp_path):
    write_meta(tmp_path, {"version": 1})
    write_meta(tmp_path, {"version": 1, "runs": [{"device": "é"}]})
    assert read_meta(tmp_path) == {"version": 1, "runs": [{"device": "é"}]}
    assert [path.name for path in tmp_path.iterdir()] == [META_FILE]


@pytest.mark.parametrize("text", ["{", "[1]", "null"])
def test_meta_that_is_no_json_object_is_refused(tmp_path, text):
    (tmp_path / META_FILE).write_text(text)
    with pytest.raises(InputFaults, match=META_FILE):
        read_meta(tmp_path)
