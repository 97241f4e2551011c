"""The loop on this machine as a suite: layers predicted before they ran, and the mechanisms that were not exercised."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from validation.live.loop import LiveOptions, LiveRun, Say, run_live
from validation.suites.layers import judged

WORTH_A_WORD = 0.05  # of speed
DRIFTED = (
    "a product took {:.2f} times as long beside the layers as when the kernels were measured: other programs share "
    "this machine, or its clock moved; for a machine of that speed the median error is {:.1%}"
)


def validate_live(folder: Path, *, n_ranks: int, link: str, device: str, machine: str, say: Say) -> dict[str, Any]:
    """Run the loop in `folder` and return its document; faults as `run_live` raises them."""
    options = LiveOptions(folder=folder, n_ranks=n_ranks, link=link, device=device, machine=machine)
    return live_document(run_live(options, say), options)


def live_document(run: LiveRun, options: LiveOptions) -> dict[str, Any]:
    """Return the suite as the JSON document of `validate live --json`."""
    document = judged(run.layers, device=options.device)
    at_the_time = run.layers["predicted_s"] * run.drift / run.layers["measured_s"] - 1.0
    document["summary"] |= {"drift": run.drift, "median_at_that_speed": float(at_the_time.abs().median())}
    if abs(run.drift - 1.0) > WORTH_A_WORD:
        document["notes"] = [*document["notes"], DRIFTED.format(run.drift, document["summary"]["median_at_that_speed"])]
    return document | {
        "suite": "live", "device": run.calibration.fit.device, "n_ranks": options.n_ranks, "link": options.link,
        "folder": str(run.folder), "learned": [vars(item) for item in run.calibration.learned],
        "pace_kept": dict(run.calibration.fit.pace_kept), "not_exercised": list(not_exercised(options)),
    }  # fmt: skip


def not_exercised(options: LiveOptions) -> Iterator[str]:
    """Yield the mechanisms of a cluster that this run says nothing about."""
    if options.device == "cpu":
        yield "streaming multiprocessors: kernels that hold some of them, waves of tiles, HBM shared between streams"
        yield "launches replayed from a captured graph"
        yield "FP8 products and payloads"
        yield "receive hooks and low-latency all-to-all kernels"
        yield "NICs: gloo goes through the kernel's TCP" + (" over a shaped virtual link" if options.link else "")
    if not options.link and options.device == "cpu":
        yield "a link that is slow: ranks talk over the loopback device (as root, --link 1gbit shapes one)"
    if options.n_ranks == 1:
        yield "communication: there is one rank"
    yield "switches, rails and congestion between nodes: every pair of ranks has the same way"
    yield "serving: queues, batching, the growth of contexts"
