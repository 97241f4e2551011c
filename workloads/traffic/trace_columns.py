"""Which column of a request trace holds what: names in use, in any case, with or without spaces, _ and -."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from hw_profiles.faults import Fault, InputFaults

S, MS, NS = 1.0, 1e3, 1e9  # units per second

# Azure: TIMESTAMP (a date), ContextTokens, GeneratedTokens. Mooncake: timestamp [ms], input_length, output_length,
# hash_ids, session_id. APEX+: StartTimeOffset [ns]. LLMServingSim: arrival_time_ns, input_toks, output_toks. Vidur:
# arrived_at [s], num_prefill_tokens, num_decode_tokens. BurstGPT: Timestamp [s], Session ID, Request tokens, Response
# tokens.
_UNITS_PER_S: Mapping[str, float] = {
    "timestamp": S,
    "arrivals": S,
    "arrivaltimes": S,
    "arrivedat": S,
    "arrivaltime": S,
    "arrival": S,
    "timestamps": S,
    "times": S,
    "time": S,
    "arrivalms": MS,
    "arrivaltimems": MS,
    "timestampms": MS,
    "arrivalns": NS,
    "arrivaltimens": NS,
    "timestampns": NS,
    "starttimeoffset": NS,
}
PROMPT_NAMES = (
    "contexttokens",
    "inputlength",
    "inputtoks",
    "numprefilltokens",
    "requesttokens",
    "prompttokens",
    "inputtokens",
    "promptlength",
    "promptlen",
    "inputlen",
)
OUTPUT_NAMES = (
    "generatedtokens",
    "outputlength",
    "outputtoks",
    "numdecodetokens",
    "responsetokens",
    "outputtokens",
    "completiontokens",
    "outputlen",
)
_SESSION_NAMES = ("sessionid", "session", "conversationid", "chatid")
_PREFIX_NAMES = ("hashids",)


@dataclass(frozen=True, kw_only=True)
class TraceColumns:
    """Names of the columns as the file spells them, None where an optional one is absent; `units_per_s` of a numeric
    time, None where times are dates."""

    arrival: str
    prompt: str
    output: str
    session: str | None
    prefix: str | None
    units_per_s: float | None


def find(names: Sequence[str], known: Sequence[str]) -> str | None:
    """Return the name in the file that is the first of `known`, None if there is none."""
    spelled = {plain(name): name for name in reversed(names)}
    return next((spelled[word] for word in known if word in spelled), None)


def plain(name: str) -> str:
    """Return a column's name in small letters, without spaces, _ and -."""
    return "".join(letter for letter in name.casefold() if letter not in " _-")


def trace_columns(file: str, first_row: Mapping[str, object]) -> TraceColumns:
    """Return the columns of a trace by their names and the values of its first row; raises InputFaults for every one
    that is missing."""
    names = list(first_row)
    wanted = {
        "time of arrival": tuple(_UNITS_PER_S),
        "prompt tokens": PROMPT_NAMES,
        "output tokens": OUTPUT_NAMES,
    }
    found = {role: find(names, known) for role, known in wanted.items()}
    missing = [role for role, name in found.items() if name is None]
    if missing:
        raise InputFaults(_missing(file, role, names, wanted[role]) for role in missing)
    arrival, prompt, output = (name or "" for name in found.values())
    return TraceColumns(
        arrival=arrival,
        prompt=prompt,
        output=output,
        session=find(names, _SESSION_NAMES),
        prefix=find(names, _PREFIX_NAMES),
        units_per_s=None if _is_date(first_row[arrival]) else _units_per_s(arrival, prompt),
    )


def _units_per_s(arrival: str, prompt: str) -> float:
    """Of a numeric time: a bare `timestamp` is in ms beside `input_length` (Mooncake's format), else in seconds."""
    if (plain(arrival), plain(prompt)) == ("timestamp", "inputlength"):
        return MS
    return _UNITS_PER_S[plain(arrival)]


def _missing(file: str, role: str, names: Sequence[str], known: Sequence[str]) -> Fault:
    return Fault(
        field=f"{file}, {role}",
        got=f"columns {', '.join(names)}",
        allowed=f"a column named {', '.join(known)} (any case; spaces, _ and - do not count)",
        remedy="rename the column that holds it",
    )


def _is_date(value: object) -> bool:
    try:
        date.fromisoformat(str(value)[: len("2023-11-16")])
    except ValueError:
        return False
    return not isinstance(value, int | float) and not str(value).isdecimal()  # 20231116: a number all the same
