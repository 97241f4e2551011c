"""The candidates of a plan, legal by construction: every way to run a replica that fits model and machine.

A replica is one EP group (or one TP group, where its ranks share everything): the least that serves, and what fails
together.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import gcd
from typing import Literal

from hw_profiles.schema import HardwareProfile
from simulator.planner.precisions import PRECISIONS, precision_words
from simulator.planner.question import Question
from simulator.scenario_schema import Scenario
from workloads.batch import FfnExperts, Mtp, RoutingSpec
from workloads.layout import Layout
from workloads.model import ModelSpec
from workloads.schedules.table import SCHEDULES
from workloads.zoo import n_dense_ffns, n_moe_layers

Role = Literal["prefill", "decode", "together"]
_DECODE_ORDERS = ("sequential", "tbo", "sbo", "two_stream")
_PREFILL_ORDERS = ("sequential", "tbo", "prefill_pairs")


@dataclass(frozen=True, kw_only=True)
class Family:
    """One way to run a replica of `n_gpus`: everything but its batch. `prefill_tokens`: new prompt tokens of an
    attention group in one step."""

    machine: str
    role: Role
    n_gpus: int
    layout: Layout
    schedule: str
    precision: str
    n_draft: int
    prefill_tokens: int

    @property
    def n_groups(self) -> int:
        """Attention groups of a replica."""
        return self.n_gpus // self.layout.attention_tp

    @property
    def name(self) -> str:
        """The layout in short, such as "EP16 TP4 tbo, 1 draft"."""
        layout = self.layout
        experts = [f"EP{layout.ep}"] if layout.ep > 1 else []
        experts += [f"experts TP{layout.moe_tp}"] if layout.moe_tp > 1 else []
        tp = [f"TP{layout.attention_tp}" + (" replicated" if layout.replicated else "")]
        dense = [f"dense TP{layout.dense_tp}"] if layout.dense_tp not in (1, layout.attention_tp) else []
        placed = [layout.expert_placement.replace("_", " ")] if layout.expert_placement != "contiguous" else []
        copies = [f"{layout.n_redundant_experts} copies"] if layout.n_redundant_experts else []
        drafts = [f"{self.n_draft} draft" + ("s" if self.n_draft > 1 else "")] if self.n_draft else []
        alone = [] if self.n_gpus > 1 else ["one GPU"]
        words = [
            *alone,
            *experts,
            *(tp if layout.attention_tp > 1 else []),
            *dense,
            *copies,
            *placed,
            self.schedule.replace("_", " "),
        ]
        return ", ".join([" ".join(words), self.precision.replace("_", " "), *drafts])


def families(question: Question, site: Scenario, role: Role, most_gpus: int) -> list[Family]:
    """Return every family of that role on replicas of at most `most_gpus` GPUs of `site`'s machine."""
    model, profile, search = site.model_spec, site.profile, question.search
    layouts = list(_layouts(question, model, profile, most_gpus))
    words = precision_words(search.precisions, profile)
    drafts = [0] if role == "prefill" else _drafts(question, model)
    budgets = sorted(set(search.prefill_tokens))
    found = []
    for (n_gpus, layout), word, n_draft, budget in product(layouts, words, drafts, budgets):
        if role == "decode" and budget != budgets[0]:
            continue  # who answers only computes no prompts
        found += [
            Family(machine=site.machine, role=role, n_gpus=n_gpus, layout=layout, schedule=schedule, precision=word,
                   n_draft=n_draft, prefill_tokens=budget)
            for schedule in _schedules(question, model, layout, role)
        ]  # fmt: skip
    return found


def sizes(profile: HardwareProfile, most_gpus: int) -> list[int]:
    """Return the replica sizes that fill whole nodes or share one with their like, smallest first."""
    node, most = profile.node.n_devices, min(most_gpus, profile.fabric.max_devices)
    inside = [n for n in range(1, min(node, most) + 1) if node % n == 0]
    return [*inside, *range(2 * node, most + 1, node)]


def scenario_of(question: Question, site: Scenario, family: Family) -> Scenario:
    """Return the scenario of one replica of a family, without a batch."""
    acceptance = tuple(question.traffic.mean_acceptance[: family.n_draft])
    return site.variant(
        n_gpus=family.n_gpus, layout=family.layout, schedule=family.schedule,
        phase="prefill" if family.schedule == "prefill_pairs" else "decode",
        precision=PRECISIONS[family.precision], mtp=Mtp(n_draft=family.n_draft, acceptance=acceptance),
    )  # fmt: skip


