"""The language tasks: what they ask, what they pay, and what a pupil makes of them."""

from __future__ import annotations

import sys
from fractions import Fraction
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.experiments.domain.errors import RefusedError
from src.experiments.tasks import (
    TASKS,
    dialogue,
    facts_of,
    generator,
    make_task,
    try_demonstrations,
    try_problems,
)
from src.experiments.tasks.arithmetic import Arithmetic
from src.experiments.tasks.calculator import LONGEST, CalculationError, calculate, written
from src.experiments.tasks.numbers import MOST_DIGITS, last_number
from src.experiments.tasks.quiz import Quiz
from src.experiments.tasks.tool_use import Calculation, calculator_says, called_with

ALL = list(TASKS)


@pytest.mark.parametrize("name", ALL)
def test_equal_seeds_ask_equal_problems_and_others_ask_others(name: str) -> None:
    task = make_task(name, {})
    openings = [dialogue(task, seed, held_out=False).opening for seed in range(50)]

    assert openings == [dialogue(task, seed, held_out=False).opening for seed in range(50)]
    assert len(set(openings)) > 10


def unordered(opening: str) -> str:
    """A problem of single digits, the same for both orders where these make no difference."""
    return opening if "-" in opening else "".join(sorted(opening))


@pytest.mark.parametrize("name", ALL)
def test_no_problem_of_training_is_one_of_evaluation_whatever_the_order_of_its_numbers(
    name: str,
) -> None:
    task = make_task(name, {"largest": 9})
    asked, held_out = (
        {unordered(dialogue(task, seed, held_out=side).opening) for seed in range(2000)}
        for side in (False, True)
    )

    assert len(asked) > 40
    assert len(held_out) > 10
    assert not asked & held_out


@pytest.mark.parametrize("name", ALL)
def test_the_package_s_own_tasks_pass_what_somebody_s_own_must(name: str) -> None:
    task = make_task(name, {})

    try_problems(task, name)
    try_demonstrations(task, name)


@pytest.mark.parametrize("operations", ["+", "-", "+-"])
@pytest.mark.parametrize("name", ["arithmetic", "multiturn_qa"])
def test_the_smallest_settings_leave_problems_on_both_sides(name: str, operations: str) -> None:
    task = make_task(name, {"largest": 3, "operations": operations})

    assert dialogue(task, 1, held_out=False).opening != dialogue(task, 1, held_out=True).opening


@pytest.mark.parametrize("name", ALL)
def test_a_pupil_speaks_the_task_s_alphabet_within_its_turns(name: str) -> None:
    task, rng = make_task(name, {}), generator(3)
    told = [task.demonstrate(rng) for _ in range(500)]

    assert set("".join("".join(each) for each in told)) <= set(task.alphabet)
    assert all(len(each) % 2 == 0 and len(each) // 2 <= task.turns for each in told)


def test_the_last_number_of_an_answer_counts() -> None:
    task = Arithmetic()
    problem = dialogue(task, 1, held_out=False)
    left_and_right = problem.opening.rstrip("=")
    value = calculate(left_and_right)

    assert problem.reply(f"{left_and_right} makes {value}.") is None
    assert problem.reward == 1.0
    problem.reply(f"{value + 1}")
    assert problem.reward == 0.0
    assert [last_number(text) for text in ("", "no", "3 or -4")] == [None, None, -4]


def test_a_number_of_thousands_of_digits_is_no_answer() -> None:
    problem = dialogue(Arithmetic(), 1, held_out=False)

    assert problem.reply("7" * 5000) is None
    assert problem.reward == 0.0
    assert last_number("7" * 100) == int("7" * 100)


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("12,345", 12345),
        ("1,234,567.", 1234567),
        ("1\u202f234", 1234),
        ("it is 391.0", 391),
        ("391.50", Fraction("391.5")),
        ("\u22125", -5),
        ("so -5!", -5),
        (".5", Fraction("0.5")),
        ("1 234", 234),  # an ordinary space separates numbers
        ("2, 3", 3),
        ("1,2345", 2345),
        ("12,34", 34),
        ("\u20137", -7),
        ("_-5_", -5),
        ("**-5**", -5),
        ("5 **8**", 8),
        ("**The answer is 8**", 8),
        ("(3+5=8)", 8),
        ("3-5 is -2", -2),
        ("17 \u00d7 23 = 391", 391),
        ("7/10, or 0.7", Fraction("0.7")),
        ("3 or -4", -4),
        ("\\boxed{391}", 391),
        ("1. 5\n- 7", 7),
        ("8 km", 8),
        ("8\u4e2a", 8),
        ("UTF-8", 8),
        ("...5", 5),
        ("$1,000.00 in all", 1000),
        ("**42**", 42),
    ],
)
def test_numbers_are_read_as_people_write_them(said: str, number: Fraction | int) -> None:
    assert last_number(said) == number


