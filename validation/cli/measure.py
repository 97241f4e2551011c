"""The command that measures: `longsim measure`. On a bare GPU node, `python -m validation.measure` does the same."""

from pathlib import Path
from typing import Annotated

import typer

from validation.measure.command import DEFAULT_EXPERTS, Options
from validation.measure.command import measure as measure_into
from validation.measure.suites import SUITES


def measure(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the table; continued if unfinished.")],
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
    suite: Annotated[str, typer.Option(help=f"{', '.join(SUITES)}; collectives and deepep under torchrun")] = "quick",
    model: Annotated[str, typer.Option(help="Model by name, as `longsim models` lists them.")] = "longcat_flash",
    share: Annotated[float, typer.Option(help="Size of the model; 0: whole on cuda, 1/8 on cpu.")] = 0.0,
    experts: Annotated[int, typer.Option(help="Routed experts held here; 0: all.")] = DEFAULT_EXPERTS,
    dtype: Annotated[str, typer.Option(help="bf16 or fp32; by default bf16 on cuda, fp32 on cpu.")] = "",
    timeout_s: Annotated[float, typer.Option(help="Seconds that a collective may take.")] = 60.0,
    traces: Annotated[
        bool, typer.Option("--traces", help="Record some whole layers with the profiler as well.")
    ] = False,
) -> None:
    """Time the layers, their kernels and collectives on this machine."""
    options = Options(
        out=out, device=device, suite=suite, model=model, share=share, experts=experts, dtype=dtype,
        timeout_s=timeout_s, traces=traces,
    )  # fmt: skip
    raise typer.Exit(measure_into(options))
