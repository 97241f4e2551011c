import pytest

from simulator.report.comparison_figures import comparison_figure, rates_figure
from simulator.report.figures import breakdown_figure, memory_figure, sources_figure
from simulator.report.rank_choice import middle_window, shown_ranks
from simulator.report.timeline_figure import timeline_figure


def test_the_ranks_shown_are_hottest_median_and_coldest(timeline):
    assert [(rank.label, rank.device) for rank in shown_ranks(timeline)] == [
        ("hottest", 5),
        ("median", 0),
        ("coldest", 17),
    ]


def test_the_median_counts_every_rank_of_a_class(make_timeline):
    ranks = shown_ranks(make_timeline({0: (1.2, 2), 2: (1.1, 2), 4: (1.0, 60), 64: (0.9, 2)}, n_layers=1))
    assert [(rank.label, rank.device) for rank in ranks] == [("hottest", 0), ("median", 4), ("coldest", 64)]


def test_two_classes_are_hottest_and_coldest(make_timeline):
    ranks = shown_ranks(make_timeline({0: (1.0, 100), 100: (1.2, 28)}, n_layers=1))
    assert [(rank.label, rank.device) for rank in ranks] == [("hottest", 100), ("coldest", 0)]


def test_one_class_is_every_rank(make_timeline):
    (rank,) = shown_ranks(make_timeline({0: (1.0, 128)}, n_layers=1))
    assert (rank.label, rank.n_alike) == ("every rank", 128)


def test_the_window_covers_the_middle_layers(timeline):
    one_rank = timeline[timeline["rank"] == 0]
    layers = one_rank[one_rank["layer"].isin([13, 14])]
    assert middle_window(one_rank, 2) == (layers["start_s"].min(), layers["end_s"].max())


def test_the_window_of_a_step_without_layers_is_the_step(timeline):
    tail = timeline[timeline["layer"] < 0]
    assert middle_window(tail, 2) == (tail["start_s"].min(), tail["end_s"].max())


def drawn_ops(figure):
    return [trace for trace in figure.data if trace.name not in ("waiting for other ranks", "critical path")]


def test_the_timeline_draws_every_op_of_the_ranks_shown(timeline):
    assert sum(len(trace.x) for trace in drawn_ops(timeline_figure(timeline))) == len(timeline)


def test_bars_and_waits_together_are_the_time_of_the_ops_in_ms(timeline):
    figure = timeline_figure(timeline)
    bars_ms = sum(sum(trace.x) for trace in figure.data)
    # each of the 2 × 2,358 numbers is rounded to a nanosecond
    assert bars_ms == pytest.approx((timeline["end_s"] - timeline["start_s"]).sum() * 1e3, abs=5e-3)


def test_the_timeline_opens_on_two_layers_and_offers_one_four_and_all(timeline):
    figure = timeline_figure(timeline)
    (menu,) = figure.layout.updatemenus
    assert [button.label for button in menu.buttons] == ["one layer", "two layers", "four layers", "whole step"]
    assert list(figure.layout.xaxis.range) == menu.buttons[1].args[0]["xaxis.range"]
    widths = [end - start for start, end in (button.args[0]["xaxis.range"] for button in menu.buttons)]
    assert widths == sorted(widths)


def test_rows_are_the_streams_of_each_rank(timeline):
    figure = timeline_figure(timeline)
    assert list(figure.layout.yaxis.ticktext) == ["main", "comm"] * 3


def test_the_critical_path_is_marked_on_its_rank_only(make_answer):
    answer = make_answer()
    figure = timeline_figure(answer.timeline, answer.critical_path)
    (marks,) = [trace for trace in figure.data if trace.name == "critical path"]
    assert len(marks.x) == len(answer.critical_path)


def test_hovering_tells_op_layer_times_amounts_and_source(timeline):
    (experts,) = [trace for trace in timeline_figure(timeline).data if trace.name == "experts"]
    op, layer, _, duration, wait, flops, n_bytes, source = experts.customdata[0]
    assert (op, layer, duration, wait) == ("experts.gate_up", "0", "62 µs", "")
    assert (flops, n_bytes, source) == ("24 GFLOP", "100 MB", "datasheet")


def test_the_breakdown_shows_each_kind_busy_exposed_and_critical(make_answer):
    traces = {trace.name: list(trace.x) for trace in breakdown_figure(make_answer()).data}
    assert traces["dispatch"] == pytest.approx([5.6, 1.3, 1.3])
    assert traces["attention"] == pytest.approx([16.7, 0.0, 16.7])


def test_memory_is_in_gb_with_its_limit(make_answer):
    figure = memory_figure(make_answer())
    assert {trace.name: trace.x[0] for trace in figure.data}["KV cache"] == pytest.approx(28.4)
    assert figure.layout.shapes[0].x0 == 72.0


def test_sources_run_from_sure_to_unsure(make_answer):
    assert [trace.name for trace in sources_figure(make_answer()).data] == ["published", "datasheet", "assumed"]


def test_a_comparison_has_a_bar_for_every_answer_that_fits(make_answer, infeasible):
    figure = comparison_figure([make_answer("a"), make_answer("b", step_s=40e-3), infeasible])
    bars_ms = [sum(trace.x[position] for trace in figure.data) for position in range(2)]
    assert list(figure.data[0].y) == ["a", "b"]
    assert bars_ms == pytest.approx([34.6, 40.0])


def test_rates_leave_out_what_has_none(make_answer, infeasible):
    assert [trace.name for trace in rates_figure([make_answer("a"), infeasible]).data] == ["a"]


def test_names_do_not_become_markup(make_answer):
    figure = comparison_figure([make_answer("<b>a</b>")])
    assert list(figure.data[0].y) == ["&lt;b&gt;a&lt;/b&gt;"]
