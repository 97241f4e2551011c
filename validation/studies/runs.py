"""Runs on disk: trained once, kept as they go, taken up again where they were stopped."""

import hashlib
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import pandas as pd
import torch

from validation.studies.observe import Where
from validation.studies.plan import Plan
from validation.studies.text import fingerprint
from validation.studies.training import Training

COLUMNS = ("step", "layer", "of", "quantity", "value")
_KEEP_EVERY = 50  # steps: seconds of work lost at most
_EVALUATIONS = 10
_ROOT = Path(__file__).parents[2]
_DECIDE = ("workloads/layers/*.py", *(f"validation/studies/{name}.py" for name in
           ("observe", "plan", "runs", "text", "training")))  # fmt: skip

Row = tuple[int, int, str, str, float]
Tell = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished run: its record (COLUMNS) and the training as it ended."""

    record: pd.DataFrame
    training: Training


def train(plan: Plan, seed: int, path: Path, tell: Tell) -> Run:
    """Return the run of `plan` and `seed`, from the checkpoint `path` on where there is one of the same key.

    `tell` hears the number of steps done. One thread: sums come in one order, so that a seed has one curve.
    """
    torch.set_num_threads(1)
    training, rows = Training(plan, seed), list[Row]()
    key = _key(plan, seed)
    kept = _kept(path, key)
    if kept:
        training.restore(kept["training"])
        rows = [tuple(row) for row in kept["rows"]]
    for done in _steps(training, rows):
        tell(done)
        if done % _KEEP_EVERY == 0 or done == plan.n_steps:
            _keep(path, {"key": key, "training": training.state(), "rows": rows})
    return Run(record=pd.DataFrame(rows, columns=list(COLUMNS)), training=training)


def _steps(training: Training, rows: list[Row]) -> Iterator[int]:
    """Train to the end, adding to `rows`; yields after each record, where training can be taken up again."""
    plan = training.plan
    if training.step == 0:
        rows += _rows(0, training.evaluate())
    every = max(plan.n_steps // _EVALUATIONS // plan.record_every, 1) * plan.record_every
    while training.step < plan.n_steps:
        window = [training.advance() for _ in range(min(plan.record_every, plan.n_steps - training.step))]
        rows += _rows(training.step, _means(window))
        if training.step % every == 0 or training.step == plan.n_steps:
            rows += _rows(training.step, training.evaluate())
        yield training.step


def _means(window: list[dict[Where, float]]) -> dict[Where, float]:
    """The mean of each quantity over the steps in which it was seen."""
    values: dict[Where, list[float]] = {}
    for seen in window:
        for where, value in seen.items():
            values.setdefault(where, []).append(value)
    return {where: sum(of) / len(of) for where, of in values.items()}


def _rows(step: int, seen: dict[Where, float]) -> list[Row]:
    return [(step, *where, value) for where, value in seen.items()]


def _key(plan: Plan, seed: int) -> str:
    program = f"torch={torch.__version__} python={platform.python_version()} code={_code_version()}"
    return f"{plan} seed={seed} {program} text={fingerprint()}"


@lru_cache(maxsize=1)
def _code_version() -> str:
    """The first 12 digits of the SHA-256 of the code that decides curves: after an edit no old checkpoint goes on."""
    found = hashlib.sha256()
    for path in sorted(path for pattern in _DECIDE for path in _ROOT.glob(pattern)):
        found.update(path.relative_to(_ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:12]


def _kept(path: Path, key: str) -> dict[str, Any] | None:
    """What a checkpoint holds, None where it is absent, broken or of another run."""
    try:
        kept: dict[str, Any] = torch.load(path, weights_only=True)
    except (FileNotFoundError, EOFError, RuntimeError, UnpicklingError):
        return None
    return kept if kept.get("key") == key else None


def _keep(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint, whole or not at all."""
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    temporary.replace(path)
