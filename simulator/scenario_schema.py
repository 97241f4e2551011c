"""What a scenario holds, and what follows from it: machine, model with its overrides, the step of work."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from hw_profiles.faults import Fault, InputFaults, unknown_word
from hw_profiles.fitted import Fitted
from hw_profiles.loader import load_curves, load_profile
from hw_profiles.schema import HardwareProfile
from simulator.borders import SharedBorder, shared_borders, step_borders
from simulator.failures import Failures
from simulator.overrides import Overrides, override_machine, override_model
from workloads.batch import Batch, Mtp, Precision, RoutingSpec
from workloads.hf_config import CONFIG_FILE, model_from_config
from workloads.layout import Layout
from workloads.model import ModelSpec
from workloads.schedules.table import SCHEDULES
from workloads.step import AllToAll, Part, StepSpec
from workloads.zoo import ZOO

_READ = ("profile", "fitted", "model_spec")  # of files and zoo, kept once looked up
HOLDS_SMS: tuple[AllToAll, ...] = ("normal", "pairwise", "hierarchical", "one_sided")


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How the step is executed and counted. `launch`: kernels replayed from a graph or launched one by one;
    `contention`: whether ops slow one another; `parts` of the step that count; `all_to_all`: kernel family ("auto":
    low_latency in decode, normal in prefill) or another algorithm of the expert all-to-all; `compute_sms`: SMs that
    compute kernels take at most (0: all, less those that an overlapped all-to-all of HOLDS_SMS holds); `costs`:
    "fitted" prices kernels by the machine's fitted curves where it has them, "roofline" by datasheet and named
    efficiencies throughout; `interference`: all-to-alls that lose pace beside compute by the machine's fitted shares:
    "normal" kernels, where that was measured, "all", or "off"; `backend`: whose kernels to take where the machine has
    several (a serving backend's own first, then others'); "torch" runs the project's PyTorch layers op by op, by the
    curves of a machine measured with them."""

    launch: Literal["graph", "eager"] = "graph"
    contention: bool = True
    parts: Sequence[Part] = ("layers", "lm_head", "mtp", "sampling")
    all_to_all: Literal["auto"] | AllToAll = "auto"
    compute_sms: int = 0
    costs: Literal["fitted", "roofline"] = "fitted"
    interference: Literal["normal", "all", "off"] = "normal"
    backend: Literal["sglang", "trtllm", "vllm", "torch"] = "sglang"


@dataclass(frozen=True, kw_only=True)
class KvTransfer:
    """How caches go from prefill to decode replicas. `bytes_per_s`, `latency_s`: of one GPU's way; 0: its NIC tier's
    payload rate (divided by the fabric's oversubscription) and latency. `layerwise`: each layer's cache leaves while
    the next layers are computed."""

    bytes_per_s: float = 0.0
    latency_s: float = 0.0
    layerwise: bool = True


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One question: which model on which machine, in which layout and schedule, with which batch and routing.

    `serving`: the backend, its replicas and whatever differs from its preset, for `longsim replay`.
    `prefill_pool`: keys of a scenario as they are on replicas of their own that compute prompts, such as {"n_gpus": 8,
    "serving": {"n_replicas": 6}}; empty: every replica does both. `kv_transfer`: between the two.
    `failures`: of hardware, in a replay.
    `model`: a name of the zoo, or a Hugging Face config.json of a supported family (the file, or its directory).
    `model_overrides` changes fields of the model's specification, such as {"n_dense_layers": 0, "moe.top_k": 8},
    `machine_overrides` figures of the machine, such as {"tiers.nic.bytes_per_s": 25e9}: assumed ones from then on.
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
    model_overrides: Overrides = field(default_factory=dict)
    machine_overrides: Overrides = field(default_factory=dict)
    serving: Mapping[str, int | float | str | bool] = field(default_factory=dict)
    prefill_pool: Mapping[str, Any] = field(default_factory=dict)
    kv_transfer: KvTransfer = field(default_factory=KvTransfer)
    failures: Failures = field(default_factory=Failures)

    @cached_property
    def profile(self) -> HardwareProfile:
        """The machine with its overrides; InputFaults if there is none of that name, or no such field."""
        return override_machine(load_profile(self.machine), self.machine_overrides)

    @cached_property
    def fitted(self) -> Fitted:
        """The machine's fitted curves; none where the scenario asks for rooflines."""
        return load_curves(self.machine) if self.run.costs == "fitted" else {}

    @cached_property
    def model_spec(self) -> ModelSpec:
        """The model with its overrides; InputFaults if there is none of that name or path, or no such field."""
        return override_model(find_model(self.model), self.model_overrides)

    def variant(self, **changes: object) -> "Scenario":
        """Return the scenario with other values of keys that say nothing of machine, model or curves: what has been
        read for these is not read again."""
        other = replace(self, **changes)  # type: ignore[arg-type]
        other.__dict__.update((name, self.__dict__[name]) for name in _READ if name in self.__dict__)
        return other

    @property
    def all_to_all(self) -> AllToAll:
        """The kernel family of the expert all-to-all, resolved."""
        if self.run.all_to_all != "auto":
            return self.run.all_to_all
        return "normal" if self.phase == "prefill" else "low_latency"

    @property
    def compute_sms(self) -> int:
        """SMs that compute kernels may take, resolved (0: all)."""
        if self.run.compute_sms or self.all_to_all not in HOLDS_SMS or not SCHEDULES[self.schedule].overlaps:
            return self.run.compute_sms
        return self.profile.device.n_sms - self.profile.all_to_all.normal_sms

    @cached_property
    def shared_borders(self) -> Sequence[SharedBorder]:
        """The shared links of the machine's fabric that can bind."""
        return shared_borders(self.profile, self.n_gpus)

    @cached_property
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
            borders=step_borders(self.profile, self.n_gpus, self.all_to_all),
        )


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
    return model_from_config(path)
