import math

import pytest

from simulator.report.formats import (
    bytes_text,
    flops_text,
    money_text,
    number_text,
    quantity_text,
    share_text,
    signed,
    time_text,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [(3785.4, "3,785"), (28.64, "28.6"), (0.14712, "0.147"), (35.0, "35"), (999.9, "1,000"), (0, "0"), (-2.5, "-2.5")],
)
def test_a_number_keeps_three_significant_digits(value, text):
    assert number_text(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(28.6e-3, "28.6 ms"), (45.6e-6, "45.6 µs"), (3e-9, "3 ns"), (12.0, "12 s"), (0.0, "0 s"), (0.99999, "1 s")],
)
def test_a_time_takes_the_unit_that_fits(seconds, text):
    assert time_text(seconds) == text


def test_bytes_and_flops_take_decimal_prefixes():
    assert bytes_text(61.2e9) == "61.2 GB"
    assert bytes_text(0.0) == "0 B"
    assert flops_text(1.234e12) == "1.23 TFLOP"


def test_a_small_share_is_not_nothing():
    assert share_text(0.743) == "74 %"
    assert share_text(0.001) == "<1 %"
    assert share_text(0.0) == "0 %"


def test_dollars_have_cents_from_one_dollar_on():
    assert money_text(2.0) == "$2.00"
    assert money_text(0.1466) == "$0.147"


def test_differences_carry_their_sign():
    assert signed(time_text, -1.2e-3) == "−1.2 ms"
    assert signed(share_text, 0.03) == "+3 %"


def test_what_is_absent_is_a_dash_and_not_zero():
    assert quantity_text(None, "s") == "–"
    assert quantity_text(math.nan, "s") == "–"
    assert quantity_text(math.nan, "$") == "–"


def test_rates_of_hardware_take_prefixes_too():
    assert quantity_text(3.35e12, "B/s") == "3.35 TB/s"
    assert quantity_text(989e12, "FLOP/s") == "989 TFLOP/s"


def test_counts_and_words_stay_as_they_are():
    assert quantity_text(107520) == "107,520"
    assert quantity_text("nic.egress") == "nic.egress"
    assert quantity_text(True) == "True"


def test_money_below_a_dollar_has_three_digits_and_dust_of_time_is_nothing():
    assert money_text(0.1) == "$0.100"
    assert money_text(0.0883) == "$0.0883"
    assert money_text(0.0) == "$0.00"
    assert time_text(2.14e-18) == "0 s"
    assert time_text(1e-12) == "0.001 ns"
