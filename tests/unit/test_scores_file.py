"""A table of scores from another tool: what is read, refused with its line, and told."""

from __future__ import annotations

import random
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.experiments.analysis import compare
from src.experiments.analysis.scores_file import as_results, final_score, parse_scores, two_arms
from src.experiments.domain.errors import UsageError
from src.experiments.domain.records import EvaluationPoint
from src.experiments.domain.scores import final_return
from src.experiments.domain.verdicts import DecisionRule, Verdict

PLAIN = "arm,seed,score\na,1,10\na,2,12\nb,1,20.5\nb,2,-3e1\n"


def refused(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse_scores(text, "scores.csv")
    return str(caught.value)


def test_each_row_is_a_run_of_an_arm() -> None:
    table = parse_scores(PLAIN, "scores.csv")

    assert table.scores == {"a": {1: 10.0, 2: 12.0}, "b": {1: 20.5, 2: -30.0}}
    assert list(table.scores) == ["a", "b"]
    assert table.warnings == ()


@pytest.mark.parametrize(
    "text",
    [
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        PLAIN.removesuffix("\n"),
        '"arm","seed","score"\n"a","1","10"\n"a","2","12"\n"b",1,20.5\nb,2,-30\n',
        "score, seed ,arm\n10, 1, a\n12,2,a\n20.5,1,b\n-30.0,+2,b\n",
        "\narm,seed,score\n\na,1,10\na,2,12\n\n\nb,1,20.5\nb,2,-30\n\n",
    ],
    ids=["crlf", "cr", "no last newline", "quoted", "other order", "blank lines"],
)
def test_forms_that_other_tools_write_say_the_same(text: str) -> None:
    assert parse_scores(text, "x").scores == parse_scores(PLAIN, "x").scores


def test_an_arm_may_hold_commas_quotes_and_any_script() -> None:
    text = 'arm,seed,score\n"PPO, γ=""0.9""",1,1\nновый,1,2\n'

    assert list(parse_scores(text, "x").scores) == ['PPO, γ="0.9"', "новый"]


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("", "line 1", "it is empty"),
        ("\n\n", "line 2", "it is empty"),
        ("arm,seed,score\n", "line 1", "no row follows the header"),
        ("arm,seed,value\na,1,2\n", "line 1", "column score is missing; 'arm', 'seed', 'value'"),
        ("arm;seed;score\na;1;2\n", "line 1", "not separated by commas"),
        ("arm,seed,score,note\n", "line 1", "column 'note' is unknown"),
        ("arm,seed,score,seed\n", "line 1", "column 'seed' appears twice"),
        ("arm,seed,score\na,1,2\na,2\n", "line 3", "2 cells where the header names 3"),
        ("arm,seed,score\na,1,2\na,2,1,5\n", "line 3", "4 cells where the header names 3"),
        ("arm,seed,score\na,1,2\n,2,1\n", "line 3", "arm '' is not a usable name"),
        ('arm,seed,score\n"a\x1b[2J",2,1\n', "line 2", r"arm 'a\x1b[2J' is not a usable name"),
        ("arm,seed,score\na,1.0,2\n", "line 2", "seed '1.0' is not a whole number"),
        ("arm,seed,score\na,,2\n", "line 2", "seed '' is not a whole number"),
        ("arm,seed,score\na,1_0,2\n", "line 2", "seed '1_0' is not a whole number"),
        ("arm,seed,score\na,1,\n", "line 2", "score is missing"),
        ("arm,seed,score\na,1,nan\n", "line 2", "score 'nan' is not finite"),
        ("arm,seed,score\na,1,-Infinity\n", "line 2", "score '-Infinity' is not finite"),
        ("arm,seed,score\na,1,1e999\n", "line 2", "score '1e999' is not finite"),
        ("arm,seed,score\na,1,1_000\n", "line 2", "score '1_000' is not a number"),
        ('arm,seed,score\na,1,"1,5"\n', "line 2", "score '1,5' is not a number"),
        ("arm,seed,score\na,1,2\nb,1,2\na,1,3\n", "line 4", "arm 'a', seed 1 has a second row"),
        ("arm,seed,score\na,1,2\na,+1,2\n", "line 3", "arm 'a', seed 1 has a second row"),
        (
            "arm,seed,step,score\na,1,9,2\na,1,9.0,3\n",
            "line 3",
            "seed 1 at step 9 has a second row",
        ),
        (
            "arm,seed,step,score\na,1,-9,2\n",
            "line 2",
            "step '-9' is not a number of training steps",
        ),
        ("arm,seed,step,score\na,1,nan,2\n", "line 2", "step 'nan' is not a number"),
        ('arm,seed,score\n"a\nb",1,2\n', "line 3", r"arm 'a\nb' is not a usable name"),
        ('arm,seed,score\na,1,"2\nb,1,3\n', "line 3", "not CSV (unexpected end of data)"),
        ('arm,seed,score\n"a"b,1,2\n', "line 2", "not CSV ("),
        (f"arm,seed,score\n{'a' * 200_000},1,2\n", "line 2", "not CSV (field larger"),
        (f"arm,seed,score\n{'a' * 101},1,2\n", "line 2", "is not a usable name"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(text: str, where: str, what: str) -> None:
    message = refused(text)

    assert message.startswith(f"scores.csv, {where}: ")
    assert what in message
    assert len(message) < 600


def test_a_missing_score_is_told_to_count_as_a_failure() -> None:
    assert "give a failed run the score that a failure is worth" in refused(
        "arm,seed,score\na,1,nan\n"
    )


FAILED = (
    "arm,seed,score,status\na,1,10,completed\na,2,,failed\n"
    "a,3,7,skipped\na,4,nan,\nb,1,-inf,\nb,2,3,\n"
)


def test_with_failures_allowed_a_row_without_a_score_is_a_run_that_failed() -> None:
    table = parse_scores(FAILED, "x", failures=True)

    by_arm = {arm: as_results(arm, scores) for arm, scores in table.scores.items()}
    assert [(run.seed, run.final_return, run.fault) for run in by_arm["a"]] == [
        (1, 10.0, None),
        (2, None, "run"),
        (3, None, "run"),
        (4, None, "run"),
    ]
    assert [run.status.value for run in by_arm["b"]] == ["failed", "completed"]
    (warning,) = table.warnings
    assert warning.startswith("b has no score of seeds 3, 4, which the other arm has")


def test_a_curve_with_a_score_that_is_none_is_a_run_that_failed_and_not_one_that_is_cut() -> None:
    text = "arm,seed,step,score\na,1,10,1\na,1,20,\na,1,30,5\na,2,10,1\na,2,20,\nb,1,100,5\n"

    table = parse_scores(text, "x", failures=True)

    assert [str(value) for value in table.scores["a"].values()] == ["nan", "nan"]
    assert not any("end before" in warning for warning in table.warnings)


def test_a_row_that_says_it_failed_is_refused_where_no_failure_is_allowed() -> None:
    assert "line 3: the run's status is failed" in refused(FAILED)
    assert "--floor SCORE" in refused(FAILED)


@pytest.mark.parametrize("failures", [True, False])
def test_an_unknown_status_and_a_score_that_is_no_number_are_refused(failures: bool) -> None:
    for row, what in (
        ("a,1,2,running", "status 'running' is unknown"),
        ("a,1,two,", "score 'two' is not a number"),
    ):
        with pytest.raises(UsageError, match=what):
            parse_scores(f"arm,seed,score,status\n{row}\n", "x", failures=failures)


def test_binary_content_is_refused() -> None:
    assert refused("PK\x03\x04\0\0").startswith("scores.csv: it holds NUL characters")


# --- curves ------------------------------------------------------------------------------------


def test_a_curve_counts_with_the_mean_of_its_last_tenth() -> None:
    rows = [f"a,7,{step},{step / 10}" for step in range(100, 1100, 100)]
    rows += [f"b,7,{step},1" for step in (0, 950, 1000)]
    table = parse_scores("arm,seed,step,score\n" + "\n".join(rows), "x")

    assert table.scores["a"] == {7: 95.0}  # steps 900 and 1000
    assert table.scores["b"] == {7: 1.0}
    assert table.warnings == ()


@given(
    st.dictionaries(
        st.integers(1, 10_000), st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=30
    )
)
def test_it_is_the_final_return_of_an_experiment(curve: dict[int, float]) -> None:
    points = [EvaluationPoint(step, score, 0.0, 0.0, 1) for step, score in curve.items()]

    assert final_score(curve) == final_return(points, planned_timesteps=max(curve))


def test_a_curve_that_was_cut_off_is_told() -> None:
    rows = [f"{arm},{seed},{step},1" for arm in "ab" for seed in (1, 2) for step in (500, 1000)]
    table = parse_scores("arm,seed,step,score\n" + "\n".join(rows[:-1]), "x")

    (warning,) = table.warnings
    assert warning.startswith("1 run of 4 end before the last 10 % of the longest one's 1000 steps")
    assert "b seed 2 at 500" in warning


# --- which arms --------------------------------------------------------------------------------


def test_seeds_that_one_arm_lacks_are_told_and_disjoint_ones_are_not() -> None:
    lacking = parse_scores("arm,seed,score\na,1,1\na,2,1\na,3,1\nb,1,2\nb,2,3\n", "x")
    disjoint = parse_scores("arm,seed,score\na,1,1\na,2,1\nb,11,2\nb,12,3\n", "x")

    assert [each.split(",")[0] for each in lacking.warnings] == ["b has no score of seed 3"]
    assert disjoint.warnings == ()


@pytest.mark.parametrize(
    ("order", "named", "baseline"),
    [
        ("ab", None, "a"),
        ("ba", None, "b"),
        ("ab", "b", "b"),
        (("variant", "baseline"), None, "baseline"),
        (("variant", "old"), None, "old"),
        (("new", "baseline"), None, "baseline"),
        (("variant", "baseline"), "variant", "variant"),
    ],
)
def test_the_baseline_is_the_named_one_else_what_is_called_so_else_the_first(
    order: str, named: str | None, baseline: str
) -> None:
    text = "arm,seed,score\n" + "".join(f"{arm},1,2\n" for arm in order)

    arms = two_arms(parse_scores(text, "x"), named)
    assert arms[0] == baseline
    assert sorted(arms) == sorted(order)


@pytest.mark.parametrize(
    ("arms", "named", "what"),
    [
        ("a", None, "two arms are compared, and there is 1: 'a'"),
        ("abc", None, "two arms are compared, and there are 3: 'a', 'b', 'c'"),
        ("ab", "c", "there is no arm 'c'; name one of 'a', 'b'"),
    ],
)
def test_other_than_two_arms_are_refused(arms: str, named: str | None, what: str) -> None:
    table = parse_scores("arm,seed,score\n" + "".join(f"{arm},1,2\n" for arm in arms), "x")

    with pytest.raises(UsageError, match=what):
        two_arms(table, named)


# --- the verdict on them -----------------------------------------------------------------------

SAMPLES = st.lists(st.integers(-40, 40), min_size=4, max_size=6)


def verdict(rows: list[tuple[str, int, float]], baseline: str | None = None) -> dict[str, object]:
    text = "arm,seed,score\n" + "".join(f"{a},{seed},{score!r}\n" for a, seed, score in rows)
    table = parse_scores(text, "x")
    results = {arm: as_results(arm, table.scores[arm]) for arm in two_arms(table, baseline)}
    return asdict(compare(results, DecisionRule()))


def rows_of(baseline: list[int], variant: list[int]) -> list[tuple[str, int, float]]:
    return [
        (arm, seed, float(score))
        for arm, scores in (("baseline", baseline), ("variant", variant))
        for seed, score in enumerate(scores)
    ]


@given(SAMPLES, SAMPLES, st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_order_of_the_rows_changes_nothing(
    baseline: list[int], variant: list[int], shuffler: random.Random
) -> None:
    rows = rows_of(baseline, variant)
    shuffled = shuffler.sample(rows, len(rows))

    assert verdict(shuffled) == verdict(rows)


@given(SAMPLES, SAMPLES)
@settings(max_examples=40, deadline=None)
def test_swapping_the_arms_turns_the_verdict_over(baseline: list[int], variant: list[int]) -> None:
    rows = rows_of(baseline, variant)
    one, other = verdict(rows), verdict(rows, baseline="variant")
    turned = {
        Verdict.VARIANT_BETTER: Verdict.VARIANT_WORSE,
        Verdict.VARIANT_WORSE: Verdict.VARIANT_BETTER,
    }

    assert other["verdict"] == turned.get(one["verdict"], one["verdict"])
    assert other["p_value"] == pytest.approx(one["p_value"])
    assert other["effect"] == pytest.approx(-one["effect"])
