from dataclasses import replace

from simulator.differences import critical_path_changes
from simulator.report.comparison_words import comparison_sentences
from simulator.report.words import confidence_line, headline, sentences

METRICS = {
    "step_s": 51.48e-3, "tpot_s": 28.6e-3, "tokens_per_s_per_user": 34.97, "tokens_per_s_per_gpu": 3784.6,
    "comm_s": 20e-3, "exposed_comm_s": 5.2e-3, "overlap_ratio": 0.74, "bound_by": "nic.egress",
    "usd_per_million_output_tokens": 0.1468,
}  # fmt: skip


def test_the_headline_says_what_is_reached_what_is_hidden_what_binds_and_on_what_it_rests(make_answer):
    assert headline(make_answer(metrics=METRICS)) == (
        "128 GPUs reach 3,785 tokens/s/GPU at 35 tokens/s/user; TPOT 28.6 ms; 74 % of the communication is hidden; "
        "what binds is nic.egress; 62 % of the critical path rests on datasheet figures."
    )


def test_an_interval_stands_beside_its_value(make_answer):
    answer = make_answer(metrics=METRICS, interval={"tpot_s": (27e-3, 31e-3)})
    assert "TPOT 28.6 ms (27 ms to 31 ms);" in headline(answer)


def test_a_prefill_speaks_of_its_step(make_answer):
    answer = make_answer(
        scenario={"n_gpus": 32, "phase": "prefill"}, metrics={"step_s": 0.12, "tokens_per_s_per_gpu": 9000.0}
    )
    assert headline(answer).startswith("32 GPUs prefill 9,000 tokens/s/GPU; a step takes 120 ms; ")


def test_a_training_step_needs_no_rate(make_answer):
    answer = make_answer(scenario={"n_gpus": 1, "phase": "train"}, metrics={"step_s": 2.0}, critical_path_by_source={})
    assert headline(answer) == "1 GPU: a step takes 2 s."


def test_an_infeasible_answer_states_its_reason(infeasible):
    assert sentences(infeasible) == [
        "128 GPUs cannot run this: 81.2 GB do not fit the 72 GB a device may use.",
        "The fullest device would need 81.2 GB and may use 72 GB; 108 sequences per GPU fit.",
    ]


def test_the_sentences_behind_the_headline_tell_where_the_time_goes(make_answer):
    said = sentences(make_answer(metrics=METRICS))
    assert (
        "A step takes 51.5 ms; its critical path is, above all, 16.7 ms attention, 9.2 ms dense FFN, "
        "3.19 ms combine and 2.8 ms experts."
    ) in said
    assert "A device communicates for 20 ms of each step, 5.2 ms of it with nothing computed beside." in said
    assert "A million output tokens cost $0.147." in said


def test_confidence_names_every_source_the_surest_first(make_answer):
    shares = {"assumed": 0.1, "datasheet": 0.3, "measured": 0.6, "fitted": 0.0}
    assert confidence_line(make_answer(critical_path_by_source=shares)) == (
        "The critical path rests 60 % on measurements, 30 % on datasheet figures and 10 % on assumptions."
    )


def test_a_prefill_tells_the_price_of_what_it_reads(make_answer):
    metrics = {"step_s": 0.7, "tokens_per_s_per_gpu": 12_000.0, "usd_per_million_input_tokens": 0.125}
    assert "A million input tokens cost $0.125." in sentences(make_answer(metrics=metrics))


def test_confidence_without_measurements_says_so(make_answer):
    assert confidence_line(make_answer(critical_path_by_source={"datasheet": 1.0})) == (
        "The critical path rests 100 % on datasheet figures; no measurement stands behind it."
    )


def kinds(**critical_s):
    return [
        {"kind": kind, "busy_s": 0.0, "exposed_s": 0.0, "critical_s": s, "n_ops": 1} for kind, s in critical_s.items()
    ]


def test_a_comparison_names_the_kinds_that_make_the_difference(make_answer, infeasible):
    slow = make_answer("sequential", metrics=METRICS, kinds=kinds(dispatch=8e-3, combine=9e-3, experts=3e-3))
    better = {"step_s": 41.18e-3, "tpot_s": 22.88e-3, "exposed_comm_s": 1e-3, "tokens_per_s_per_gpu": 4196.0,
              "usd_per_million_output_tokens": 0.1174}  # fmt: skip
    fast = make_answer("sbo", metrics=METRICS | better, kinds=kinds(dispatch=2e-3, combine=4e-3, experts=3.7e-3))
    assert comparison_sentences([slow, fast, replace(infeasible, name="160 sequences")]) == [
        "sbo is fastest (TPOT 22.9 ms) and yields most (4,196 tokens/s/GPU).",
        "sbo: 20 % less time per token than sequential, TPOT 22.9 ms against 28.6 ms. "
        "On the critical path: dispatch −6 ms, combine −5 ms and experts +700 µs. "
        "Exposed communication falls from 5.2 ms to 1 ms per step. "
        "A million tokens cost $0.117 against $0.147 (−20 %).",
        "160 sequences cannot run: 81.2 GB do not fit the 72 GB a device may use.",
    ]


def test_equal_answers_are_not_told_apart(make_answer):
    said = comparison_sentences([make_answer("a"), make_answer("b")])
    assert said[1].startswith("b: the same time per token as a, ")
    assert "No kind of op changes its part of the critical path." in said[1]
    assert "Exposed communication stays at 3.9 ms per step." in said[1]


def test_a_kind_that_one_answer_lacks_counts_in_full(make_answer):
    before, after = make_answer(kinds=kinds(dispatch=2e-3)), make_answer(kinds=kinds(attention_tp=1e-3))
    assert critical_path_changes(before, after) == {"dispatch": -2e-3, "attention_tp": 1e-3}


def test_even_and_uneven_loads_are_told_apart(make_answer):
    even = sentences(make_answer(metrics={**METRICS, "load_imbalance": 1.0}))
    uneven = sentences(make_answer(metrics={**METRICS, "load_imbalance": 1.2}))
    assert "Routed tokens are spread evenly over the ranks." in even
    assert "The most loaded rank gets 1.2 times the mean of routed tokens." in uneven
