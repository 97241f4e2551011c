"""Options that put requests beside a scenario, for the commands that replay where they are asked to."""

from typing import Annotated, Any

import typer

from hw_profiles.faults import Fault, InputFaults
from simulator.slo_words import parse_slo

ReplayedOption = Annotated[
    str, typer.Option("--requests", metavar="FILE|LAW:RATE", help="Replay a trace's file, or a law such as poisson:4.")
]
CountOption = Annotated[int | None, typer.Option("--count", metavar="N", help="The first N requests only.")]
PromptOption = Annotated[
    str | None, typer.Option("--prompt", metavar="LAW", help="Prompt lengths of a law's requests.")
]
OutputOption = Annotated[
    str | None, typer.Option("--output", metavar="LAW", help="Output lengths of a law's requests.")
]
ScaleOption = Annotated[float | None, typer.Option("--rate-scale", metavar="X", help="Requests come X times as fast.")]
SloOption = Annotated[str, typer.Option("--slo", metavar="ttft=2s,tpot=50ms", help="What a request is promised.")]


def traffic_tables(
    requests: str, *, count: int | None, prompt: str | None, output: str | None, rate_scale: float | None, slo: str
) -> dict[str, Any] | None:
    """Return the keys of a question's traffic that these options set, None without `requests`; InputFaults for options
    that then have nothing to say."""
    asked = {"count": count, "prompt": prompt, "output": output, "rate_scale": rate_scale}
    given = {name: value for name, value in asked.items() if value is not None}
    if requests:
        promised = parse_slo(slo)
        return {"requests": requests, **given, "ttft_s": promised.ttft_s, "tpot_s": promised.tpot_s}
    idle = [*(f"--{name.replace('_', '-')}" for name in given), *(["--slo"] if slo else [])]
    if idle:
        raise InputFaults([
            Fault(field=option, got="requests' option without requests", allowed="it beside --requests",
                  remedy="add --requests FILE|LAW:RATE") for option in idle
        ])  # fmt: skip
    return None
