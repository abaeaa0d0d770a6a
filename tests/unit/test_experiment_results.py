"""Results on disk: a file for each run, merged when an experiment is loaded, safe from a kill."""

import json
import os
import random
import shutil
import signal
import time

import pytest

from src.experiments.cli.outcome import deviations
from src.experiments.cli.stored import read
from src.experiments.domain.errors import StorageError
from src.experiments.domain.records import (
    EvaluationPoint,
    ExperimentStatus,
    RunKey,
    RunStatus,
    TrainingResult,
)
from src.experiments.experiment import Experiment
from src.experiments.outputs.derived import write_results

BASELINE = {"algorithm": "PPO", "environment": "CartPole-v1", "training_steps": 256, "seed": 1}
VARIANT = {"extends": "baseline", "hyperparameters": {"learning_rate": 1e-3}}
FIRST, SECOND = RunKey("baseline", 1), RunKey("variant", 3)


def result(run, value=100.0, **changes):
    fields = {
        "final_return": value,
        "evaluations": (EvaluationPoint(256, value, 1.0, 9.0, 10, final=True),),
        "deviations": ("half the batch",),
        **changes,
    }
    return TrainingResult(
        True, 256, 0.5, value, 5.0, "test", "PPO", "CartPole-v1", run.seed, arm=run.arm, **fields
    )


def make_experiment(folder, **settings):
    settings = {"experiment_id": "pair", "seeds": 3, "output_dir": folder, **settings}
    return Experiment(BASELINE, VARIANT, "a larger step helps", **settings)


@pytest.fixture
def experiment(tmp_path):
    experiment = make_experiment(tmp_path)
    experiment.start()
    experiment.save()
    return experiment


def saved(experiment):
    return json.loads(experiment.paths.experiment.read_text(encoding="utf-8"))


def in_format_1(experiment, results):
    """Turn a saved experiment into one whose results are inside its file."""
    content = {
        **saved(experiment),
        "format_version": 1,
        "results": {run.name: result.to_dict() for run, result in results.items()},
        "metrics": {run.name: {"note": run.name} for run in results},
    }
    experiment.paths.experiment.write_text(json.dumps(content))
    shutil.rmtree(experiment.paths.root / "runs", ignore_errors=True)


# --- writing one result


def test_a_result_goes_into_a_file_of_its_run_and_touches_no_other(experiment):
    experiment.add_result(FIRST.arm, result(FIRST))
    experiment.save_result(FIRST)
    others = (experiment.paths.experiment, experiment.paths.run(FIRST).result)
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in others]
    experiment.add_result(SECOND.arm, result(SECOND))
    path = experiment.save_result(SECOND)

    assert path == experiment.experiment_dir / "runs" / "variant_seed3" / "result.json"
    assert json.loads(path.read_text())["result"]["final_return"] == 100.0
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in others] == before


def test_what_was_saved_alone_is_loaded_and_reloaded(experiment):
    other = Experiment.load(experiment.experiment_dir)
    for run in (FIRST, SECOND):
        experiment.add_result(run.arm, result(run), {"note": run.name})
        experiment.save_result(run)
    other.reload()

    for found in (other, Experiment.load(experiment.experiment_dir)):
        assert found.results == experiment.results
        assert found.metrics == experiment.metrics
        assert len(found.unfinished_runs()) == 4


def test_a_later_result_replaces_an_earlier_one(experiment):
    experiment.add_result(FIRST.arm, {"seed": 1, "success": False, "error": "boom"})
    experiment.save_result(FIRST)
    experiment.add_result(FIRST.arm, result(FIRST))
    experiment.save_result(FIRST)

    assert Experiment.load(experiment.experiment_dir).results == {FIRST: result(FIRST)}


def test_saving_the_experiment_saves_results_that_are_in_no_file_yet(experiment):
    experiment.add_result(FIRST.arm, result(FIRST))
    experiment.stop()
    experiment.save()

    loaded = Experiment.load(experiment.experiment_dir)
    assert (loaded.status, loaded.results) == (ExperimentStatus.COMPLETED, {FIRST: result(FIRST)})