def site_of(question: Question, machine: str) -> Scenario:
    """Return the scenario that all candidates on a machine vary: its model and machine are read once."""
    site = Scenario(
        model=question.model, machine=machine, n_gpus=1, seed=question.seed,
        routing=RoutingSpec(popularity=question.popularity, zero_experts=question.zero_experts,
                            ffn_experts=FfnExperts(mean=question.traffic.mean_ffn_experts)),
        model_overrides=question.model_overrides, machine_overrides=question.machine_overrides,
    )  # fmt: skip
    _ = site.profile, site.model_spec, site.fitted  # read now, kept by every variant
    return site


def _layouts(
    question: Question, model: ModelSpec, profile: HardwareProfile, most_gpus: int
) -> Iterator[tuple[int, Layout]]:
    search, seen = question.search, set()
    for kind in search.tp_tokens:
        make = _replicated if kind == "replicated" else _scattered
        for n_gpus, layout in make(question, model, profile, most_gpus):
            asked = [
                (search.ep, layout.ep), (search.attention_tp, layout.attention_tp),
                (search.dense_tp, layout.dense_tp),
            ]  # fmt: skip
            if layout not in seen and all(not allowed or value in allowed for allowed, value in asked):
                seen.add(layout)
                yield n_gpus, layout


def _scattered(
    question: Question, model: ModelSpec, profile: HardwareProfile, most_gpus: int
) -> Iterator[tuple[int, Layout]]:
    """DP attention over groups of TP ranks; experts over all ranks of the replica."""
    if not n_moe_layers(model):
        return
    node, n_experts = profile.node.n_devices, model.moe.n_routed_experts
    kinds = product(sorted(set(question.search.redundant_experts)), dict.fromkeys(question.search.expert_placement))
    for n_gpus, (copies, placement) in product(sizes(profile, most_gpus), list(kinds)):
        if n_gpus > n_experts or (n_experts + copies) % n_gpus:
            continue
        for tp, dense_tp in product(_degrees(n_gpus, node, model.attention.n_heads), _dense(n_gpus, node, model)):
            yield n_gpus, Layout(
                attention_tp=tp, dense_tp=dense_tp, ep=n_gpus, n_redundant_experts=copies,
                expert_placement=placement,
            )  # fmt: skip


def _replicated(
    question: Question, model: ModelSpec, profile: HardwareProfile, most_gpus: int
) -> Iterator[tuple[int, Layout]]:
    """One TP group inside a node shares everything; experts by number or by width."""
    del question
    n_experts, width = model.moe.n_routed_experts, model.dense_ffn if n_dense_ffns(model) else 0
    for tp in _degrees(
        min(most_gpus, profile.node.n_devices), profile.node.n_devices, gcd(model.attention.n_heads, width)
    ):
        if not n_moe_layers(model):
            yield tp, Layout(attention_tp=tp, dense_tp=tp, tp_tokens="replicated" if tp > 1 else "scattered")
            continue
        if n_experts % tp == 0:
            yield tp, Layout(attention_tp=tp, dense_tp=tp, ep=tp, tp_tokens="replicated" if tp > 1 else "scattered")
        if tp > 1 and model.moe.expert_ffn % tp == 0:
            yield tp, Layout(attention_tp=tp, dense_tp=tp, ep=1, moe_tp=tp, tp_tokens="replicated")


def _degrees(n_gpus: int, node: int, split: int) -> list[int]:
    """TP degrees inside a node that divide the replica and what they split."""
    whole = min(n_gpus, node)
    return [tp for tp in range(1, whole + 1) if whole % tp == 0 and node % tp == 0 and split % tp == 0]


def _dense(n_gpus: int, node: int, model: ModelSpec) -> list[int]:
    """TP degrees of dense FFNs: whole, or split as far as one node goes."""
    if not n_dense_ffns(model):
        return [1]
    every = _degrees(n_gpus, node, model.dense_ffn)
    return every if model.block == "scmoe" else sorted({1, every[-1]})


def _drafts(question: Question, model: ModelSpec) -> Sequence[int]:
    """Drafts per step: what the model has heads for and the traffic an acceptance of, or what was asked for."""
    known = len(question.traffic.mean_acceptance)
    most = min(known, model.mtp.n_layers if model.mtp else 0)
    if question.search.n_draft:
        most = known if model.mtp is None else most
        return sorted({n for n in question.search.n_draft if n <= most})
    return range(most + 1)


def _schedules(question: Question, model: ModelSpec, layout: Layout, role: Role) -> list[str]:
    orders: Sequence[str] = _PREFILL_ORDERS if role == "prefill" else _DECODE_ORDERS
    if question.search.schedules:
        orders = [name for name in question.search.schedules if name != "prefill_pairs" or role == "prefill"]
    nothing_to_hide = layout.replicated or layout.ep == 1
    return [
        name
        for name in orders
        if not (SCHEDULES[name].scmoe_only and model.block != "scmoe")
        and not (SCHEDULES[name].overlaps and nothing_to_hide)
        and not (name == "prefill_pairs" and model.shortcut != 2)
    ]
