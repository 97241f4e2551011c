"""What a scenario holds, and what follows from it: machine, model with its overrides, the step of work."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from hw_profiles.faults import Fault, InputFaults, unknown_word
from hw_profiles.fitted import Fitted
from hw_profiles.loader import load_curves, load_profile
from hw_profiles.schema import HardwareProfile
from workloads.batch import Batch, Mtp, Precision, RoutingSpec
from workloads.config_keys import ConfigFaults
from workloads.hf_config import CONFIG_FILE, model_from_config
from workloads.layout import Layout
from workloads.model import ModelSpec
from workloads.schedules.table import SCHEDULES
from workloads.step import Part, StepSpec
from workloads.zoo import ZOO


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How the step is executed and counted. `launch`: kernels replayed from a graph or launched one by one;
    `contention`: whether ops slow one another; `parts` of the step that count; `all_to_all`: kernel family ("auto":
    low_latency in decode, normal in prefill); `compute_sms`: SMs that compute kernels take at most (0: all, less those
    that an overlapped normal all-to-all holds); `costs`: "fitted" prices kernels by the machine's fitted curves where
    it has them, "roofline" by datasheet and named efficiencies throughout; `interference`: all-to-alls that lose pace
    beside compute by the machine's fitted shares: "normal" kernels, where that was measured, "all", or "off";
    `backend`: whose kernels to take where the machine has several; "torch" runs the project's PyTorch layers op by op,
    by the curves of a machine that was measured with them."""

    launch: Literal["graph", "eager"] = "graph"
    contention: bool = True
    parts: Sequence[Part] = ("layers", "lm_head", "mtp", "sampling")
    all_to_all: Literal["auto", "low_latency", "normal"] = "auto"
    compute_sms: int = 0
    costs: Literal["fitted", "roofline"] = "fitted"
    interference: Literal["normal", "all", "off"] = "normal"
    backend: Literal["sglang", "trtllm", "torch"] = "sglang"


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One question: which model on which machine, in which layout and schedule, with which batch and routing.

    `model`: a name of the zoo, or a Hugging Face config.json of a supported family (the file, or its directory).
    `model_overrides` changes fields of the model's specification, such as {"n_dense_layers": 0, "moe.top_k": 8}.
    """

    model: str
    machine: str
    n_gpus: int
    name: str = "scenario"
    title: str = ""
    phase: Literal["decode", "prefill", "train"] = "decode"
    schedule: str = "sequential"
    seed: int = 0
    layout: Layout = field(default_factory=Layout)
    batch: Batch = field(default_factory=Batch)
    routing: RoutingSpec = field(default_factory=RoutingSpec)
    precision: Precision = field(default_factory=Precision)
    mtp: Mtp = field(default_factory=Mtp)
    run: RunOptions = field(default_factory=RunOptions)
    model_overrides: Mapping[str, float | str | bool] = field(default_factory=dict)

    @cached_property
    def profile(self) -> HardwareProfile:
        """The machine; InputFaults if there is none of that name."""
        return load_profile(self.machine)

    @cached_property
    def fitted(self) -> Fitted:
        """The machine's fitted curves; none where the scenario asks for rooflines."""
        return load_curves(self.machine) if self.run.costs == "fitted" else {}

    @cached_property
    def model_spec(self) -> ModelSpec:
        """The model with its overrides; InputFaults if there is none of that name or path, or no such field."""
        return override(find_model(self.model), self.model_overrides)

    @property
    def all_to_all(self) -> Literal["low_latency", "normal"]:
        """The kernel family of the expert all-to-all, resolved."""
        if self.run.all_to_all != "auto":
            return self.run.all_to_all
        return "normal" if self.phase == "prefill" else "low_latency"

    @property
    def compute_sms(self) -> int:
        """SMs that compute kernels may take, resolved (0: all)."""
        if self.run.compute_sms or self.all_to_all != "normal" or not SCHEDULES[self.schedule].overlaps:
            return self.run.compute_sms
        return self.profile.device.n_sms - self.profile.all_to_all.normal_sms

    @property
    def step(self) -> StepSpec:
        """The step of work that this scenario asks for."""
        return StepSpec(
            model=self.model_spec,
            n_gpus=self.n_gpus,
            devices_per_node=self.profile.node.n_devices,
            phase="prefill" if self.phase == "prefill" else "decode",
            layout=self.layout,
            batch=self.batch,
            routing=self.routing,
            precision=self.precision,
            mtp=self.mtp,
            all_to_all=self.all_to_all,
            kernels="torch" if self.run.backend == "torch" else "fused",
            parts=self.run.parts,
            seed=self.seed,
        )


