from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.experiments.config import load_experiment_file
from src.experiments.config.overrides import apply_overrides
from src.experiments.domain.errors import ConfigurationError

DOCUMENT = {"a": {"b": 1}, "list": [1, {"c": 2}], "text": "x", "nothing": None}

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False,
        allow_infinity=False) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


def overridden(*overrides: str) -> Any:
    changed, problems = apply_overrides(DOCUMENT, overrides)
    assert problems == []
    return changed


@pytest.mark.parametrize(
    ("override", "path", "expected"),
    [
        ("a.b=2", ("a", "b"), 2),
        ("a.b=1e5", ("a", "b"), 1e5),
        ("a.b=true", ("a", "b"), True),
        ("a.b=True", ("a", "b"), "True"),
        ("a.b=null", ("a", "b"), None),
        ("a.b=PPO", ("a", "b"), "PPO"),
        ("a.b=two words = three", ("a", "b"), "two words = three"),
        ("a.b=", ("a", "b"), ""),
        ('a.b="quoted"', ("a", "b"), "quoted"),
        ("a.b=[1, 2]", ("a", "b"), [1, 2]),
        ('a.b={"c": 1}', ("a", "b"), {"c": 1}),
        ("a.new.deep=3", ("a", "new", "deep"), 3),
        ("nothing.inside=3", ("nothing", "inside"), 3),
        ("list.0=9", ("list", 0), 9),
        ("list.1.c=9", ("list", 1, "c"), 9),
        ("a.b=__import__('os').system('true')", ("a", "b"), "__import__('os').system('true')"),
    ],
)
def test_a_value_is_json_or_a_bare_word(
    override: str, path: tuple[str | int, ...], expected: Any
) -> None:
    found = overridden(override)
    for token in path:
        found = found[token]

    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("override", "pointer"),
    [
        ("text.inside=1", "/text/inside"),
        ("list.2=1", "/list/2"),
        ("list.-1=1", "/list/-1"),
        ("list.x=1", "/list/x"),
        ("list.99999999999999999999=1", "/list/99999999999999999999"),
        ("a.b=NaN", "/a/b"),
        ("a.b=1e999", "/a/b"),
        ("no equals sign", ""),
        ("a..b=1", ""),
        ("=1", ""),
    ],
)
def test_what_cannot_be_set_is_a_problem_at_its_pointer(override: str, pointer: str) -> None:
    _, problems = apply_overrides(DOCUMENT, [override])

    assert [problem.pointer for problem in problems] == [pointer]


def test_the_document_itself_is_not_changed() -> None:
    before = copy.deepcopy(DOCUMENT)

    overridden("a.b=2", "list.1.c=3", "nothing.x=1")

    assert before == DOCUMENT


def test_a_later_override_wins() -> None:
    assert overridden("a.b=2", "a.b=3")["a"]["b"] == 3


@given(values)
def test_every_json_value_arrives_as_it_was_sent(value: Any) -> None:
    changed, problems = apply_overrides({}, [f"x={json.dumps(value)}"])

    assert problems == []
    assert changed == {"x": value}


@given(st.text(max_size=50))
def test_no_override_raises(text: str) -> None:
    changed, _ = apply_overrides(DOCUMENT, [text])

    assert isinstance(changed, dict)


def test_a_mistyped_path_is_refused_with_its_pointer_and_the_nearest_name() -> None:
    path = Path("configs/quickstart.json")

    with pytest.raises(ConfigurationError) as caught:
        load_experiment_file(path, ["variant_confg.seed=3", "evaluation.episode=3"])

    found = {problem.pointer: problem.suggestion for problem in caught.value.problems}
    assert found == {"/variant_confg": "variant_config", "/evaluation/episode": "episodes"}


def test_an_override_of_the_baseline_reaches_the_variant_that_extends_it() -> None:
    config = load_experiment_file("configs/quickstart.json", ["baseline_config.training_steps=512"])

    assert [arm.training_steps for arm in config.arms.values()] == [512, 512]