@pytest.mark.parametrize(
    "said",
    [
        *("1/8", "8/2", "8 / 2", "1\u20448", "8/", "\\frac{1}{8}", "7\u00bd"),
        *("10^2", "10**2", "5\u00b2", "1e3", "1e-3", "2E3", "8%", "1.2.3"),
        *("0+5", "0+5=", "3 + 5", "3-5", "3 -5", "3 \u2013 5", "(4)-3", "3+(5)", "-(5)", "3--5"),
        *("17*23?", "17x23", "17 \u00d7 23", "17 \\times 23", "calc(17*23", "8=3+5"),
        *("8+", "8-", "+2="),
    ],
)
def test_a_part_of_a_fraction_a_power_or_a_sum_is_no_answer(said: str) -> None:
    assert last_number(said) is None


@pytest.mark.parametrize("name", ALL)
def test_saying_the_problem_again_earns_nothing(name: str) -> None:
    task = make_task(name, {})
    for seed in range(300):
        problem = dialogue(task, seed, held_out=True)
        opening = problem.opening
        for said in (opening, opening.rstrip("=?"), " ".join(opening.rstrip("=?"))):
            problem = dialogue(task, seed, held_out=True)
            problem.reply(said)
            assert problem.reward == 0


@given(st.integers(-(10**30), 10**30), st.sampled_from(["", ",", "\u00a0", "\u202f"]))
def test_a_number_in_any_grouping_is_the_same_number(number: int, separator: str) -> None:
    written_out = f"{number:,}".replace(",", separator)

    assert last_number(f"It is {written_out}.") == number
    assert last_number(written_out.replace("-", "\u2212") + ".000") == number


@given(st.text(alphabet="0123456789.,-\u2212\u202f (x", max_size=200))
def test_any_text_whatever_has_a_last_number_or_none(said: str) -> None:
    number = last_number(said)

    assert number is None or abs(number) < 10**MOST_DIGITS


def test_an_answer_with_a_fraction_is_wrong() -> None:
    for said, reward in (("391.0", 1.0), ("391.5", 0.0), ("0.391", 0.0)):
        problem = Calculation("17*23", calls=1)
        problem.reply(said)
        assert problem.reward == reward


def test_digits_of_other_scripts_are_no_numbers() -> None:
    assert last_number("\u0664\u0662") is None
    assert calculator_says("\u0662*\u0663") == "=error;"


@pytest.mark.parametrize(
    "said",
    [
        "[" * 4000,
        '{"arguments": ' * 700,
        '{"arguments": {"expression": ' + "[" * 3000,
        '{"arguments": {"expression": "' + "1" * 20_000 + '"}}',
        '{"arguments": {"expression": ' + "1" * 5000 + "}}",
    ],
)
def test_a_call_that_cannot_be_understood_is_told_so(said: str) -> None:
    problem = Calculation("17*23", calls=1)

    assert problem.reply(f"<tool_call>{said}</tool_call>") == "=error;"


def test_a_quiz_goes_on_from_the_right_total_and_pays_the_share_of_right_answers() -> None:
    quiz = Quiz([3, 4, -5, 2])

    assert quiz.opening == "3+4="
    assert quiz.reply("7") == "-5="
    assert quiz.reply("1") == "+2="
    assert quiz.reply("(2+2=4)") is None
    assert quiz.reward == pytest.approx(2 / 3)


def test_a_call_is_answered_and_what_is_no_call_is_the_answer() -> None:
    problem = Calculation("17*23", calls=1)

    assert problem.reply("calc(17*23)") == "=391;"
    assert problem.reply("391") is None
    assert (problem.reward, problem.calls) == (1.0, 1)


def test_calls_are_counted_and_those_of_no_known_tool_fail() -> None:
    problem = Calculation("17*23", calls=3)
    calls = ['{"name": "search", "arguments": {"expression": "17*23"}}', "{"]

    assert [problem.reply(tagged(call)) for call in calls] == ["=error;", "=error;"]
    assert problem.reply("calculator(1,000*3)") == "=3000;"
    assert problem.reply("calc(17*23)") is None
    assert facts_of(problem) == {"calls": 3, "failed_calls": 2}
    assert facts_of(dialogue(Arithmetic(), 1, held_out=False)) == {}


def test_a_call_too_many_is_no_answer_even_where_it_holds_the_right_number() -> None:
    problem = Calculation("2*3", calls=1)
    problem.reply("calc(2*3)")

    assert problem.reply("calc(6)") is None
    assert problem.reward == 0.0


def tagged(call: str) -> str:
    return f"<tool_call>{call}</tool_call>"


