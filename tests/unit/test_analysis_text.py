"""Numbers, durations and foreign text as a person reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.experiments.analysis import text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (500, "500.0"),
        (475.25, "475.2"),
        (-1203.7, "−1,204"),
        (12.345, "12.35"),
        (1.5, "1.50"),
        (0.0312, "0.0312"),
        (1e-7, "1e-07"),
        (1e9, "1e+09"),
        (None, "–"),
        (float("nan"), "–"),
        (float("-inf"), "−∞"),
    ],
)
def test_a_number_has_three_or_four_significant_digits(value, shown):
    assert text.number(value) == shown


def test_a_difference_shows_its_sign():
    assert text.number(32.2, signed=True) == "+32.20"
    assert text.number(0.0, signed=True) == "0"


def test_numbers_that_stand_together_share_their_digits():
    assert text.mean_with_deviation(170.53, 23.448) == "170.5 ± 23.4"
    assert text.interval_text((-4.321, 116.72)) == "−4.3 to 116.7"
    assert text.mean_with_deviation(1.0, None) == "1.00"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (1.25, "1.2 s"),
        (59, "59 s"),
        (84, "1 min 24 s"),
        (4000, "1 h 06 min"),
        (200_000, "55 h 33 min"),
        (None, "–"),
    ],
)
def test_a_duration_is_said_as_a_person_says_it(seconds, shown):
    assert text.duration(seconds) == shown


def test_signs_that_hide_or_turn_text_are_shown_as_escapes():
    assert text.visible("a\u202eb\x1b[31mc\u200bd\x00") == "a\\u202eb\\u001b[31mc\\u200bd\\u0000"


def test_ordinary_text_of_any_language_stays():
    assert text.visible("Гипотеза: α ≤ 0.05\n\tдва") == "Гипотеза: α ≤ 0.05\n\tдва"


@given(st.text())
def test_visible_text_never_turns_direction(value):
    shown = text.visible(value)

    assert not any(
        sign in shown for sign in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    )
    assert "\x1b" not in shown


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_never_long(value):
    assert len(text.number(value, signed=True)) <= 11
