import math

import pytest

from src.experiments.cli import wording


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Увеличенный learning rate", "Увеличенный learning rate"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\u202eevil", "\\u202eevil"),
        ("line\u2028separator", "line\\u2028separator"),
        ("half \ud800 pair", "half \\ud800 pair"),
        ("[bold]not markup[/bold]", "[bold]not markup[/bold]"),
        ("👩‍💻", "👩‍💻"),
    ],
)
def test_text_from_files_cannot_steer_the_terminal(text: str, shown: str) -> None:
    assert shown == wording.printable(text)


def test_newlines_are_kept_where_asked() -> None:
    assert wording.printable("a\nb\a", keep_newlines=True) == "a\nb\\x07"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "–"),
        (-1, "0:00"),
        (7.4, "0:07"),
        (59.6, "1:00"),
        (3723, "1:02:03"),
        (2 * 86400 + 3 * 3600 + 4 * 60, "2 d 03:04 h"),
    ],
)
def test_durations(seconds: float | None, shown: str) -> None:
    assert shown == wording.duration(seconds)


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (None, "–"),
        (0.0, "0.00"),
        (0.12345, "0.1235"),
        (0.00012, "0.00012"),
        (-12.345, "-12.35"),
        (195.25, "195.2"),
        (12345.6, "12,346"),
        (1.5e9, "1.5e+09"),
        (math.nan, "nan"),
    ],
)
def test_returns_keep_about_four_digits(number: float | None, shown: str) -> None:
    assert shown == wording.measured(number)


@pytest.mark.parametrize(
    ("speed", "shown"),
    [(None, "–"), (0.5, "0.5"), (1234.4, "1,234"), (56_700, "56.7k"), (math.inf, "–")],
)
def test_speeds_fit_six_characters(speed: float | None, shown: str) -> None:
    assert shown == wording.rate(speed)


def test_sizes_change_their_unit_at_a_gibibyte() -> None:
    assert [wording.megabytes(mb) for mb in (None, 512, 1536)] == ["–", "512 MiB", "1.5 GiB"]


def test_a_setting_is_short_json() -> None:
    assert wording.setting({"a": [1, None]}) == '{"a": [1, null]}'
    assert len(wording.setting("x" * 100, limit=10)) == 10


def test_a_deviation_has_the_digits_of_its_mean() -> None:
    assert wording.spread(195.25, 12.5) == "195.2 ± 12.5"
    assert wording.spread(10.5, 0.5) == "10.50 ± 0.50"
    assert wording.spread(10.5, None) == "10.50"
