import pandas as pd
import pytest

from hw_profiles.faults import InputFaults
from validation.kernel_families import GEMM
from validation.tables import read_table

ROWS = pd.DataFrame(
    {"system": "h100", "dtype": "bfloat16", "m": [1, 64, 128], "n": 6144, "k": 512, "latency_us": [5.0, 30.0, 7.0]}
)


def write(tmp_path, rows):
    path = tmp_path / "gemm.csv"
    rows.to_csv(path, index=False)
    return path


def test_a_table_is_read_in_seconds_with_a_split_that_repeats(tmp_path):
    first, again = (read_table(GEMM.table, write(tmp_path, ROWS)) for _ in range(2))
    assert first["seconds"].tolist() == pytest.approx([5e-6, 3e-5, 7e-6])
    assert first["split"].tolist() == again["split"].tolist()


def test_a_row_slower_than_a_larger_one_is_a_fault(tmp_path):
    assert read_table(GEMM.table, write(tmp_path, ROWS))["fault"].tolist() == ["", "slower than a larger m", ""]


def test_a_shape_is_held_out_on_every_machine_at_once(tmp_path):
    both = pd.concat([ROWS, ROWS.assign(system="h200")])
    frame = read_table(GEMM.table, write(tmp_path, both))
    assert frame.groupby("m")["split"].nunique().max() == 1


def test_a_unitless_table_is_refused_by_column(tmp_path):
    with pytest.raises(InputFaults, match="latency_us: got no such column"):
        read_table(GEMM.table, write(tmp_path, ROWS.rename(columns={"latency_us": "latency"})))


def test_negative_and_missing_times_are_refused(tmp_path):
    with pytest.raises(InputFaults, match="seconds: got 2 rows"):
        read_table(GEMM.table, write(tmp_path, ROWS.assign(latency_us=[-1.0, None, 3.0])))


@pytest.mark.parametrize("text", ["", "system,dtype,m,n,k,latency_us\n"])
def test_an_empty_table_is_refused(tmp_path, text):
    path = tmp_path / "gemm.csv"
    path.write_text(text)
    with pytest.raises(InputFaults):
        read_table(GEMM.table, path)
