"""The command `measure`: options to a table on disk, failures to words and exit codes."""

import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from hw_profiles.faults import Fault, InputFaults, unknown_word
from validation.measure.case import DTYPES, Lab
from validation.measure.environment import device_name, environment, slowed_by
from validation.measure.ranks import Ranks, ranks_of
from validation.measure.recording import record_traces
from validation.measure.runner import Bench, measure_cases
from validation.measure.sizes import sizes_of
from validation.measure.subject import subject
from validation.measure.suites import SUITES, cases_of, orders_of
from validation.measure.timing import Rule, stopwatch_of
from validation.measurements import read_measurements, read_meta, write_meta
from workloads.layers.all_to_all import AllToAllExchange

ANSWERED, UNFINISHED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
DEVICES = ("cpu", "cuda")
DEFAULT_DTYPE = {"cpu": "fp32", "cuda": "bf16"}
DEFAULT_SHARE = {"cpu": 0.125, "cuda": 1.0}  # a CPU ends in minutes
DEFAULT_EXPERTS = 16  # held by one rank of EP32 of LongCat-Flash
SPREAD_BOUND = {"cpu": 0.10, "cuda": 0.05}  # other programs share a CPU
SAMPLE_S = {"interference": 0.02}  # longer than some calls of a load
WHOLE_LAYERS = ("layers", "overlap")  # suites of which traces are recorded
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the user asked for; `share` 0 and `dtype` "" mean the device's default;
    `traces`: record some whole layers with the profiler as well."""

    out: Path
    device: str = "cpu"
    suite: str = "quick"
    model: str = "longcat_flash"
    share: float = 0.0
    experts: int = DEFAULT_EXPERTS
    dtype: str = ""
    timeout_s: float = 60.0
    traces: bool = False


def measure(options: Options, say: Say | None = None) -> int:
    """Measure a suite into `options.out` and return the exit code; what was measured is kept, whatever happens."""
    say = say or _to_stderr
    try:
        check(options)
        _measure(options, say)
    except InputFaults as error:
        say(str(error))
        return BAD_INPUT
    except OSError as error:
        reason = error.strerror or str(error)
        say(f"--out: got {str(options.out)!r}, {reason}; {_kept(options)}; free some space or choose another folder")
        return BAD_INPUT
    except KeyboardInterrupt:
        say(f"interrupted; {_kept(options)}; the same command goes on from there")
        return INTERRUPTED
    except RuntimeError as error:
        if "WORLD_SIZE" not in os.environ:
            raise
        say(f"a rank vanished or a collective hung ({str(error).splitlines()[0]}); {_kept(options)}")
        return UNFINISHED
    return ANSWERED


def check(options: Options) -> None:
    """Raise InputFaults for every option that cannot be."""
    faults = []
    if options.device not in DEVICES:
        faults.append(unknown_word("--device", options.device, DEVICES))
    if options.device == "cuda" and not torch.cuda.is_available():
        faults.append(Fault(field="--device", got="'cuda', but torch sees no CUDA device", allowed="cpu here",
                            remedy="check nvidia-smi and install torch with CUDA"))  # fmt: skip
    if options.traces and options.suite not in WHOLE_LAYERS:
        faults.append(Fault(field="--traces", got=f"with --suite {options.suite}", allowed=", ".join(WHOLE_LAYERS),
                            remedy="measure one of these suites"))  # fmt: skip
    if options.suite not in SUITES:
        faults.append(unknown_word("--suite", options.suite, list(SUITES)))
    if options.dtype and options.dtype not in DTYPES:
        faults.append(unknown_word("--dtype", options.dtype, list(DTYPES)))
    if faults:
        raise InputFaults(faults)


def _measure(options: Options, say: Say) -> None:
    device = _device(options.device)
    share = options.share or DEFAULT_SHARE[device.type]
    with ranks_of(device, options.timeout_s) as ranks:
        spec = subject(options.model, share, options.experts * ranks.n_ranks)
        lab = Lab(
            spec=spec, device=device, dtype=options.dtype or DEFAULT_DTYPE[device.type],
            sizes=sizes_of(options.suite, device.type), rank=ranks.rank, n_ranks=ranks.n_ranks,
            whole=subject(options.model, share, 0),
        )  # fmt: skip
        cases = cases_of(options.suite, lab, ranks)
        bench = _bench(options, lab, ranks, say)
        done = {row.key for row in read_measurements(options.out)} if ranks.is_first else set()
        meta: dict[str, Any] = {}
        if ranks.is_first:
            meta = _begin(options, lab, bench.rule, share)
        skipped = measure_cases(bench, cases, ranks.from_first(done))
        if options.traces:
            exchange = AllToAllExchange() if ranks.n_ranks > 1 else None
            record_traces(lab, orders_of(lab), exchange, ranks, bench.folder)
    if bench.folder:
        write_meta(bench.folder, meta | {"skipped": skipped})
        say(_kept(options))


def _device(kind: str) -> torch.device:
    """The processor, or this process's GPU."""
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if kind == "cuda" else torch.device("cpu")


def _bench(options: Options, lab: Lab, ranks: Ranks, say: Say) -> Bench:
    rule = Rule(spread_bound=SPREAD_BOUND[lab.device.type])
    return Bench(
        suite=options.suite, device=device_name(lab.device),
        rule=replace(rule, sample_s=SAMPLE_S.get(options.suite, rule.sample_s)),
        stopwatch=ranks.stopwatch(stopwatch_of(lab.device), lab.device),
        folder=options.out if ranks.is_first else None, say=say if ranks.is_first else _silent,
        slowed_by=partial(slowed_by, lab.device),
    )  # fmt: skip


def _begin(options: Options, lab: Lab, rule: Rule, share: float) -> dict[str, Any]:
    """Write down what this run is; refuse a folder that holds another model or device."""
    options.out.mkdir(parents=True, exist_ok=True)
    meta = read_meta(options.out)
    ours = {"device": device_name(lab.device), "model": options.model, "share": share, "spec": asdict(lab.spec)}
    theirs = meta.get("subject", ours)
    differing = [name for name in ours if ours[name] != theirs.get(name)]
    if differing:
        name = differing[0]
        raise InputFaults(
            [Fault(field="--out", got=f"{str(options.out)!r}, which holds {name} {theirs.get(name)}",
                   allowed=f"a folder of {name} {ours[name]}, or a new one", remedy="choose another folder")]
        )  # fmt: skip
    runs = [*meta.get("runs", []), environment(lab.device) | {"suite": options.suite, "rule": asdict(rule)}]
    meta = {"version": 1, "subject": ours, "runs": runs}
    write_meta(options.out, meta)
    return meta


def _kept(options: Options) -> str:
    try:
        n_rows = len(read_measurements(options.out))
    except (OSError, InputFaults):
        return f"what was measured is kept in {options.out}"
    return f"{n_rows} measurements in {options.out}"


def _to_stderr(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _silent(_line: str) -> None:
    """Ranks but the first say nothing."""
