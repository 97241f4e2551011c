import json

import pytest

from hw_profiles.curves.records import from_record, to_record
from hw_profiles.faults import InputFaults
from hw_profiles.fits.gemm import START


def test_a_curve_survives_its_file():
    assert from_record(json.loads(json.dumps(to_record(START)))) == START


def test_every_wrong_coefficient_is_named():
    record = to_record(START)
    record["coefficients"] = {**record["coefficients"], "magic": 1.0}
    del record["coefficients"]["floor_s"]
    with pytest.raises(InputFaults) as caught:
        from_record(record)
    assert [line.split(":")[1].strip() for line in str(caught.value).splitlines()] == [
        "GemmCurve.magic",
        "GemmCurve.floor_s",
    ]


def test_an_unknown_curve_is_refused():
    with pytest.raises(InputFaults, match="allowed GemmCurve"):
        from_record({"curve": "Oracle"})