def test_the_file_of_the_experiment_does_not_grow_with_its_results(experiment):
    before = len(experiment.save().read_bytes())
    for run in experiment.runs():
        experiment.add_result(run.arm, result(run))

    assert len(experiment.save().read_bytes()) == before


def test_a_new_experiment_appears_with_the_results_that_it_has(tmp_path):
    experiment = make_experiment(tmp_path)
    experiment.add_result(FIRST.arm, result(FIRST))
    experiment.publish()
    experiment.reload()

    assert experiment.results == {FIRST: result(FIRST)}


def test_saving_a_result_that_there_is_not_is_a_mistake(experiment):
    with pytest.raises(KeyError):
        experiment.save_result(FIRST)
    assert not experiment.paths.run(FIRST).result.exists()


def test_a_result_belongs_to_the_arm_under_which_it_is_recorded(experiment):
    experiment.add_result("variant", result(FIRST))
    experiment.save()

    (loaded,) = Experiment.load(experiment.experiment_dir).results_of("variant")
    assert loaded.arm == "variant"


# --- experiments of format 1


def test_results_inside_the_experiments_file_are_loaded(experiment):
    in_format_1(experiment, {FIRST: result(FIRST), SECOND: result(SECOND)})

    loaded = Experiment.load(experiment.experiment_dir)
    assert loaded.results == {FIRST: result(FIRST), SECOND: result(SECOND)}
    assert loaded.metrics[SECOND] == {"note": "variant_seed3"}
    assert len(loaded.unfinished_runs()) == 4


def test_continuing_gives_each_of_them_a_file(experiment):
    in_format_1(experiment, {FIRST: result(FIRST), SECOND: result(SECOND)})
    continued = Experiment.load(experiment.experiment_dir)
    continued.begin()

    assert "results" not in saved(continued)
    loaded = Experiment.load(experiment.experiment_dir)
    assert (loaded.results, loaded.metrics) == (continued.results, continued.metrics)


def test_a_runs_own_file_wins_over_what_the_experiments_file_holds(experiment):
    experiment.add_result(FIRST.arm, result(FIRST, 7.0))
    own = experiment.save_result(FIRST).read_bytes()
    in_format_1(experiment, {FIRST: result(FIRST, 3.0), SECOND: result(SECOND, 3.0)})
    experiment.paths.run(FIRST).root.mkdir(parents=True)
    experiment.paths.run(FIRST).result.write_bytes(own)

    loaded = Experiment.load(experiment.experiment_dir)
    assert loaded.results == {FIRST: result(FIRST, 7.0), SECOND: result(SECOND, 3.0)}


# --- damage


