"""From a scenario to replicas that serve: knobs, KV room, step times."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from hw_profiles.faults import Fault, InputFaults, unknown_word
from simulator.failures import check_failures
from simulator.scenario import prefill_scenario
from simulator.scenario_schema import Scenario
from simulator.serving.asked_surcharges import SURCHARGES, asked_surcharges
from simulator.serving.breaking import breaks_of
from simulator.serving.interpolated_steps import InterpolatedStepTimes
from simulator.serving.knobs import BackendKnobs, Deployed, load_knobs
from simulator.serving.pool import Pool
from simulator.serving.pools import Breaks
from simulator.serving.router import ROUTERS, RouterName
from simulator.serving.simulated_steps import SimulatedStepTimes
from simulator.serving.surcharges import Surcharges
from simulator.serving.transfers import KvLink
from workloads.memory import cached_bytes_of_a_token, memory_use, weight_items


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """Replicas of a scenario, each of `n_groups` attention groups with `kv_blocks` KV blocks each; `n_gpus` of all
    replicas, at `usd_per_hour` together; `kv_bytes_per_token` of one sequence on one GPU that holds a part of it.
    `prefill`: the pool that computes the prompts, and `link` from there; None: every replica computes its own.
    `breaks`: what makes the failures of its replicas, where there are any. `surcharges`: on their steps."""

    knobs: BackendKnobs
    n_replicas: int
    router: RouterName
    n_groups: int
    kv_blocks: int
    kv_bytes_per_token: float
    n_gpus: int
    usd_per_hour: float
    step_times: InterpolatedStepTimes
    surcharges: Surcharges
    prefill: "Deployment | None" = None
    link: KvLink | None = None
    breaks: Breaks | None = None

    @property
    def pool(self) -> Pool:
        """Its own replicas, for a replay."""
        return Pool(
            knobs=self.knobs, step_times=self.step_times, kv_blocks=self.kv_blocks, n_replicas=self.n_replicas,
            n_groups=self.n_groups, router=self.router,
            swap_s_per_token=self.kv_bytes_per_token / self.knobs.swap_bytes_per_s, surcharges=self.surcharges,
        )  # fmt: skip

    @property
    def n_gpus_in_all(self) -> int:
        """GPUs of all pools."""
        return sum(pool.n_gpus for pool in self.pools.values())

    @property
    def usd_per_gpu_hour(self) -> float:
        """Mean price of a GPU of all pools."""
        return sum(pool.usd_per_hour for pool in self.pools.values()) / self.n_gpus_in_all

    @property
    def pools(self) -> "Mapping[str, Deployment]":
        """Its pools by name: prefill and decode, or the only one."""
        return {"prefill": self.prefill, "decode": self} if self.prefill else {"replicas": self}


def deployment(scenario: Scenario) -> Deployment:
    """Return the deployment that a scenario's `serving` table, and its `prefill_pool`, ask for; InputFaults for keys
    and values that are none, and where weights and activations leave no room for a KV cache."""
    decode, prefill = _replicas(scenario), prefill_scenario(scenario)
    parts = {"replicas": (scenario, decode.step_times, decode.n_groups)}
    if prefill is None:
        whole = decode
    else:
        try:
            pool = _replicas(prefill)
        except InputFaults as error:
            raise InputFaults([replace(f, field=f"prefill_pool.{f.field}") for f in error.faults]) from error
        whole = replace(decode, prefill=pool, link=kv_link(prefill, scenario))
        parts["prefill"] = (prefill, pool.step_times, pool.n_groups)
    names = {"replicas": decode.n_replicas, **({"prefill": whole.prefill.n_replicas} if whole.prefill else {})}
    if faults := list(check_failures(scenario.failures, n_replicas=names)):
        raise InputFaults(faults)
    return replace(whole, breaks=breaks_of(scenario, parts))


def _replicas(scenario: Scenario) -> Deployment:
    asked = dict(scenario.serving)
    backend, router = str(asked.pop("backend", "vllm")), str(asked.pop("router", "round_robin"))
    n_replicas = asked.pop("n_replicas", 1)
    if not isinstance(n_replicas, int) or isinstance(n_replicas, bool) or n_replicas < 1:
        raise InputFaults([Fault(field="serving.n_replicas", got=str(n_replicas), allowed="a whole number, at least 1",
                                 remedy="write how many replicas stand behind the router")])  # fmt: skip
    known: dict[str, RouterName] = {name: name for name in ROUTERS}
    if router not in known:
        raise InputFaults([unknown_word("serving.router", router, ROUTERS)])
    step, n_groups, device = scenario.step, scenario.n_gpus // scenario.layout.attention_tp, scenario.profile.device
    on = Deployed(gpu=f"{scenario.machine} {device.name}", memory_bytes=device.hbm_bytes, n_groups=n_groups)
    surcharges = asked_surcharges(scenario, asked, n_groups=n_groups)
    knobs = load_knobs(backend, {k: v for k, v in asked.items() if k not in SURCHARGES}, on=on)
    per_token, n_gpus = cached_bytes_of_a_token(step), scenario.n_gpus * n_replicas
    return Deployment(
        knobs=knobs,
        n_replicas=n_replicas,
        router=known[router],
        n_groups=n_groups,
        kv_blocks=knobs.kv_blocks or kv_room_blocks(scenario, knobs, per_token),
        kv_bytes_per_token=per_token,
        n_gpus=n_gpus,
        usd_per_hour=n_gpus * device.usd_per_hour,
        surcharges=surcharges,
        step_times=InterpolatedStepTimes(
            SimulatedStepTimes(scenario), n_groups=n_groups, queries=1 + scenario.mtp.n_draft, seed=scenario.seed
        ),
    )


def kv_link(prefill: Scenario, decode: Scenario) -> KvLink:
    """Return the way of a cache from an attention group of `prefill` to one of `decode`, as it is for one GPU: each GPU
    of the target takes its part over its own NIC; where the source has fewer, theirs carry more each. InputFaults where
    the two do not hold the same cache."""
    caches = {"model": (prefill.model, decode.model), "precision.kv": (prefill.precision.kv, decode.precision.kv)}
    if faults := [
        Fault(field=f"prefill_pool.{key}", got=repr(got), allowed=repr(allowed), remedy="both hold the same cache")
        for key, (got, allowed) in caches.items()
        if got != allowed
    ]:
        raise InputFaults(faults)
    asked, targets, sources = decode.kv_transfer, decode.layout.attention_tp, prefill.layout.attention_tp
    ways = [_way(scenario) for scenario in (prefill, decode)]
    return KvLink(
        bytes_per_s=asked.bytes_per_s or min(rate for rate, _ in ways),
        latency_s=asked.latency_s or max(latency for _, latency in ways),
        bytes_per_token=cached_bytes_of_a_token(decode.step) * max(1.0, targets / sources),
        n_layers=decode.model_spec.n_layers, layerwise=asked.layerwise,
    )  # fmt: skip


def _way(scenario: Scenario) -> tuple[float, float]:
    """A GPU's bytes/s to GPUs of other nodes when all send at once, and the latency [s]; a lone node has no NIC tier in
    use, so that its links inside count."""
    profile = scenario.profile
    tier = profile.tiers.get("nic") or next(iter(profile.tiers.values()))
    return tier.bytes_per_s * tier.efficiency / profile.fabric.oversubscription, tier.latency_s


def kv_room_blocks(scenario: Scenario, knobs: BackendKnobs, bytes_per_token: float) -> int:
    """Return the KV blocks of one attention group: `gpu_memory_share` of a GPU, less weights and, unless the share is
    theirs and the cache's alone, communication buffers and the activations of a step with a full budget of tokens.
    InputFaults where that leaves not one."""
    step = scenario.step
    budget = knobs.max_batched_tokens / scenario.layout.attention_tp
    batch = replace(step.batch, sequences_per_gpu=1.0, prompt_tokens=round(budget), context_tokens=0.0, context_cv=0.0)
    family = "normal" if scenario.run.all_to_all == "auto" else scenario.run.all_to_all
    prompts = memory_use(replace(step, phase="prefill", batch=batch, all_to_all=family)).items
    decode = memory_use(replace(step, phase="decode")).items
    beside = {**decode, **prompts}
    del beside["KV cache"]
    if family != step.all_to_all:  # decodes keep their own buffers beside
        beside["all-to-all buffers"] += decode["all-to-all buffers"]
    if knobs.memory_share_of == "weights_and_kv":
        beside = {name: beside[name] for name in weight_items(step)}
    limit = scenario.profile.device.hbm_bytes * knobs.gpu_memory_share
    blocks = int((limit - sum(beside.values())) / (bytes_per_token * knobs.block_tokens))
    if blocks < 1:
        largest = max(beside, key=lambda name: beside[name])
        raise InputFaults([Fault(
            field="serving.gpu_memory_share",
            got=f"{knobs.gpu_memory_share:g}: {limit / 1e9:.1f} GB of a GPU, where {sum(beside.values()) / 1e9:.1f} GB "
            f"are needed beside the KV cache (largest: {largest} {beside[largest] / 1e9:.1f} GB)",
            allowed="a share that leaves room for a KV block",
            remedy="spread the model over more GPUs, or lower serving.max_batched_tokens",
        )])  # fmt: skip
    return blocks
