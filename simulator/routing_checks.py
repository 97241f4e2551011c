"""Does the routing of a scenario make sense for its model? Each check returns every fault it finds."""

from collections.abc import Iterable
from dataclasses import dataclass

from hw_profiles.faults import Fault
from simulator.scenario_schema import Scenario
from workloads.model import ModelSpec
from workloads.replayed import load_trace, shipped_traces
from workloads.routing import beta_binomial_std_range
from workloads.zoo import n_moe_layers


@dataclass(frozen=True, kw_only=True)
class _Drawn:
    """A law that popularity is drawn from: how its number is called, the largest one, and what it is for DeepSeek."""

    letter: str
    largest: float
    usual: str


_DRAWN = {
    "power_law": _Drawn(letter="ALPHA", largest=10.0, usual="1.01"),
    "lognormal": _Drawn(letter="SIGMA", largest=5.0, usual="1.1"),
}
_LARGEST_DRIFT = 2.0  # beyond, nothing is left of the loads that a placement knows


def check_for_bad_routing(scenario: Scenario, model: ModelSpec) -> Iterable[Fault]:
    """Popularity that cannot be read, FFN experts per token that cannot be."""
    routing, ffn, top_k = scenario.routing, scenario.routing.ffn_experts, model.moe.top_k
    kind, _, argument = routing.popularity.partition(":")
    if kind not in {"balanced", "counts", "trace", *_DRAWN} or (kind != "balanced") != bool(argument):
        yield Fault(
            field="routing.popularity",
            got=repr(routing.popularity),
            allowed="balanced, power_law:ALPHA, lognormal:SIGMA, counts:FILE, trace:FILE, trace:NAME of a shipped one",
            remedy="write one of these forms",
        )
    elif kind in _DRAWN and not (_is_number(argument) and 0.0 < float(argument) <= _DRAWN[kind].largest):
        drawn = _DRAWN[kind]
        yield Fault(
            field="routing.popularity",
            got=repr(routing.popularity),
            allowed=f"{kind}:{drawn.letter}, 0 < {drawn.letter} <= {drawn.largest:g}",
            remedy=f"write a number such as {kind}:{drawn.usual}",
        )
    if not 0.0 <= routing.drift <= _LARGEST_DRIFT or (routing.drift and kind == "trace"):
        allowed = f"0 to {_LARGEST_DRIFT:g}, and 0 where a trace is replayed as it is"
        yield Fault(field="routing.drift", got=f"{routing.drift:g}", allowed=allowed, remedy="write 0, or such as 0.1")
    if not 0.0 <= ffn.mean <= top_k:
        yield Fault(
            field="routing.ffn_experts.mean",
            got=f"{ffn.mean:g}",
            allowed=f"0 (the model's own) to {top_k}",
            remedy="write the mean number of FFN experts per token",
        )
        return
    if ffn.kind == "beta_binomial" and model.moe.n_zero_experts:
        mean = ffn.mean or model.moe.mean_ffn_experts
        low, high = beta_binomial_std_range(n=top_k, mean=mean)
        if not 0.0 < mean < top_k:
            yield Fault(
                field="routing.ffn_experts.mean",
                got=f"{mean:g}",
                allowed=f"0 to {top_k}, ends excluded",
                remedy='a spread needs room on both sides, or choose kind = "fixed"',
            )
        elif not low < ffn.std < high:
            allowed = f"{low:.3g} to {high:.3g}, ends excluded"
            yield Fault(
                field="routing.ffn_experts.std",
                got=f"{ffn.std:g}",
                allowed=allowed,
                remedy="LongCat's published figure is 3",
            )


def check_for_trace_of_another_model(scenario: Scenario, model: ModelSpec) -> Iterable[Fault]:
    """A routing trace that cannot be read, or was recorded from other experts or layers."""
    kind, _, path = scenario.routing.popularity.partition(":")
    if kind != "trace" or not path:
        return
    try:
        trace = load_trace(path)
    except ValueError as error:
        yield Fault(
            field="routing.popularity",
            got=f"{scenario.routing.popularity!r} ({'; '.join(str(error).splitlines())})",
            allowed=f"a routing trace recorded by the layers, or a shipped one: {', '.join(shipped_traces())}",
            remedy="check the file or the name",
        )
        return
    moe = model.moe
    found = (trace.n_routed_experts, trace.n_zero_experts, trace.top_k, trace.n_layers)
    wanted = (moe.n_routed_experts, moe.n_zero_experts, moe.top_k, n_moe_layers(model))
    if found != wanted:
        yield Fault(
            field="routing.popularity",
            got="a trace of {} routed + {} zero experts, top-{}, {} layers".format(*found),
            allowed="{} routed + {} zero experts, top-{}, {} layers".format(*wanted) + f" as in {model.name}",
            remedy="record a trace of this model, or set model_overrides to the recorded one",
        )
    if scenario.routing.zero_experts in {"none", "k8"}:
        yield Fault(
            field="routing.zero_experts",
            got=repr(scenario.routing.zero_experts),
            allowed="skip, remap0 with a trace, which fixes the choices",
            remedy="choose one of these, or another popularity",
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
