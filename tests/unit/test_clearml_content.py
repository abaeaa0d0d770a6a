"""What ClearML is told: records, descriptions and conclusions as its requests hold them."""

import json
import math
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.experiments.domain.records import RunKey
from src.experiments.domain.redaction import redact
from src.experiments.tracking.clearml.content import (
    LARGEST_DIFF,
    EventMaker,
    comment,
    counted_before,
    parameter,
    task_fields,
    title_and_series,
    with_verdict,
)
from src.experiments.tracking.tracker import CodeState, RunDescription, Table

SECRET = "hunter2-hunter2"
DESCRIPTION = RunDescription(
    experiment_id="rates",
    run=RunKey("variant", 0),
    name="rates variant_seed0",
    project="rates",
    uid="0011223344556677",
)


def event_maker(counted=()):
    return EventMaker("t1", "here", dict(counted), partial(redact, secrets={SECRET}))


def metrics(step, **values):
    named = {name.replace("__", "/"): value for name, value in values.items()}
    return {"kind": "metrics", "step": step, "metrics": named, "time": 100.0 + step}


@pytest.mark.parametrize(
    ("metric", "title", "series"),
    [
        ("rollouts/returns_mean", "rollouts", "returns_mean"),
        ("dr_grpo/component/first", "dr_grpo", "component/first"),
        ("training_time", "training_time", "training_time"),
        ("/odd", "/odd", "odd"),
        ("odd/", "odd", "odd/"),
    ],
)
def test_a_metric_is_a_line_of_the_diagram_it_is_named_after(metric, title, series):
    assert title_and_series(metric) == (title, series)


def test_records_become_events_in_their_order():
    records = [
        {"kind": "attempt_started", "step": 0, "attempt": 2, "time": 1.0},
        metrics(8, rollouts__kl_mean=0.25),
        {"kind": "attempt_ended", "step": 8, "attempt": 2, "outcome": "crashed", "time": 2.0},
    ]
    started, scalar, ended = event_maker().of_records(records)

    assert started == {
        "type": "log",
        "task": "t1",
        "timestamp": 1000,
        "level": "info",
        "msg": "attempt 2 started",
        "worker": "here",
    }
    assert scalar == {
        "type": "training_stats_scalar",
        "task": "t1",
        "timestamp": 108_000,
        "metric": "rollouts",
        "variant": "kl_mean",
        "iter": 8,
        "value": 0.25,
    }
    assert (ended["level"], ended["msg"]) == ("error", "attempt 2 crashed")


def test_what_is_not_finite_is_counted_and_said_once():
    maker = event_maker()
    records = [metrics(step, train__loss=math.nan) for step in (1, 2)]
    line, first, second = maker.of_records(records)

    assert line["msg"] == "train/loss is nan at step 1; any more are counted under not_finite"
    assert line["level"] == "warning"
    assert [first["metric"], first["variant"]] == ["not_finite", "train/loss"]
    assert [(each["iter"], each["value"]) for each in (first, second)] == [(1, 1.0), (2, 2.0)]


def test_counting_goes_on_from_what_the_server_knows():
    known = {"metric": "not_finite", "variant": "train/loss", "value": 4.0}
    other = {"metric": "train", "variant": "loss", "value": 1.0}
    task = {"last_metrics": {"a": {"b": known}, "c": {"d": other}}}
    (event,) = event_maker(counted_before(task)).of_records([metrics(9, train__loss=math.inf)])

    assert event["value"] == 5.0


def test_a_final_value_that_is_not_finite_is_said_once_however_often_it_is_told():
    maker = event_maker()
    told = [list(maker.of_single_values({"auc": math.nan}, step=64)) for _ in range(2)]

    assert [event["type"] for event in told[0]] == ["log", "training_stats_scalar"]
    assert told[1] == []


@given(st.floats() | st.integers(-(2**53), 2**53))
def test_every_value_is_told_in_strict_json(value):
    events = list(event_maker().of_records([metrics(1, x=value)]))
    events += event_maker().of_single_values({"x": value}, step=1)
    events.append(event_maker().of_table("x", Table(("x",), ((value,),))))

    json.dumps(events, allow_nan=False)
    json.loads(events[-1]["plot_str"], parse_constant=pytest.fail)


def test_no_event_holds_a_secret():
    maker = event_maker()
    events = [
        *maker.of_records([metrics(1, **{f"a__{SECRET}": 1.0, SECRET: math.nan})]),
        maker.line(f"token {SECRET}"),
        maker.of_table("t", Table((SECRET,), ((f"x {SECRET}",),))),
    ]

    assert SECRET not in json.dumps(events)


def test_a_table_without_rows_keeps_its_columns():
    plot = json.loads(event_maker().of_table("empty", Table(("a", "b"), ()))["plot_str"])

    assert plot["data"][0]["header"]["values"] == ["a", "b"]
    assert plot["data"][0]["cells"]["values"] == [[], []]


@pytest.mark.parametrize(
    ("value", "text", "kind"),
    [
        (3e-4, "0.0003", "float"),
        (0, "0", "int"),
        (True, "True", "bool"),
        (None, "", "str"),
        ("x", "x", "str"),
        ([64, None], "[64, null]", "list"),
        ((1, 2), "[1, 2]", "list"),
        ({"pi": [64]}, '{"pi": [64]}', "dict"),
        (math.inf, "inf", "float"),
    ],
)
def test_a_parameter_is_a_text_and_the_name_of_its_type(value, text, kind):
    told = parameter("Hyperparameters", "x", value)

    assert told == {"section": "Hyperparameters", "name": "x", "value": text, "type": kind}


def test_a_seed_of_zero_is_told():
    experiment = task_fields(DESCRIPTION)["hyperparams"]["Experiment"]

    assert experiment["seed"]["value"] == "0"
    assert "command" not in experiment


def test_a_diff_that_is_too_large_to_show_is_told_by_its_files():
    diff = "diff --git a/x b/x\n" + "+" * LARGEST_DIFF
    fields = task_fields(RunDescription(**{**vars(DESCRIPTION), "code": CodeState(diff=diff)}))
    shown = fields["script"]["diff"].splitlines()

    assert shown[0] == "# too large to be shown, see the artifact uncommitted_changes"
    assert shown[1:] == ["diff --git a/x b/x"]


def test_a_verdict_takes_the_place_of_an_earlier_one_and_leaves_other_words():
    before = comment(RunDescription(**{**vars(DESCRIPTION), "comment": "try", "hypothesis": "h"}))
    first = with_verdict(f"{before}\n\nadded by hand", "No difference\nis shown.")
    second = with_verdict(first, "The variant is better.")

    assert first == "try\n\nHypothesis: h\n\nadded by hand\n\nVerdict: No difference is shown."
    assert second == "try\n\nHypothesis: h\n\nadded by hand\n\nVerdict: The variant is better."


@given(st.text(), st.text())
def test_telling_a_verdict_twice_changes_nothing(text, verdict):
    once = with_verdict(text, verdict)

    assert with_verdict(once, verdict) == once
