"""Traffic in the words of the command line: a trace's file, or a law such as poisson:8."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path

from hw_profiles.faults import Fault, InputFaults, nearest
from workloads.ops import FloatArray
from workloads.traffic.arrivals import DAY_S, constant, daily, gamma, poisson
from workloads.traffic.conversation import BLOCK_TOKENS, ConversationLaw
from workloads.traffic.forms import Form, Number, parse_form
from workloads.traffic.length_forms import lengths_of
from workloads.traffic.lengths import Fixed, Lengths, Lognormal
from workloads.traffic.made import made_requests
from workloads.traffic.recorded import read_requests
from workloads.traffic.requests import Requests, at_rate
from workloads.traffic.sessions import ClosedLoop, Conversations, SessionTraffic
from workloads.traffic.streams import ARRIVALS, stream

MADE_REQUESTS = 1000  # as vLLM's `bench serve --num-prompts`: laws know no end of their own

_RATE = Number(above=True)
_COUNT = Number(least=1, whole=True)


def _conversations(turns: int, gap_s: float, later: int) -> Form:
    options = {
        "turns": replace(_COUNT, default=turns),
        "turns_cv": Number(default=0),
        "gap": Number(default=gap_s),
        "gap_cv": Number(default=1),
        "later": Number(default=later, whole=True),
        "system": Number(default=0, whole=True),
        "block": replace(_COUNT, default=BLOCK_TOKENS),
    }
    return Form(value_name="RATE", value=_RATE, options=options)


FORMS: Mapping[str, Form] = {
    "poisson": Form(value_name="RATE", value=_RATE),
    "gamma": Form(value_name="RATE", value=_RATE, options={"cv": Number(default=2, above=True)}),
    "constant": Form(value_name="RATE", value=_RATE),
    "daily": Form(
        value_name="RATE",
        value=_RATE,
        options={"peak": Number(default=2, least=1, most=2), "period": Number(default=DAY_S, above=True)},
    ),
    "users": Form(value_name="N", value=_COUNT, options={"think": Number(default=5)}),
    "chat": _conversations(turns=4, gap_s=20.0, later=0),  # assumed: a person reads and types
    "agent": _conversations(turns=20, gap_s=2.0, later=512),  # assumed: a tool runs and answers
}


def traffic_of(
    text: str,
    *,
    rate_scale: float = 1.0,
    n_requests: int | None = None,
    seed: int = 0,
    prompt: str = "lognormal:1024,cv=1",
    output: str = "fixed:128",
) -> Iterator[Requests] | SessionTraffic:
    """Return the traffic that `text` states, the first `n_requests` of it (None: the whole file, or MADE_REQUESTS).

    A file, poisson, gamma, constant and daily give chunks of requests; users, chat and agent wait for answers and give
    `SessionTraffic`. `rate_scale` multiplies the rate (a file's times are divided by it); `prompt` and `output` are
    laws of lengths [tokens], unused where a file has them. Raises InputFaults for every mistake in the arguments.
    """
    kind = text.partition(":")[0]
    faults = _number_faults(kind, rate_scale, n_requests, seed)
    if kind not in FORMS:
        faults += _file_faults(text)
        if faults:
            raise InputFaults(faults)
        return at_rate(read_requests(Path(text), n_requests=n_requests), rate_scale)
    found = parse_form("traffic", text, FORMS, faults)
    laws = lengths_of(prompt, "prompt", faults), lengths_of(output, "output", faults)
    if faults or found is None:
        raise InputFaults(faults)
    return _made(kind, found, *laws, rate_scale=rate_scale, n_requests=n_requests or MADE_REQUESTS, seed=seed)


def _made(
    kind: str,
    found: Mapping[str, float],
    prompt: Lengths,
    output: Lengths,
    *,
    rate_scale: float,
    n_requests: int,
    seed: int,
) -> Iterator[Requests] | SessionTraffic:
    if kind == "users":
        n_users, think_s = int(found[""]), found["think"]
        return ClosedLoop(
            n_users=n_users, think_s=think_s, prompt=prompt, output=output, n_requests=n_requests, seed=seed
        )
    arrivals = _arrivals(kind, found, found[""] * rate_scale, seed)
    if kind in {"chat", "agent"}:
        starts_s = chain.from_iterable(times_s.tolist() for times_s in arrivals)
        law = _conversation_law(found, prompt, output)
        return Conversations(starts_s, law=law, n_requests=n_requests, seed=seed)
    return made_requests(arrivals, prompt=prompt, output=output, n_requests=n_requests, seed=seed)


def _arrivals(kind: str, found: Mapping[str, float], rate_per_s: float, seed: int) -> Iterator[FloatArray]:
    rng = stream(seed, ARRIVALS)
    if kind == "constant":
        return constant(rate_per_s=rate_per_s)
    if kind == "gamma":
        return gamma(rate_per_s=rate_per_s, cv=found["cv"], rng=rng)
    if kind == "daily":
        return daily(rate_per_s=rate_per_s, peak=found["peak"], period_s=found["period"], rng=rng)
    return poisson(rate_per_s=rate_per_s, rng=rng)


def _conversation_law(found: Mapping[str, float], prompt: Lengths, output: Lengths) -> ConversationLaw:
    turns, later = found["turns"], found["later"]
    return ConversationLaw(
        turns=Lognormal(mean_tokens=turns, cv=found["turns_cv"]) if found["turns_cv"] else Fixed(int(turns)),
        first_prompt=prompt,
        later_prompt=Lognormal(mean_tokens=later, cv=1.0) if later else prompt,
        output=output,
        gap_s=found["gap"],
        gap_cv=found["gap_cv"],
        system_tokens=int(found["system"]),
        block_tokens=int(found["block"]),
    )


def _number_faults(kind: str, rate_scale: float, n_requests: int | None, seed: int) -> list[Fault]:
    faults = []
    if not 0.0 < rate_scale < float("inf"):
        faults.append(
            Fault(field="rate_scale", got=f"{rate_scale:g}", allowed="a number above 0", remedy="2 doubles the rate")
        )
    elif kind == "users" and rate_scale != 1.0:
        remedy = "change the number of users: their rate follows from the answers"
        faults.append(Fault(field="rate_scale", got=f"{rate_scale:g}", allowed="1 with users", remedy=remedy))
    if n_requests is not None and n_requests < 1:
        remedy = "leave it out for all of a file"
        faults.append(Fault(field="n_requests", got=str(n_requests), allowed="1 or more", remedy=remedy))
    if seed < 0:
        faults.append(Fault(field="seed", got=str(seed), allowed="0 or more", remedy="choose another"))
    return faults


def _file_faults(text: str) -> list[Fault]:
    """A word that is neither a file nor one of the forms."""
    if text and Path(text).exists():
        return []
    close = nearest(text.partition(":")[0], FORMS)
    forms = ", ".join(form.written(name) for name, form in FORMS.items())
    remedy = f"did you mean {FORMS[close].written(close)}?" if close else "check the path"
    return [Fault(field="traffic", got=repr(text), allowed=f"a file of requests, or {forms}", remedy=remedy)]