def damaged(text):
    content = json.loads(text)
    yield "empty", ""
    yield "torn", text[: len(text) // 2]
    yield "zeros", "\0" * len(text)
    yield "no object", "[]"
    yield "no result", json.dumps({**content, "result": None})
    yield "an unknown field", json.dumps({**content, "result": {**content["result"], "x": 1}})
    yield "another status", json.dumps({**content, "result": {**content["result"], "status": "?"}})
    yield "no metrics", json.dumps({**content, "metrics": None})
    yield "another run's", text.replace("baseline", "variant")
    yield (
        "another run's result",
        json.dumps({**content, "result": {**content["result"], "seed": 2}}),
    )


def test_a_run_whose_result_is_damaged_is_trained_again_and_the_file_is_named(experiment, caplog):
    for run in (FIRST, SECOND):
        experiment.add_result(run.arm, result(run))
        experiment.save_result(run)
    path = experiment.paths.run(FIRST).result
    for how, text in damaged(path.read_text()):
        path.write_text(text)
        caplog.clear()
        loaded = Experiment.load(experiment.experiment_dir)

        assert FIRST in loaded.unfinished_runs(), how
        assert loaded.results == {SECOND: result(SECOND)}, how
        assert str(path) in caplog.text, how
        assert "baseline_seed1" in caplog.text, how


def test_the_result_of_training_again_takes_the_place_of_a_damaged_one(experiment):
    experiment.add_result(FIRST.arm, result(FIRST))
    experiment.save_result(FIRST).write_bytes(b"\xff\xfe")
    again = Experiment.load(experiment.experiment_dir)
    again.add_result(FIRST.arm, result(FIRST, 8.0))
    again.save_result(FIRST)

    assert Experiment.load(experiment.experiment_dir).results == {FIRST: result(FIRST, 8.0)}


def test_a_result_that_the_disk_does_not_give_is_an_error_and_is_not_overwritten(experiment):
    path = experiment.paths.run(FIRST).result
    path.mkdir(parents=True)

    with pytest.raises(StorageError) as caught:
        Experiment.load(experiment.experiment_dir)
    assert caught.value.where == str(path)


# --- kills


def save_until_killed(experiment, told):
    """In a child: record results run after run, and tell each that is saved."""
    for round_ in range(1_000_000):
        for index, run in enumerate(experiment.runs()[:2]):
            experiment.add_result(run.arm, result(run, float(round_)))
            experiment.save_result(run)
            os.write(told, f"{index} {round_}\n".encode())


def test_a_kill_at_any_instant_loses_no_result_that_was_told(experiment):
    rng = random.Random(0)
    for _ in range(12):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                save_until_killed(experiment, writing)
            finally:
                os._exit(1)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            lines = [pipe.readline()]
            time.sleep(rng.uniform(0.01, 0.04))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            told = dict(map(int, line.split()) for line in [*lines, *pipe])
        loaded = Experiment.load(experiment.experiment_dir)
        for index, round_ in told.items():
            found = loaded.results[loaded.runs()[index]]
            assert found.final_return in (round_, round_ + 1)  # the next may be saved, untold


def test_a_write_that_is_cut_short_keeps_the_earlier_result(experiment, monkeypatch):
    experiment.add_result(FIRST.arm, result(FIRST))
    path = experiment.save_result(FIRST)
    experiment.add_result(FIRST.arm, result(FIRST, 9.0))
    refusal = OSError(28, "No space left on device")

    def refuse(descriptor):
        raise refusal

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", refuse)
        with pytest.raises(StorageError, match="No space") as caught:
            experiment.save_result(FIRST)
    assert caught.value.where == str(path)
    assert Experiment.load(experiment.experiment_dir).results == {FIRST: result(FIRST)}

    experiment.save_result(FIRST)
    assert Experiment.load(experiment.experiment_dir).results == {FIRST: result(FIRST, 9.0)}


# --- what the results say


def test_the_comparison_is_computed_once_for_the_same_results(experiment):
    for run in experiment.runs():
        experiment.add_result(run.arm, result(run, run.seed * 1.0))
    first = experiment.comparison

    assert experiment.comparison is first
    experiment.add_result(FIRST.arm, result(FIRST, 50.0))
    assert experiment.comparison.effect != first.effect


def test_runs_that_are_still_to_come_are_queued_and_were_never_tried(experiment):
    experiment.add_result(FIRST.arm, result(FIRST))

    statuses = [run.status for run in experiment.planned_results_of("baseline")]
    assert statuses == [RunStatus.COMPLETED, RunStatus.QUEUED, RunStatus.QUEUED]
    assert [run.attempts for run in experiment.planned_results_of("variant")] == [0, 0, 0]
    assert experiment.comparison.failed_per_arm == {"baseline": 0, "variant": 0}


# ---- what a reader is warned of


def test_runs_that_learned_nothing_are_counted_by_arm(experiment):
    for seed, learned in ((1, False), (2, True), (3, False)):
        run = RunKey("variant", seed)
        experiment.add_result("variant", result(run, learned=learned))
        experiment.save_result(run)
    (told,) = [each for each in experiment.warnings if "nothing was learned" in each]

    assert told.startswith("variant: nothing was learned in 2 of 3 runs: no parameter changed. ")
    assert told in Experiment.load(experiment.paths.root).warnings


def test_how_it_ended_is_told_with_what_learned_nothing(experiment):
    for run in experiment.runs():
        learned = run.arm == "baseline"
        experiment.add_result(run.arm, result(run, learned=learned, deviations=()))
    write_results(experiment)

    assert list(deviations(read(experiment.paths))) == [
        "variant: nothing was learned in 3 of 3 runs: no parameter changed"
    ]
