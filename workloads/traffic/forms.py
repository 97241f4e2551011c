"""Words of the command line that stand for traffic or lengths: `NAME:VALUE,option=number,...`."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from hw_profiles.faults import Fault, unknown_word


@dataclass(frozen=True, kw_only=True)
class Number:
    """A number that a form takes: the least and the most allowed, whether whole; `default` None where it must be
    given. `above` excludes the least."""

    default: float | None = None
    least: float = 0.0
    most: float = math.inf
    whole: bool = False
    above: bool = False

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        low = f"above {self.least:g}" if self.above else f"at least {self.least:g}"
        return f"{kind}, {low}" + (f", at most {self.most:,.12g}" if self.most < math.inf else "")

    def read(self, text: str) -> float | None:
        """Return the number in `text`, None if there is none or it is not allowed."""
        try:
            number = float(text)
        except ValueError:
            return None
        is_low = number <= self.least if self.above else number < self.least
        if not math.isfinite(number) or is_low or number > self.most or (self.whole and number != int(number)):
            return None
        return number


@dataclass(frozen=True, kw_only=True)
class Form:
    """What may follow a name: `value`, called `value_name` in messages, and options by name."""

    value_name: str
    value: Number
    options: Mapping[str, Number] = field(default_factory=dict)

    def written(self, name: str) -> str:
        """Return the form as a user writes it."""
        options = "".join(f",{key}={number.default:g}" for key, number in self.options.items())
        return f"{name}:{self.value_name}{options}"


def parse_form(what: str, text: str, forms: Mapping[str, Form], faults: list[Fault]) -> dict[str, float] | None:
    """Return value (under "") and options of `text`, defaults filled in; None, with a fault added for each mistake, if
    it is none of `forms`. `what`: the name of the argument."""
    name, _, rest = text.partition(":")
    form = forms[name]
    value_text, *option_texts = rest.split(",")
    found = {key: number.default or 0.0 for key, number in form.options.items()}
    n_before = len(faults)
    for key, number_text in [("", value_text), *(_pair(option) for option in option_texts)]:
        number = form.options.get(key) if key else form.value
        if number is None:
            faults.append(unknown_word(f"{what} {text!r}", key, form.options))
        elif (parsed := number.read(number_text)) is None:
            where = f"{what} {text!r}, {key or form.value_name}"
            remedy = f"write {form.written(name)}"
            faults.append(Fault(field=where, got=repr(number_text), allowed=str(number), remedy=remedy))
        else:
            found[key] = parsed
    return found if len(faults) == n_before else None


def _pair(option: str) -> tuple[str, str]:
    key, _, number = option.partition("=")
    return key.strip() or "?", number
