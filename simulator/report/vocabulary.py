"""The metrics in words: label, unit and definition of every name in docs/design.md, section 5."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class MetricWord:
    """`label`: name for people, `unit`: as `formats.quantity_text` takes it, `definition`: one line."""

    label: str
    unit: str
    definition: str


def _word(label: str, unit: str, definition: str) -> MetricWord:
    return MetricWord(label=label, unit=unit, definition=definition)


METRIC_WORDS: Mapping[str, MetricWord] = {
    "step_s": _word("step", "s", "makespan of one step on the slowest rank, all parts"),
    "layer_s": _word("layer", "s", "mean over the middle layers, slowest rank"),
    "tpot_s": _word("TPOT", "s", "time per output token: the step over the tokens it is expected to accept"),
    "tokens_per_s_per_user": _word("tokens/s/user", "tokens/s", "1 / TPOT"),
    "tokens_per_s_per_gpu": _word("tokens/s/GPU", "tokens/s", "tokens generated (prefill: read) per GPU"),
    "usd_per_million_output_tokens": _word("price of a million tokens", "$", "GPU hours at the machine's price"),
    "usd_per_million_input_tokens": _word("price of a million tokens read", "$", "GPU hours at the machine's price"),
    "comm_s": _word("communication", "s", "union of communication intervals, mean over devices"),
    "comm_s_max": _word("communication, worst device", "s", "the same, device with the most"),
    "exposed_comm_s": _word("exposed communication", "s", "communication while the device computes nothing, mean"),
    "exposed_comm_s_max": _word("exposed communication, worst device", "s", "the same, device with the most"),
    "wait_s": _word("waiting for other ranks", "s", "mean over devices"),
    "wait_s_max": _word("waiting for other ranks, worst device", "s", "device that waits longest"),
    "overlap_ratio": _word("hidden communication", "share", "1 − exposed communication / communication"),
    "load_imbalance": _word("load imbalance", "×", "routed tokens: most loaded rank over mean, mean over layers"),
    "balancedness": _word("balancedness", "", "routed tokens: mean over the most loaded rank, mean over layers"),
    "hottest_rank": _word("hottest rank", "", "the rank that gets most routed tokens, all layers together"),
    "flops": _word("arithmetic", "FLOP", "per GPU and step, mean over devices"),
    "rebalance_s": _word("moving experts", "s", "per step, spread over the steps between two placements"),
    "rebalance_bytes": _word("expert weights moved", "B", "received per GPU and step, mean"),
    "bound_by": _word("bound by", "", "the resource with the largest share of the critical path"),
    "bytes": _word("payload sent", "B", "per GPU and step, by tier; a copy counts in each tier it crosses"),
}
_UNIT_BY_SUFFIX = {"_s": "s", "_s_max": "s", "_bytes": "B", "_ratio": "share", "_share": "share"}


def metric_word(name: str) -> MetricWord:
    """The words for metric `name`; a name that is not in the table speaks for itself, its suffix for the unit."""
    if name in METRIC_WORDS:
        return METRIC_WORDS[name]
    unit = next((unit for suffix, unit in _UNIT_BY_SUFFIX.items() if name.endswith(suffix)), "")
    return _word(name.replace("_", " "), unit, "")
