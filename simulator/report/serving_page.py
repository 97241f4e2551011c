"""The page of a serving run: the verdict, latencies, state over time, every knob with its source."""

from pathlib import Path

from simulator.report.document import write_document
from simulator.report.formats import time_text
from simulator.report.markup import paragraph, plot, section, table
from simulator.report.serving_figures import first_token_map, latency_figure, state_figure
from simulator.report.serving_tables import knob_table, latency_table, metric_table, outage_table
from simulator.report.serving_words import pool_sentences, pool_words
from simulator.serving.answer import ServingAnswer

_KNOBS = {"knob": "knob", "value": "value", "source": "source"}
_OUTAGES = {
    "pool": "pool", "replica": "replica", "kind": "what", "at": "broke", "serves": "served again", "whole": "was whole",
    "capacity": "with", "moved": "requests moved",
}  # fmt: skip
_CDF = "Share of the requests (of ITL: of the gaps between tokens) within a time. Dotted: the SLO."
_STATE = "Requests that wait and that run, KV blocks in use, time in which a step ran; means of short stretches."
_MAP = "Requests by arrival and time to first token; a band that climbs is a queue that grows. Dotted: the median."


def write_serving_page(answer: ServingAnswer, path: str | Path, *, title: str) -> None:
    """Write the page to `path`, whole or not at all; OSError where it cannot be written."""
    run, metrics = answer.run, answer.metrics
    percentiles = {"latency": "latency", "mean": "mean", "p50": "p50", "p90": "p90", "p99": "p99"}
    parts = [
        paragraph(sentence)
        for sentence in (_verdict(answer), *pool_sentences(metrics), _accuracy(answer), *answer.warnings)
    ]
    if metrics["n_done"]:
        parts += [
            section("Latencies", table(latency_table(metrics), percentiles, numeric=["mean", "p50", "p90", "p99"])),
            section("Distributions", plot(latency_figure(run, answer.slo), caption=_CDF)),
            section("First tokens", plot(first_token_map(run.requests), caption=_MAP)),
        ]
    parts += [
        section("Over time", plot(state_figure(run.samples), caption=_STATE, tools=True)),
        section("Metrics", table(metric_table(metrics), {"metric": "metric", "text": "value"}, numeric=["text"])),
    ]
    if answer.outages:
        parts.append(
            section("Failures", table(outage_table(answer.outages), _OUTAGES, numeric=["at", "serves", "whole"]))
        )
    parts += [
        section("Backend" if name == "replicas" else f"Backend of {name}", table(knob_table(pool), _KNOBS, numeric=[]))
        for name, pool in answer.deployment.pools.items()
    ]
    write_document(path, title=title, parts=parts)


def _verdict(answer: ServingAnswer) -> str:
    m, deployed = answer.metrics, answer.deployment
    return (
        f"{m['verdict'].capitalize()}: {m['n_done']:,} of {m['n_requests']:,} requests done in "
        f"{time_text(m['elapsed_s'])} on {'; '.join(pool_words(deployed))}; {deployed.n_gpus_in_all} GPUs in all, "
        f"router {deployed.router.replace('_', ' ')}."
    )


def _accuracy(answer: ServingAnswer) -> str:
    """How far off the step times are, of the pool with the worst."""
    name, error = max(answer.errors.items(), key=lambda pair: pair[1].worst)
    of = "" if len(answer.errors) == 1 else f" of {name}"
    return (
        f"Step times lie between exact ones: {error.median:.2%} off in the median and {error.worst:.2%} at worst, over "
        f"{error.n_steps} steps{of} of this run that were computed exactly."
    )
