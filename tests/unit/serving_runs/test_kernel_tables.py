"""Kernel tables: what is read stands there again, exactly; what cannot be read is said."""

import numpy as np
import pandas as pd
import pytest
from attention_grids import two_grids

from hw_profiles.faults import InputFaults
from validation.serving.attention_table import attention_table
from validation.serving.expert_table import expected_activated, expert_table
from validation.serving.kernel_tables import read_kernel_tables, table_degrees
from validation.serving.lines import Line, sum_of_lines


def test_a_line_is_straight_between_its_points_and_goes_on_beyond_them():
    line = Line(xs=[1.0, 3.0, 4.0], seconds=[10.0, 30.0, 60.0])
    assert [line.at(x) for x in (0.0, 1.0, 2.0, 3.0, 3.5, 4.0, 5.0)] == [0.0, 10.0, 20.0, 30.0, 45.0, 60.0, 90.0]
    assert [line.covers(x) for x in (0.5, 1.0, 4.0, 4.5)] == [False, True, True, False]


def test_a_sum_of_lines_is_exact_at_the_points_of_each():
    left, right = Line(xs=[0.0, 2.0], seconds=[0.0, 2.0]), Line(xs=[0.0, 1.0, 2.0], seconds=[0.0, 5.0, 0.0])
    both = sum_of_lines([left, right])
    assert [both.at(x) for x in (0.0, 0.5, 1.0, 1.5, 2.0)] == [0.0, 3.0, 6.0, 4.0, 2.0]


def test_attention_is_exact_at_every_measured_point_of_both_grids():
    rows = two_grids(np.random.default_rng(1))
    table = attention_table(rows)
    for row in rows.itertuples():
        read = table.at(chunk=row.prefill_chunk, history=row.kv_prefill, n_decode=row.n_decode, context=row.kv_decode)
        assert read == row.seconds


def test_attention_in_proportion_to_sequences_and_contexts_is_kept_between_the_points():
    rows = pd.DataFrame(
        [(0, 0, n, kv, float(n * kv)) for n in (1, 4, 16) for kv in (16, 256, 1024)],
        columns=["prefill_chunk", "kv_prefill", "n_decode", "kv_decode", "seconds"],
    )
    # a product is linear in each factor, so that interpolation in one after the other is exact but for rounding
    assert attention_table(rows).at(chunk=0, history=0, n_decode=7, context=500) == pytest.approx(3500, rel=1e-12)


def test_experts_are_exact_at_measured_points():
    points = [(1, 2, 5.0), (8, 2, 6.0), (8, 10, 14.0)]
    table = expert_table(pd.DataFrame(points, columns=["tokens", "activated_experts", "seconds"]))
    assert [table.at(tokens, activated) for tokens, activated, _ in points] == [5.0, 6.0, 14.0]
    assert table.at(8, 6) == 10.0


def test_one_token_activates_its_picks_and_many_activate_all():
    assert expected_activated(128, 8, 1) == pytest.approx(8)
    assert expected_activated(128, 8, 1e6) == pytest.approx(128)
    assert expected_activated(4, 1, 2) == pytest.approx(4 * (1 - 0.75**2))


def test_a_folder_is_read_with_its_degrees(run_folder):
    tables = read_kernel_tables(run_folder, 1)
    assert table_degrees(run_folder) == [1]
    assert (tables.gpu, tables.model, tables.degree) == ("Toy GPU", "toy", 1)
    assert tables.dense["qkv_proj"].at(100) == pytest.approx(1e-3)
    assert tables.experts is None


def test_repeated_measurements_of_a_point_are_averaged(run_folder):
    with (run_folder / "tp1_dense.csv").open("a") as file:
        file.write("\nqkv_proj,100,2000.0\n")
    assert read_kernel_tables(run_folder, 1).dense["qkv_proj"].at(100) == pytest.approx(1.5e-3)


def test_attention_kernels_of_one_layer_add_up_and_speculative_rows_stay_out(run_folder):
    rows = ["attention,16,0,0,0,1,3.0", "indexer,16,0,0,0,1,2.0", "attention,16,0,0,0,4,50.0"]
    header = "layer,prefill_chunk,kv_prefill,n_decode,kv_decode,decode_q_len,time_us"
    (run_folder / "tp1_attention.csv").write_text("\n".join([header, *rows]))
    attention = read_kernel_tables(run_folder, 1).attention
    assert attention.at(chunk=16, history=0, n_decode=0, context=0) == pytest.approx(5e-6)


def test_tables_in_a_folder_of_their_degree_are_read_too(run_folder):
    nested = run_folder / "tp1"
    nested.mkdir()
    for kind in ("dense", "per_sequence", "attention"):
        (run_folder / f"tp1_{kind}.csv").rename(nested / f"{kind}.csv")
    assert table_degrees(run_folder) == [1]
    assert read_kernel_tables(run_folder, 1).dense["qkv_proj"].at(1) == pytest.approx(10e-6)


BROKEN = {
    "a missing table": ("tp1_attention.csv", None, "No such file"),
    "a missing column": ("tp1_dense.csv", "layer,tokens\nqkv_proj,1\n", "no time_us"),
    "no rows": ("tp1_per_sequence.csv", "layer,sequences,time_us\n", "no rows"),
    "a time of nothing": ("tp1_dense.csv", "layer,tokens,time_us\nqkv_proj,1,0\n", "line 2"),
    "a word for a size": ("tp1_dense.csv", "layer,tokens,time_us\nqkv_proj,few,5\n", "'few' in column tokens"),
    "no GPU": ("profile_meta.yaml", "model: toy\n", "no gpu"),
    "no YAML": ("profile_meta.yaml", "gpu: [", "while parsing"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_table_is_named(run_folder, fault):
    name, text, said = BROKEN[fault]
    (run_folder / name).unlink()
    if text is not None:
        (run_folder / name).write_text(text)
    with pytest.raises(InputFaults, match=name) as caught:
        read_kernel_tables(run_folder, 1)
    assert said in str(caught.value)


def test_all_broken_tables_are_named_at_once(run_folder):
    for name in ("tp1_dense.csv", "tp1_attention.csv", "profile_meta.yaml"):
        (run_folder / name).unlink()
    with pytest.raises(InputFaults) as caught:
        read_kernel_tables(run_folder, 1)
    assert len(caught.value.faults) == 3
