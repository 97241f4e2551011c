"""Many answers side by side: the table, the figures of the best few, the section of the page."""

from dataclasses import replace

import numpy as np
import pytest

from simulator.amounts import KindAmounts
from simulator.report.candidates_table import candidates_table
from simulator.report.comparison_figures import rates_figure
from simulator.report.comparison_section import MOST_DRAWN, comparison_section
from simulator.report.layer_figure import layer_figure
from simulator.report.load_figure import load_figure, over_mean
from simulator.report.traffic_figure import traffic_figure


def sent(kind, **sent_bytes):
    return KindAmounts(kind=kind, n_kernels=1, flops_max=0.0, hbm_bytes_max=0.0, sent_bytes=sent_bytes)


def test_the_best_is_first_and_marked_what_cannot_run_is_last_with_its_reason(make_answer, infeasible):
    rows = candidates_table([infeasible, make_answer("slow", step_s=50e-3), make_answer("fast", step_s=25e-3)])
    assert rows["name"].tolist() == ["fast", "slow", "too many sequences"]
    assert rows["mark"].tolist() == ["★", "", ""]
    assert rows["reason"].tolist() == ["", "", "81.2 GB do not fit the 72 GB a device may use"]
    assert rows["step"].tolist() == ["25 ms", "50 ms", "does not fit"]


def test_a_row_tells_time_rates_exposure_traffic_load_memory_and_room(make_answer):
    answer = make_answer("a", step_s=36e-3, interval={"step_s": (34e-3, 39e-3)})
    row = candidates_table([answer]).iloc[0]
    assert (row["step"], row["interval"], row["tgs"], row["tps"]) == ("36 ms", "34–39 ms", "4,800", "50")
    assert (row["dispatch"], row["combine"]) == ("1.3 ms", "4.59 ms")  # 36 ms less 31.41 ms of all others
    assert (row["bytes"], row["load"], row["balancedness"]) == ("310 MB nvlink, 590 MB nic", "1.25×", "0.8")
    assert (row["memory"], row["room"], row["bound"]) == ("66.9 GB (93 %)", "108", "nic.egress")


def test_layers_start_at_zero_on_one_axis_in_the_same_colours(make_answer):
    drawn = layer_figure([make_answer("a"), make_answer("b", speedup=2.0)])
    starts = [min(trace.base) for trace in drawn.data]
    assert min(starts) == 0.0
    names = [trace.name for trace in drawn.data]
    assert len(names) == len(set(names))  # one colour and one legend entry per kind, whatever the answers
    assert [note.text.partition(" ")[0] for note in drawn.layout.annotations] == ["<b>a</b>", "<b>b</b>"]


def test_an_answer_without_a_timeline_has_no_panel(make_answer, infeasible):
    assert len(layer_figure([make_answer("a"), infeasible]).layout.annotations) == 1


def test_loads_are_over_the_mean_of_their_layer():
    assert over_mean(np.array([[1.0, 3.0], [0.0, 0.0]])).tolist() == [[0.5, 1.5], [1.0, 1.0]]


def test_maps_share_one_scale_from_cold_through_the_mean_to_hot(make_answer):
    hot = replace(make_answer("hot"), expert_rows_LR=np.array([[1.0, 1.0, 1.0, 5.0]]))
    even = replace(make_answer("even"), expert_rows_LR=np.ones((3, 4)))
    drawn = load_figure([hot, even, make_answer("unknown")])
    assert [np.shape(trace.z) for trace in drawn.data] == [(1, 4), (3, 4)]
    scale = drawn.layout.coloraxis
    assert (scale.cmin, scale.cmax) == (0.0, 2.5)
    assert scale.colorscale[1][0] == pytest.approx(1.0 / 2.5)  # the mean


def test_without_routed_rows_there_is_no_map(make_answer):
    assert load_figure([make_answer("a")]) is None


def test_traffic_is_by_kind_and_tier_from_near_to_far(make_answer):
    one = make_answer("one", amounts=[sent("combine", nic=6e6, local=2e6), sent("attention")])
    two = make_answer("two", amounts=[sent("combine", nvlink=4e6)])
    (matrix,) = traffic_figure([one, two]).data
    assert list(matrix.x) == ["combine<br>local", "combine<br>nvlink", "combine<br>nic"]
    assert [list(row) for row in matrix.text] == [["2 MB (25 %)", "–", "6 MB (75 %)"], ["–", "4 MB (100 %)", "–"]]
    assert [list(row) for row in matrix.z] == [[0.25, 0.0, 0.75], [0.0, 1.0, 0.0]]


def test_without_traffic_there_is_no_matrix(make_answer):
    assert traffic_figure([make_answer("a")]) is None


def test_rates_of_many_are_the_named_ones_and_a_cloud(make_answer):
    drawn = rates_figure([make_answer("a")], [make_answer("b"), make_answer("c")])
    assert [trace.name for trace in drawn.data] == ["2 others", "a"]


def test_a_hundred_candidates_are_all_in_the_table_and_a_few_in_the_figures(make_answer):
    one = make_answer("0")
    metrics = [{**one.metrics, "tokens_per_s_per_gpu": 9000.0 - n} for n in range(100)]
    answers = [replace(one, name=f"candidate {n}", metrics=m) for n, m in enumerate(metrics)]
    page = comparison_section(answers, None)
    assert page.count("<tr>") == 101
    assert f"The best {MOST_DRAWN} of 100." in page
    assert "candidate 0 is fastest" in page
