"""What a stored run answers: a scenario, and the requests that are replayed on it, if any."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from hw_profiles.faults import Fault, InputFaults
from hw_profiles.shape import validate_shape
from simulator.scenario import ShapeFaults, load_scenario, parse_value, resolved
from simulator.scenario_schema import Scenario
from workloads.traffic.requests import Requests, with_prompts
from workloads.traffic.sessions import SessionTraffic
from workloads.traffic.sources import traffic_of

_TRAFFIC = "traffic."


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Requests as `longsim replay` takes them: `requests`, a file or a law; the first `count` (None: all of a file, a
    law's own number); `prompt`, `output`: laws of lengths, of made requests; `rate_scale`: times as fast;
    `prompt_scale`: prompts times as long. `ttft_s`, `tpot_s`: what a request is promised [s], None: nothing."""

    requests: str
    count: int | None = None
    prompt: str = "lognormal:1024,cv=1"
    output: str = "fixed:128"
    rate_scale: float = 1.0
    prompt_scale: float = 1.0
    ttft_s: float | None = None
    tpot_s: float | None = None


_ADAPTER = TypeAdapter(dict[str, Traffic], config=ConfigDict(extra="forbid", strict=True))


@dataclass(frozen=True, kw_only=True)
class Question:
    """One step of `scenario`, or a replay of `traffic` on its replicas."""

    scenario: Scenario
    traffic: Traffic | None = None

    @property
    def kind(self) -> str:
        """What answers it: "step" or "replay"."""
        return "replay" if self.traffic else "step"

    @property
    def tables(self) -> dict[str, Any]:
        """Every key with its value, as nested plain data; those of the traffic under "traffic"."""
        traffic = {"traffic": asdict(self.traffic)} if self.traffic else {}
        return {**resolved(self.scenario), **traffic}


def load_question(scenario: str, settings: Sequence[str] = (), *, traffic: Mapping[str, Any] | None = None) -> Question:
    """Return the question that a scenario and `KEY=VALUE` settings put; those of `traffic.KEY` change `traffic`.

    InputFaults names every fault of the scenario, and else of the traffic: a key that is none, a value of the wrong
    type, a law or a file that is none, settings of traffic where there is none.
    """
    of_traffic = [setting for setting in settings if setting.startswith(_TRAFFIC)]
    loaded = load_scenario(scenario, [setting for setting in settings if not setting.startswith(_TRAFFIC)])
    if traffic is None:
        if of_traffic:
            raise InputFaults([_no_traffic(setting) for setting in of_traffic])
        return Question(scenario=loaded)
    pairs = (setting.removeprefix(_TRAFFIC).partition("=") for setting in of_traffic)
    asked = _traffic({**traffic, **{key: parse_value(text) for key, _, text in pairs}})
    requests_of(asked, seed=loaded.seed)
    return Question(scenario=loaded, traffic=asked)


def _no_traffic(setting: str) -> Fault:
    allowed = "keys of traffic only where requests are replayed"
    return Fault(field="--set", got=repr(setting), allowed=allowed, remedy="add --requests FILE|LAW:RATE")


def _traffic(tables: Mapping[str, Any]) -> Traffic:
    found, faults = validate_shape(_ADAPTER, tables, lambda _: [field.name for field in fields(Traffic)])
    if found is None:
        raise ShapeFaults(replace(fault, field=f"{_TRAFFIC}{fault.field}") for fault in faults)
    positive = {"prompt_scale": found.prompt_scale, "ttft_s": found.ttft_s, "tpot_s": found.tpot_s}
    wrong = {name: value for name, value in positive.items() if value is not None and not 0.0 < value < float("inf")}
    if wrong:
        raise InputFaults(
            Fault(field=f"{_TRAFFIC}{name}", got=f"{value:g}", allowed="a number above 0", remedy="write another")
            for name, value in wrong.items()
        )
    return found


def requests_of(traffic: Traffic, *, seed: int) -> Iterator[Requests] | SessionTraffic:
    """Return the requests; InputFaults for a law or a file that is none, and for prompts scaled that cannot be."""
    found = traffic_of(
        traffic.requests, rate_scale=traffic.rate_scale, n_requests=traffic.count, seed=seed, prompt=traffic.prompt,
        output=traffic.output,
    )  # fmt: skip
    if traffic.prompt_scale == 1.0:
        return found
    if not isinstance(found, Iterator):
        allowed, remedy = "1 for users, chat and agent", "write a longer law of prompts: traffic.prompt=lognormal:1300"
        raise InputFaults([Fault(field="traffic.prompt_scale", got=f"{traffic.prompt_scale:g}", allowed=allowed,
                                 remedy=remedy)])  # fmt: skip
    return with_prompts(found, traffic.prompt_scale)


def files_of(traffic: Traffic) -> list[Path]:
    """Return the files that the traffic reads."""
    laws = [word.partition(":") for word in (traffic.prompt, traffic.output)]
    named = [Path(traffic.requests), *(Path(rest) for kind, _, rest in laws if kind == "empirical")]
    return [path for path in named if path.is_file()]
