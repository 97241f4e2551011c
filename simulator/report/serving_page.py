"""The page of a serving run: the verdict, latencies, state over time, every knob with its source."""

from pathlib import Path

from simulator.report.document import write_document
from simulator.report.formats import time_text
from simulator.report.markup import paragraph, plot, section, table
from simulator.report.serving_figures import first_token_map, latency_figure, state_figure
from simulator.report.serving_tables import knob_table, latency_table, metric_table
from simulator.serving.answer import ServingAnswer

_CDF = "Share of the requests (of ITL: of the gaps between tokens) within a time. Dotted: the SLO."
_STATE = "Requests that wait and that run, KV blocks in use, time in which a step ran; means of short stretches."
_MAP = "Requests by arrival and time to first token; a band that climbs is a queue that grows. Dotted: the median."


def write_serving_page(answer: ServingAnswer, path: str | Path, *, title: str) -> None:
    """Write the page to `path`, whole or not at all; OSError where it cannot be written."""
    run, metrics = answer.run, answer.metrics
    percentiles = {"latency": "latency", "mean": "mean", "p50": "p50", "p90": "p90", "p99": "p99"}
    parts = [paragraph(sentence) for sentence in (_verdict(answer), _accuracy(answer), *answer.warnings)]
    if metrics["n_done"]:
        parts += [
            section("Latencies", table(latency_table(metrics), percentiles, numeric=["mean", "p50", "p90", "p99"])),
            section("Distributions", plot(latency_figure(run, answer.slo), caption=_CDF)),
            section("First tokens", plot(first_token_map(run.requests), caption=_MAP)),
        ]
    parts += [
        section("Over time", plot(state_figure(run.samples), caption=_STATE, tools=True)),
        section("Metrics", table(metric_table(metrics), {"metric": "metric", "text": "value"}, numeric=["text"])),
        section(
            "Backend", table(knob_table(answer), {"knob": "knob", "value": "value", "source": "source"}, numeric=[])
        ),
    ]
    write_document(path, title=title, parts=parts)


def _verdict(answer: ServingAnswer) -> str:
    m, deployed = answer.metrics, answer.deployment
    return (
        f"{m['verdict'].capitalize()}: {m['n_done']:,} of {m['n_requests']:,} requests done in "
        f"{time_text(m['elapsed_s'])} on {deployed.n_replicas} × {deployed.knobs.name} {deployed.knobs.version}, "
        f"{deployed.n_gpus} GPUs in all, router {deployed.router.replace('_', ' ')}."
    )


def _accuracy(answer: ServingAnswer) -> str:
    error = answer.error
    return (
        f"Step times lie between exact ones: {error.median:.2%} off in the median and {error.worst:.2%} at worst, over "
        f"{error.n_steps} steps of this run that were computed exactly."
    )
