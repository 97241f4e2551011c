"""First pass over a file: does it have the right shape? Every fault, in words."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from hw_profiles.faults import Fault, nearest, unknown_word

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

RecordT = TypeVar("RecordT", bound="DataclassInstance")

_PLAIN = {
    "an object": "a table", "a valid dictionary": "a table", "a valid integer": "a whole number",
    "a valid number": "a number", "a valid string": "a text in quotes", "a valid boolean": "true or false",
    "a valid array": "a list",
}  # fmt: skip

IN_FILE = "file"  # adapters are over a dict of one record: configuration reaches dataclasses only from outside


def validate_shape(
    adapter: TypeAdapter[dict[str, RecordT]], values: Mapping[str, Any], keys_of: Callable[[str], Sequence[str]]
) -> tuple[RecordT | None, list[Fault]]:
    """Return the record (None if its shape is wrong) and the faults of its shape.

    `keys_of(section)` lists the keys that the table at a dotted path may have.
    """
    # Through JSON, because a strict validator accepts a table for a dataclass only there.
    document = json.dumps({IN_FILE: values}, default=str)
    try:
        return adapter.validate_json(document)[IN_FILE], []
    except ValidationError as error:
        return None, [_fault_of(detail, keys_of) for detail in error.errors(include_url=False)]


def _fault_of(detail: ErrorDetails, keys_of: Callable[[str], Sequence[str]]) -> Fault:
    *parents, last = (str(part) for part in detail["loc"][1:] or ("file",))
    path = ".".join([*parents, last])
    if detail["type"] == "unexpected_keyword_argument":
        return unknown_word(path, last, keys_of(".".join(parents)))
    if detail["type"] == "missing":
        return Fault(field=path, got="nothing", allowed="a value", remedy=f"add {last} to the file")
    if detail["type"] == "literal_error":
        allowed = detail["ctx"]["expected"]
        close = nearest(str(detail["input"]), [word.strip("'") for word in allowed.replace(" or ", ", ").split(", ")])
        remedy = f"did you mean {close!r}?" if close else "use one of the allowed words"
        return Fault(field=path, got=repr(detail["input"]), allowed=allowed, remedy=remedy)
    wanted = detail["msg"].removeprefix("Input should be ")
    wanted = _PLAIN.get(wanted, wanted)
    return Fault(field=path, got=repr(detail["input"]), allowed=wanted, remedy=f"write {wanted}")
