"""What every shipped scenario answered when it was last looked at. A golden guards against change, it proves nothing:
that the numbers are right is the business of the theory suite and of the unit tests."""

import json
from pathlib import Path

import pytest
from golden.regenerate import golden_of

from simulator.scenario import list_scenarios

FOLDER = Path(__file__).parent
REMEDY = "if the change is meant, run `make goldens`, read the difference and say why in the commit"


def leaves(value, path=""):
    if isinstance(value, dict):
        return {k: v for key, item in value.items() for k, v in leaves(item, f"{path}.{key}".lstrip(".")).items()}
    if isinstance(value, list):
        return {k: v for i, item in enumerate(value) for k, v in leaves(item, f"{path}[{i}]").items()}
    return {path: value}


def same(old, new):
    if isinstance(old, float) and isinstance(new, float):
        return new == pytest.approx(old, rel=1e-8, abs=1e-14)  # both are rounded to nine digits
    return old == new


def test_every_shipped_scenario_has_a_golden_and_no_golden_is_left_over():
    assert sorted(path.stem for path in FOLDER.glob("*.json")) == list_scenarios(), REMEDY


@pytest.mark.parametrize("scenario", list_scenarios())
def test_the_scenario_answers_as_before(scenario):
    old = leaves(json.loads((FOLDER / f"{scenario}.json").read_text(encoding="utf-8")))
    new = leaves(golden_of(scenario))
    changed = {key: (old.get(key), new.get(key)) for key in {**old, **new} if not same(old.get(key), new.get(key))}
    assert not changed, f"{REMEDY}; was, is: {changed}"
