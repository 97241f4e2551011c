"""Laws of lengths in the words of the command line: fixed:TOKENS, lognormal:MEAN,cv=1,max=0, empirical:FILE."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from hw_profiles.faults import Fault, InputFaults
from workloads.traffic.forms import Form, Number, parse_form
from workloads.traffic.lengths import Empirical, Fixed, Lengths, Lognormal
from workloads.traffic.recorded import recorded_lengths

_MOST = 2**31 - 1  # tokens: as of a request trace

FORMS: Mapping[str, Form] = {
    "fixed": Form(value_name="TOKENS", value=Number(least=1, most=_MOST, whole=True)),
    "lognormal": Form(
        value_name="MEAN",
        value=Number(least=1, most=_MOST),
        options={"cv": Number(default=1.0), "max": Number(default=0, most=_MOST, whole=True)},
    ),
}


def lengths_of(text: str, role: Literal["prompt", "output"], faults: list[Fault]) -> Lengths:
    """Return the law that `text` states for `role`; adds a fault for each mistake (a harmless law stands in its
    place)."""
    kind, _, rest = text.partition(":")
    try:
        if kind == "empirical":
            return Empirical(recorded_lengths(Path(rest), role))
    except InputFaults as error:
        faults += error.faults
        return Fixed(1)
    if kind not in FORMS:
        allowed = ", ".join([*(form.written(name) for name, form in FORMS.items()), "empirical:FILE"])
        faults.append(Fault(field=role, got=repr(text), allowed=allowed, remedy="write one of these"))
        return Fixed(1)
    found = parse_form(role, text, FORMS, faults)
    if found is None:
        return Fixed(1)
    if kind == "fixed":
        return Fixed(int(found[""]))
    return Lognormal(mean_tokens=found[""], cv=found["cv"], most_tokens=int(found["max"]))
