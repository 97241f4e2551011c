from dataclasses import replace

from simulator.amounts import KindAmounts
from simulator.differences import critical_path_changes
from simulator.report.comparison_words import comparison_sentences, difference_sentence
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


def amounts(kind, **changes):
    return KindAmounts(**{"kind": kind, "n_kernels": 28, "flops_max": 0.0, "hbm_bytes_max": 0.0} | changes)


def test_a_comparison_names_the_kinds_that_make_the_difference_and_the_amounts_behind_them(make_answer, infeasible):
    slow = make_answer(
        "EP32", metrics=METRICS, kinds=kinds(dispatch=8e-3, combine=40.28e-3, experts=3.2e-3),
        amounts=[amounts("experts", hbm_bytes_max=45e9), amounts("combine", hidden_s=0.0),
                 amounts("dispatch", remote_bytes=6e6)],
    )  # fmt: skip
    better = {"step_s": 41.48e-3, "tpot_s": 22.88e-3, "exposed_comm_s": 1e-3, "tokens_per_s_per_gpu": 4731.0}
    fast = make_answer(
        "EP128", metrics=METRICS | better, warnings=[], kinds=kinds(dispatch=9e-3, combine=30.28e-3, experts=2.2e-3),
        amounts=[amounts("experts", hbm_bytes_max=22e9), amounts("combine", hidden_s=10e-3),
                 amounts("dispatch", remote_bytes=7e6)],
    )  # fmt: skip
    assert comparison_sentences([slow, fast, replace(infeasible, name="160 sequences")]) == [
        "EP128 is fastest (TPOT 22.9 ms) and yields most (4,731 tokens/s/GPU).",
        "EP128 against EP32: +25 % tokens/s/GPU; a step takes 41.5 ms instead of 51.5 ms. "
        "It wins 10 ms on combine (10 ms of it beside the critical path instead of 0 s); "
        "1 ms on experts (the busiest rank reads 22 GB of weights instead of 45 GB). "
        "It loses 1 ms on dispatch (a rank sends 7 MB to other nodes instead of 6 MB).",
        "160 sequences cannot run: 81.2 GB do not fit the 72 GB a device may use.",
    ]


def test_the_best_is_named_with_its_warnings_those_of_the_others_stand_in_their_own_parts(make_answer):
    best = make_answer("a", metrics=METRICS | {"tokens_per_s_per_gpu": 2.0}, warnings=["half is extrapolated"])
    other = make_answer("b", metrics=METRICS | {"tokens_per_s_per_gpu": 1.0}, warnings=["all is assumed"])
    said = comparison_sentences([other, best])
    assert "Of a: half is extrapolated." in said
    assert not any("assumed" in sentence for sentence in said)


def test_what_is_left_after_the_largest_parts_is_won_or_lost(make_answer):
    names = ("attention", "dense_ffn", "experts", "dispatch", "combine")
    long, short = ({name: (5 - at) * ms * 1e-3 for at, name in enumerate(names)} for ms in (2.0, 1.0))
    slow = make_answer("slow", metrics=METRICS | {"step_s": 30e-3, "tokens_per_s_per_gpu": 1.0}, kinds=kinds(**long))
    fast = make_answer("fast", metrics=METRICS | {"step_s": 15e-3, "tokens_per_s_per_gpu": 2.0}, kinds=kinds(**short))
    assert difference_sentence(fast, slow).endswith("2 ms on dispatch. All else wins 1 ms.")
    assert difference_sentence(slow, fast).endswith("2 ms on dispatch. All else loses 1 ms.")


def test_equal_answers_are_named_as_equal_and_told_apart_no_further(make_answer):
    answers = [make_answer("a", warnings=[]), make_answer("b")]
    assert comparison_sentences(answers, make_answer("the scenario itself"))[1:] == [
        "The same as a in every time: b.", "The scenario itself is like a.",
    ]  # fmt: skip


def test_what_one_reason_stops_is_said_once(infeasible):
    stopped = [replace(infeasible, name=name) for name in "abc"]
    assert comparison_sentences(stopped) == ["a and 2 more cannot run: 81.2 GB do not fit the 72 GB a device may use."]


def test_a_kind_that_one_answer_lacks_counts_in_full(make_answer):
    before, after = make_answer(kinds=kinds(dispatch=2e-3)), make_answer(kinds=kinds(attention_tp=1e-3))
    assert critical_path_changes(before, after) == {"dispatch": -2e-3, "attention_tp": 1e-3}


def test_even_and_uneven_loads_are_told_apart(make_answer):
    even = sentences(make_answer(metrics={**METRICS, "load_imbalance": 1.0}))
    uneven = sentences(make_answer(metrics={**METRICS, "load_imbalance": 1.2}))
    assert "Routed tokens are spread evenly over the ranks." in even
    assert "The most loaded rank gets 1.2 times the mean of routed tokens." in uneven