_WORD: Mapping[type, str] = {int: "whole numbers", float: "numbers", bool: "true, false", str: "words"}


def find_model(name_or_path: str) -> ModelSpec:
    """Return the model of the zoo by name (a name wins over a path), or of the Hugging Face config at that path;
    InputFaults if neither is there, or with every fault of the config."""
    if name_or_path in ZOO:
        return ZOO[name_or_path]()
    path, found = Path(name_or_path), False
    with suppress(OSError, RuntimeError):  # a name too long for the file system, a home of nobody: nothing is there
        path = path.expanduser()
        found = path.exists()
    if not found:
        if not name_or_path.endswith(".json") and "/" not in name_or_path:
            raise InputFaults([unknown_word("model", name_or_path, list(ZOO))])
        allowed = f"a {CONFIG_FILE}, its directory, or one of {', '.join(sorted(ZOO))}"
        raise InputFaults([Fault(field="model", got=f"{name_or_path!r}, where no file is", allowed=allowed,
                                 remedy="check the path")])  # fmt: skip
    try:
        return model_from_config(path)
    except ConfigFaults as error:
        raise InputFaults(Fault(**vars(fault)) for fault in error.faults) from None


def override(model: ModelSpec, overrides: Mapping[str, float | str | bool]) -> ModelSpec:
    """Return the model with fields replaced by dotted name; InputFaults for a field it does not have."""
    for key, value in overrides.items():
        model = _override(model, key.split("."), value, key)
    return model


def _override(record: Any, path: Sequence[str], value: object, key: str) -> Any:  # noqa: ANN401 (any record)
    names = [f.name for f in fields(record)] if is_dataclass(record) else []
    if path[0] not in names:
        raise InputFaults([unknown_word(f"model_overrides.{key}", path[0], names)])
    current = getattr(record, path[0])
    if len(path) > 1:
        return replace(record, **{path[0]: _override(current, path[1:], value, key)})
    if allowed := _not_allowed(record, path[0], value):
        got = repr(int(value) if isinstance(value, float) and value.is_integer() else value)
        raise InputFaults(
            [Fault(field=f"model_overrides.{key}", got=got, allowed=allowed, remedy="write one of these")]
        )
    return replace(record, **{path[0]: type(current)(value)})


def _not_allowed(record: Any, name: str, value: object) -> str:  # noqa: ANN401 (any record)
    """What the field of that name may hold, if that does not include `value`."""
    current, kind = getattr(record, name), get_type_hints(type(record))[name]
    if current is None or is_dataclass(current):
        parts = [f"{name}.{f.name}" for f in fields(current)] if current is not None else []
        return ", ".join(parts) or f"nothing: this model has no {name}"
    if get_args(kind):
        return "" if value in get_args(kind) else ", ".join(map(str, get_args(kind)))
    if isinstance(current, bool) or isinstance(value, bool):
        return "" if isinstance(current, bool) and isinstance(value, bool) else f"{_WORD[kind]}, as in {current}"
    fits = isinstance(value, str) if kind is str else isinstance(value, int | float)
    whole = kind is not int or (isinstance(value, int | float) and float(value).is_integer())
    return "" if fits and whole else f"{_WORD[kind]}, as in {current}"
