"""The suite of collectives without its tables: versions, medians, knees, a missing table."""

import numpy as np
import pytest

from hw_profiles.faults import InputFaults
from validation.collective_knee import knee
from validation.collective_one_sided import one_sided_rows
from validation.collective_rows import CollectiveRow, group_documents
from validation.collective_versions import low_latency_rows, normal_rows, published
from validation.suites.collectives import collectives_document

VERSIONS = [*low_latency_rows(published()), *normal_rows(published()), *one_sided_rows(published())]
FIT_STOPS = 2e-3  # the robust fit ends where a step changes less than this


def row(predicted, *, fitted=False, bar=0.1, in_range=True):
    return CollectiveRow(group="g", what="w", predicted=predicted, measured=100.0, unit="us", source="s", bar=bar,
                         fitted=fitted, in_range=in_range)  # fmt: skip


@pytest.mark.parametrize("group", sorted({row.group for row in VERSIONS}))
def test_a_version_is_fitted_on_at_most_two_of_its_rows_and_meets_them(group):
    fitted = [row for row in VERSIONS if row.group == group and row.fitted]
    assert 1 <= len(fitted) <= 2
    assert all(abs(row.error) < FIT_STOPS for row in fitted)


def test_every_version_has_rows_that_it_was_not_fitted_on():
    assert {row.group for row in VERSIONS if not row.fitted} == {row.group for row in VERSIONS}


def test_the_first_release_sends_more_over_the_nic_than_the_one_with_nvlink():
    times = {(row.group, row.what): row.predicted for row in VERSIONS}
    for ranks in (32, 64, 128, 256):
        assert times["DeepEP pure_rdma", f"EP{ranks} combine"] > times["DeepEP nvlink", f"EP{ranks} combine"]


def test_fitted_rows_are_in_no_median():
    (group,) = group_documents([row(103.0), row(92.0), row(150.0, fitted=True)])
    assert (group["n"], group["n_fitted"]) == (2, 1)
    assert group["median"] == pytest.approx((0.03 + 0.08) / 2)
    assert group["bias"] == pytest.approx((0.03 - 0.08) / 2)
    assert group["ok"]


def test_rows_out_of_range_are_a_group_of_their_own():
    inside, outside = group_documents([row(101.0, bar=0.05), row(130.0, bar=0.2, in_range=False)])
    assert (inside["ok"], outside["ok"]) == (True, False)


def test_a_group_without_a_bar_is_shown_without_a_verdict():
    (group,) = group_documents([row(300.0, bar=None)])
    assert group["ok"] is None


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([4.0, 2.0, 1.05, 1.0], 12.0),
        ([1.0, 1.0, 1.0, 1.0], 4.0),
        ([8.0, 4.0, 3.0, 2.0], 16.0),
        ([1.0, 2.0, 1.05, 1.0], 12.0),
    ],
)
def test_the_knee_is_the_first_count_after_which_nothing_gains_a_tenth(seconds, expected):
    assert knee([4, 8, 12, 16], np.array(seconds)) == expected


def test_every_missing_table_is_named(tmp_path):
    with pytest.raises(InputFaults) as caught:
        collectives_document(tmp_path)
    named = {fault.field for fault in caught.value.faults}
    assert "--data: deepep_normal.csv" in named
    assert "--data: gb200_alltoall_trtllm.csv" in named
    assert len(named) == 4