@pytest.mark.parametrize(
    ("said", "expression"),
    [
        ("calc(2*(3+4))", "2*(3+4)"),
        ("I use calculator(2*3).", "2*3"),
        (tagged('{"name": "calc", "arguments": {"expression": "1/3"}}'), "1/3"),
        (tagged('{"name": "calculator", "arguments": {"expression": 7}}'), "7"),
        (tagged('{"name": "calc", "arguments": "{\\"expression\\": \\"2*3\\"}"}'), "2*3"),
        (
            tagged(
                '{"type": "function", "function": {"name": "calc", "arguments": '
                '"{\\"expression\\": \\"2*3\\"}"}}'
            ),
            "2*3",
        ),
        (tagged('{"name": "search", "arguments": {"expression": "2"}}'), ""),
        (tagged('{"arguments": {"expression": "2"}}'), ""),
        (tagged('{"name": ["calc"], "arguments": {"expression": "2"}}'), ""),
        (tagged('{"name": "calc", "arguments": "2*3"}'), ""),
        (tagged('["calc"]'), ""),
        (tagged('{"function": "calc"}'), ""),
        (tagged("{broken"), ""),
        ('<tool_call>{"name": "calc", "arguments": {"expression": "2"}}', ""),
        ('calculator("2*3")', "2*3"),
        ("calc( '2*(3+4)' )", "2*(3+4)"),
        ('calculator(expression="2*3")', "2*3"),
        ("calc(\u201c2*3\u201d)", "2*3"),
        ('calc("2*3)', '"2*3'),
        ("calc(2*3) and then (4)", "2*3"),
        ("calc((1+2)*(3+4)) or calc(5)", "(1+2)*(3+4)"),
        ("calc(1) " + tagged('{"name": "calc", "arguments": {"expression": "2"}}'), "1"),
        (tagged('{"name": "calc", "arguments": {"expression": "2"}}') + " calc(1)", "2"),
        ("calc(2*(3+4)", ""),
        ("42", None),
    ],
)
def test_calls_are_understood_in_each_of_their_forms(said: str, expression: str | None) -> None:
    assert called_with(said) == expression


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("2+3*4", "14"),
        ("(2+3)*4", "20"),
        ("-3--4", "1"),
        (" 7 / 2 ", "3.5"),
        ("1/3", "0.333333"),
        ("-1/3", "-0.333333"),
        ("0.1+0.2", "0.3"),
        ("2/3/4", "0.166667"),
        ("1,000*3", "3000"),
        ("1,234,567.5-1", "1234566.5"),
        ("1\u202f000/(1,000)", "1"),
        ("7\u20133", "4"),
        ("2\u00d73\u00b74 \u00f7 6 \u2212 1", "3"),
    ],
)
def test_the_calculator_works_out_sums_and_products(expression: str, value: str) -> None:
    assert written(calculate(expression)) == value


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("", "a number is missing"),
        ("2+", "a number is missing"),
        ("1,5", "unexpected"),
        ("1,0000", "unexpected"),
        ("1/0", "division by zero"),
        ("(1", "not closed"),
        ("1)", "unexpected"),
        ("2**9", "a number is missing"),
        ("__import__('os')", "unexpected '_'"),
        ("1e9", "unexpected 'e'"),
        ("9" * (LONGEST + 1), "longer"),
        ("(" * 50 + "1" + ")" * 50, "brackets"),
        ("-" * 100 + "1", "brackets"),
    ],
)
def test_the_calculator_refuses_everything_else_and_says_why(expression: str, why: str) -> None:
    with pytest.raises(CalculationError, match=why.replace("(", r"\(")):
        calculate(expression)
    assert calculator_says(expression) == "=error;"


@given(st.recursive(st.just("7"), lambda inner: st.builds("({}+{})".format, inner, inner)))
def test_the_brackets_of_a_call_are_its_own(expression: str) -> None:
    assert called_with(f"so calc({expression}) (or not)") == expression


@given(st.integers(0, 10**6), st.integers(1, 10**6), st.integers(1, 10**6))
def test_the_calculator_is_exact(first: int, second: int, third: int) -> None:
    assert calculate(f"{first}-{second}*({third}+{first})") == first - second * (third + first)
    assert calculate(f"{first}/{second}/{third}") == Fraction(first, second * third)


@given(st.text(max_size=60))
def test_any_text_whatever_is_worked_out_or_refused(text: str) -> None:
    assert calculator_says(text).startswith("=")


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("arithmetics", {}, "unknown task"),
        ("os:path", {}, "names a module"),
        ("arithmetic", {"biggest": 4}, "arithmetic has no setting 'biggest', only largest, oper"),
        ("arithmetic", {"largest": 2}, "largest must be"),
        ("arithmetic", {"operations": "+*"}, "operations must be"),
        ("multiturn_qa", {"turns": 1}, "turns must be"),
        ("multiturn_calculator", {"calls": 0}, "calls must be"),
    ],
)
def test_what_is_no_task_is_refused(name: str, settings: dict[str, object], message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        make_task(name, settings)


def test_a_task_of_an_allowed_module_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("counting_tasks")
    module.Counting = type("Counting", (Arithmetic,), {})  # type: ignore[attr-defined]
    module.nothing = 1  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "counting_tasks", module)

    made = make_task("counting_tasks:Counting", {"largest": 5}, ("counting_tasks",))
    own = make_task("arithmetic", {"largest": 5})
    for seed in range(20):
        problems = [dialogue(each, seed, held_out=False) for each in (made, own)]
        assert problems[0].opening == problems[1].opening
        assert str(problems[0]) == str(problems[1])
    assert (made.turns, made.alphabet) == (own.turns, own.alphabet)
    with pytest.raises(RefusedError, match="is not a language task"):
        make_task("counting_tasks:nothing", {}, ("counting_tasks",))
