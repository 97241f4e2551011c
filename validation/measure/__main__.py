"""`python -m validation.measure`: the command without the rest of longsim, for bare GPU nodes and torchrun."""

import argparse
import sys
from pathlib import Path

from validation.measure.case import DTYPES
from validation.measure.command import DEFAULT_EXPERTS, DEVICES, Options, measure
from validation.measure.suites import SUITES


def parse(words: list[str]) -> Options:
    """Return the options that `words` of the command line stand for."""
    parser = argparse.ArgumentParser(prog="python -m validation.measure", description="Time layers and their kernels.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the table; an unfinished one is continued")
    parser.add_argument("--device", choices=DEVICES, default="cpu")
    parser.add_argument("--suite", choices=list(SUITES), default="quick")
    parser.add_argument("--model", default="longcat_flash", help="zoo name")
    parser.add_argument("--share", type=float, default=0.0, help="size of the model; default 1 on cuda, 1/8 on cpu")
    parser.add_argument("--experts", type=int, default=DEFAULT_EXPERTS, help="routed experts held here; 0 is all")
    parser.add_argument("--dtype", choices=list(DTYPES), default="", help="default bf16 on cuda, fp32 on cpu")
    parser.add_argument("--timeout-s", type=float, default=60.0, help="of one collective [s]")
    parser.add_argument("--traces", action="store_true", help="record some layers with the profiler (layers, overlap)")
    return Options(**vars(parser.parse_args(words)))


if __name__ == "__main__":
    sys.exit(measure(parse(sys.argv[1:])))
