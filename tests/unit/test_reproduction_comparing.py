"""A run and its reproduction are the same, or the first metric in which they differ is named."""

import json

import pytest

from src.experiments.domain.paths import ExperimentPaths
from src.experiments.domain.records import RunKey
from src.experiments.reproduction.comparing import compare_run, first_departure

RUN = RunKey("baseline", 3)
SHA = "ab12" * 16
JOURNAL = [
    {"kind": "started", "step": 0, "device": "cpu", "thread_environment": {}, "seed": 3},
    {"kind": "metrics", "step": 64, "metrics": {"train/loss": 0.5, "train/kl": 1.0}, "time": 1.0},
    {"kind": "evaluation", "step": 64, "returns": [9.0], "metrics": {"eval/return_mean": 9.0}},
    {"kind": "finished", "step": 128, "parameters_sha256": SHA, "training_time": 2.0},
]


def changed(index, **fields):
    records = [dict(record) for record in JOURNAL]
    records[index].update(fields)
    return records


def test_equal_journals_depart_nowhere():
    assert first_departure(JOURNAL, JOURNAL) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"device": "cuda:0"},
        {"thread_environment": {"OMP_NUM_THREADS": "4"}},
        {"time": 9.0},
    ],
)
def test_the_machine_and_the_clock_are_no_departure(fields):
    assert first_departure(JOURNAL, changed(0, **fields)) is None


@pytest.mark.parametrize(
    ("index", "fields", "told"),
    [
        (
            1,
            {"metrics": {"train/loss": 0.5, "train/kl": 1.5}},
            "differs from step 64: train/kl 1.0 ≠ 1.5",
        ),
        (
            2,
            {"returns": [8.0], "metrics": {"eval/return_mean": 8.0}},
            "differs from step 64: eval/return_mean 9.0 ≠ 8.0",
        ),
        (2, {"returns": [8.0]}, "differs from step 64: returns[0] 9.0 ≠ 8.0"),
        (
            3,
            {"parameters_sha256": "cd34" * 16},
            "differs from step 128: parameters_sha256 ab12ab12ab12… ≠ cd34cd34cd34…",
        ),
    ],
)
def test_the_first_metric_that_differs_is_named_with_both_values(index, fields, told):
    assert str(first_departure(JOURNAL, changed(index, **fields))) == told


def test_another_model_to_begin_with_is_told_before_what_came_of_it():
    untrained = {"kind": "evaluation", "step": 0, "metrics": {"eval/return_mean": 0.5}}
    first, *others = JOURNAL
    here, there = (
        [
            {**first, "starting_model": {"parameters_sha256": sha}},
            {**untrained, "metrics": {"eval/return_mean": mean}},
            *others,
        ]
        for sha, mean in ((SHA, 0.5), ("cd34" * 16, 0.25))
    )

    found = first_departure(here, there)
    assert found.cause == "it began with another model: ab12ab12ab12… → cd34cd34cd34…"
    assert str(found) == (
        "differs from step 0: starting_model.parameters_sha256 ab12ab12ab12… ≠ cd34cd34cd34…"
    )


def test_the_same_model_by_another_name_is_no_departure():
    first, *rest = JOURNAL
    here, there = (
        [{**first, "starting_model": {"name": name, "parameters_sha256": SHA}}, *rest]
        for name in ("./model", "laboratory/model")
    )
    unnamed = [{**first, "starting_model": {"parameters_sha256": SHA}}, *rest]

    assert first_departure(here, there) is None
    assert first_departure(unnamed, there) is None


def test_a_missing_record_is_told():
    told = str(first_departure(JOURNAL, JOURNAL[:3]))

    assert told == "differs from step 128: a record 'finished' ≠ none"


class Written:
    """A run on disk."""

    def __init__(self, folder, journal=JOURNAL, **result):
        self.paths = ExperimentPaths.under(folder, "pair")
        run = self.paths.run(RUN)
        run.root.mkdir(parents=True)
        run.journal.write_text("".join(json.dumps(record) + "\n" for record in journal))
        told = {"arm": RUN.arm, "seed": RUN.seed, "status": "completed", "total_timesteps": 128}
        runs = [{**told, "parameters_sha256": SHA, **result}]
        self.paths.results.write_text(json.dumps({"runs": runs}))


def check(tmp_path, *journal, **result):
    original, again = Written(tmp_path / "one"), Written(tmp_path / "two", *journal, **result)
    return compare_run(original.paths, again.paths, RUN)


def test_an_equal_run_is_identical(tmp_path):
    told = check(tmp_path)

    assert (told.is_identical, told.verdict, told.steps) == (True, "identical", 128)
    assert told.to_dict()["recorded_sha256"] == SHA


def test_other_parameters_alone_are_a_departure(tmp_path):
    told = check(tmp_path, parameters_sha256="cd34" * 16)

    assert not told.is_identical
    assert told.verdict == "differs: parameters_sha256 ab12ab12ab12… ≠ cd34cd34cd34…"


def test_another_journal_alone_is_a_departure(tmp_path):
    told = check(tmp_path, changed(1, metrics={"train/loss": 0.25, "train/kl": 1.0}))

    assert told.verdict == "differs from step 64: train/loss 0.5 ≠ 0.25"
    assert told.to_dict()["departure"] == {
        "metric": "train/loss",
        "recorded": 0.5,
        "reproduced": 0.25,
        "step": 64,
    }


def test_a_run_that_fails_when_it_is_trained_again_is_named(tmp_path):
    told = check(tmp_path, status="failed", error="RuntimeError: joint 3 exploded")

    assert not told.is_identical
    assert told.verdict == "not reproduced: RuntimeError: joint 3 exploded"


def test_a_run_that_was_not_trained_again_is_named(tmp_path):
    assert check(tmp_path, seed=4).verdict == "not reproduced: baseline_seed3 is missing"


def test_without_a_journal_the_parameters_decide(tmp_path):
    original = Written(tmp_path / "one")
    original.paths.run(RUN).journal.unlink()

    same = Written(tmp_path / "two")
    assert compare_run(original.paths, same.paths, RUN).is_identical
    other = Written(tmp_path / "three", parameters_sha256="cd34" * 16)
    assert not compare_run(original.paths, other.paths, RUN).is_identical


def test_what_recorded_nothing_is_never_identical(tmp_path):
    original = Written(tmp_path / "one", parameters_sha256=None)

    told = compare_run(original.paths, original.paths, RUN)

    assert told.verdict == "not reproduced: no parameters_sha256 was recorded to compare with"
