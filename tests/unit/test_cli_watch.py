"""``experiments watch`` as a person and a program meet it."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from src.experiments.cli.app import main
from src.experiments.domain.records import RunStatus
from src.experiments.durability.files import write_json
from src.experiments.durability.lock import FileLock
from src.experiments.experiment import Experiment

from .written_experiments import FIRST, SECOND, Training, new_experiment, write_session


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    experiment = new_experiment(tmp_path)
    experiment.publish()
    return experiment


def watch(experiment: Experiment, *options: str) -> int:
    return main(["watch", "pair", "--output-dir", str(experiment.output_dir), *options])


def end_it(experiment: Experiment, **results: Any) -> None:
    """Two of four runs have ended, and the experiment has."""
    with FileLock(experiment.paths.lock):
        experiment.begin()
        Training(experiment, FIRST).start().row(4096, 90.0).end(RunStatus.COMPLETED)
        Training(experiment, SECOND).start().row(2048, 20.0).end(RunStatus.SKIPPED, "it exploded")
        experiment.stop()
        experiment.save()
        write_json(experiment.paths.results, {"status": "completed", **results})


def kill_it(experiment: Experiment) -> None:
    """A run trains, and then nobody holds the lock any more."""
    with FileLock(experiment.paths.lock):
        experiment.begin()
        moment = datetime.now(UTC)
        words = ["experiments", "run", "exp.json", "--mode", "parallel", "--max_workers=3"]
        write_session(experiment, moment, *words, "--set", "seeds=2")
        Training(experiment, FIRST).start().row(1024, 20.0)


def test_an_experiment_that_does_not_exist_is_the_error_of_show(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codes, errors = [], []
    for name in ("watch", "show"):
        codes.append(main([name, "pair", "--output-dir", str(tmp_path)]))
        errors.append(capsys.readouterr().err)

    assert codes == [2, 2]
    assert errors[0] == errors[1]
    assert errors[0].startswith("error: no experiment pair exists")


def test_an_experiment_that_has_ended_is_told_once(
    experiment: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    run = {"arm": "baseline", "seed": 1, "status": "completed", "final_return": 90.0}
    comparison = {"verdict": "variant_better", "sentence": "It learns faster."}
    end_it(experiment, runs=[run], comparison=comparison)

    assert watch(experiment) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "variant better" in lines
    assert [line.split()[:3] for line in lines if line.startswith("baseline")] == [
        ["baseline", "1/1", "90.00"]
    ]
    assert not any("continue" in line for line in lines)


def test_json_tells_what_an_ended_experiment_came_to(
    experiment: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    end_it(experiment, comparison={"verdict": "insufficient_evidence"})

    assert watch(experiment, "--json") == 0
    *events, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert [(event["event"], event["run"], event["status"]) for event in events] == [
        ("run_kept", "baseline_seed1", "completed"),
        ("run_started", "variant_seed1", "skipped"),
        ("run_finished", "variant_seed1", "skipped"),
    ]
    assert (events[0]["returns_mean"], events[0]["percent"]) == (90.0, 100.0)
    assert (last["experiment_id"], last["status"], last["exit_code"]) == ("pair", "completed", 0)
    assert last["comparison"] == {"verdict": "insufficient_evidence"}


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_killed_orchestrator_is_said_with_the_command_that_goes_on(
    experiment: Experiment, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    kill_it(experiment)

    assert watch(experiment, *options) == 0
    output = capsys.readouterr()
    told = output.err if options else output.out
    assert told.startswith("stopped · 0/4 runs done · 0:0")
    assert re.search(r"\nbaseline_seed1 .*25 % .* 20\.00 +stopped\n", told)
    assert told.endswith(
        "stopped; continue with:\n  experiments run --experiment-id pair"
        f" --output-dir {experiment.output_dir} --mode parallel --max-workers 3\n"
    )
    if options:
        assert json.loads(output.out.splitlines()[-1])["status"] == "stopped"
