"""What a request is promised, in the words of the command line."""

from hw_profiles.faults import Fault, InputFaults
from simulator.serving.metrics import Slo


def parse_slo(text: str) -> Slo:
    """Return the promise that `ttft=2s,tpot=50ms` spells; InputFaults for anything else."""
    found: dict[str, float] = {}
    for part in text.split(",") if text else []:
        name, _, value = part.strip().partition("=")
        scale = 1e-3 if value.endswith("ms") else 1.0
        key = "?" if f"{name}_s" in found else f"{name}_s"
        try:
            found[key] = float(value.removesuffix("ms").removesuffix("s")) * scale
        except ValueError:
            found["?"] = 0.0
    if not set(found) <= {"ttft_s", "tpot_s"} or any(not 0.0 < limit < float("inf") for limit in found.values()):
        allowed, remedy = "ttft=TIME,tpot=TIME, such as ttft=2s,tpot=50ms", "write a number with s or ms for each"
        raise InputFaults([Fault(field="--slo", got=repr(text), allowed=allowed, remedy=remedy)])
    return Slo(**found)
