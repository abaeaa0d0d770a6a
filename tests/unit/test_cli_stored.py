import json
from pathlib import Path
from typing import Any

import pytest

from src.experiments.cli import stored
from src.experiments.cli.app import main
from src.experiments.domain.errors import UsageError
from src.experiments.durability.lock import FileLock

RUNS = [
    {
        "arm": arm,
        "seed": 42,
        "status": "completed",
        "training_time": 4.0,
        "total_timesteps": 10_240,
        "final_return": final_return,
        "final_mean_reward": final_return,
        "final_std_reward": 12.5,
        "attempts": 1,
        "parameters_sha256": "a" * 64,
        "error": None,
    }
    for arm, final_return in (("baseline", 150.0), ("variant", 195.25))
]
COMPARISON = {"verdict": "insufficient_evidence", "sentence": "One seed [bold]per arm\x1b[2J."}


def write(output_dir: Path, experiment_id: str, **results: Any) -> Path:
    root = output_dir / experiment_id
    root.mkdir(parents=True)
    experiment = {
        "experiment_id": experiment_id,
        "status": "completed",
        "hypothesis": "Больше лучше \x1b[31m",
        "created_at": "2030-01-02T03:04:05+00:00",
        "config": {"seeds": None},
        "audit": {"differences": [{"pointer": "/seed", "baseline": 1, "variant": [2]}]},
    }
    (root / f"experiment_{experiment_id}.json").write_text(json.dumps(experiment))
    if results:
        (root / "results.json").write_text(json.dumps(results))
    return root


@pytest.fixture
def experiments(tmp_path: Path) -> Path:
    write(tmp_path, "ppo_rate", runs=RUNS, comparison=COMPARISON, arms={"baseline": {}})
    write(tmp_path, "dqn_pair")
    damaged = write(tmp_path, "sac_pair", runs=[])
    (damaged / "results.json").write_text('{"runs": [')
    (tmp_path / "not_one").mkdir()
    return tmp_path


def test_only_directories_with_their_experiment_file_are_experiments(experiments: Path) -> None:
    assert stored.experiment_ids(experiments) == ["dqn_pair", "ppo_rate", "sac_pair"]
    assert stored.experiment_ids(experiments / "absent") == []


def test_an_id_that_does_not_exist_names_the_nearest_and_the_other_option(
    experiments: Path,
) -> None:
    with pytest.raises(UsageError, match=r"did you mean ppo_rate\?.*--config FILE"):
        stored.find(experiments, "ppo_rates")


def test_an_id_is_never_a_path(experiments: Path) -> None:
    with pytest.raises(UsageError, match="is not allowed"):
        stored.find(experiments / "not_one", "../ppo_rate")


def test_a_damaged_file_is_a_problem_not_an_error(experiments: Path) -> None:
    read = stored.read(stored.find(experiments, "sac_pair"))

    assert read.runs_done == 0
    assert "results.json: not valid JSON" in read.problems[0]


@pytest.mark.parametrize(
    "content", ["[]", "null", '{"runs": {"a": 1}, "comparison": []}', "[" * 9000]
)
def test_files_of_the_wrong_form_are_read_as_empty(tmp_path: Path, content: str) -> None:
    root = write(tmp_path, "odd")
    (root / "results.json").write_text(content)

    read = stored.read(stored.find(tmp_path, "odd"))

    assert (read.runs, read.comparison) == ([], {})


def test_list_prints_one_line_for_each_experiment(
    experiments: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", "--output_dir", str(experiments)]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split()[:4] == ["dqn_pair", "completed", "–", "0/2"]
    assert lines[3].split()[:4] == ["ppo_rate", "completed", "insufficient_evidence", "2/2"]
    assert "Больше лучше \\x1b[31m" in lines[3]


def test_runs_that_are_complete_are_counted_before_the_results_are_written(
    experiments: Path,
) -> None:
    models = experiments / "dqn_pair" / "models"
    models.mkdir()
    for name in ("baseline_model_final.zip", "baseline_model_final_normalization.json"):
        (models / name).touch()

    assert stored.read(stored.find(experiments, "dqn_pair")).runs_done == 1


def test_show_before_the_results_are_written_names_the_command_that_shows_the_runs(
    experiments: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", "dqn_pair", "--output-dir", str(experiments)]) == 0
    assert "`experiments watch dqn_pair` shows its runs\n" in capsys.readouterr().out


def test_a_running_experiment_that_nobody_works_on_has_stopped(experiments: Path) -> None:
    paths = stored.find(experiments, "dqn_pair")
    content = json.loads(paths.experiment.read_text())
    paths.experiment.write_text(json.dumps(content | {"status": "running"}))

    with FileLock(paths.lock):
        running = stored.read(paths)
    stopped = stored.read(paths)

    assert (running.status, stopped.status) == ("running", "stopped")


def test_an_experiment_that_ends_while_it_is_read_has_not_stopped(
    experiments: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = stored.find(experiments, "dqn_pair")
    content = json.loads(paths.experiment.read_text())
    paths.experiment.write_text(json.dumps(content | {"status": "running"}))

    def ends_before_it_is_asked(lock: Path) -> bool:
        paths.experiment.write_text(json.dumps(content))
        return False

    monkeypatch.setattr(stored, "is_locked", ends_before_it_is_asked)

    assert stored.read(paths).status == "completed"


@pytest.mark.parametrize(
    ("config", "planned"),
    [
        ({"seeds": [3, 4]}, [("baseline", 3), ("baseline", 4), ("variant", 3), ("variant", 4)]),
        (
            {"seeds": 2, "baseline_config": {"seed": 7}},
            [("baseline", 7), ("baseline", 8), ("variant", 7), ("variant", 8)],
        ),
        ({"seeds": None, "baseline_config": {"seed": 7}}, [("baseline", 7), ("variant", 7)]),
        ({}, [("baseline", 0), ("variant", 0)]),
        ([], []),
    ],
)
def test_the_planned_runs_are_arms_times_seeds(
    experiments: Path, config: Any, planned: list[tuple[str, int]]
) -> None:
    paths = stored.find(experiments, "dqn_pair")
    content = json.loads(paths.experiment.read_text())
    paths.experiment.write_text(json.dumps(content | {"config": config}))

    runs = stored.read(paths).planned_timesteps

    assert [(run.arm, run.seed) for run in runs] == planned


def test_what_describes_an_experiment_is_read_and_its_absence_too(experiments: Path) -> None:
    paths = stored.find(experiments, "dqn_pair")
    content = json.loads(paths.experiment.read_text())
    arm = {"algorithm": "DQN", "environment": "CartPole-v1"}
    config = {"tags": ["a", 1], "comment": "why", "baseline_config": arm, "variant_config": arm}
    nothing = stored.read(paths)
    paths.experiment.write_text(json.dumps(content | {"config": config}))

    read = stored.read(paths)

    assert (read.tags, read.comment) == (["a", "1"], "why")
    assert (read.algorithms, read.environments) == (["DQN"], ["CartPole-v1"])
    assert (nothing.tags, nothing.comment, nothing.algorithms) == ([], "", [])


@pytest.mark.parametrize(
    "config",
    [
        [],
        {"tags": {}, "comment": None, "baseline_config": []},
        {"seeds": 10**40},
        {"seeds": -1},
        {"baseline_config": {"algorithm": None, "environment": 3}},
    ],
)
def test_a_configuration_of_a_wrong_form_is_read_as_empty(experiments: Path, config: Any) -> None:
    paths = stored.find(experiments, "dqn_pair")
    content = json.loads(paths.experiment.read_text())
    paths.experiment.write_text(json.dumps(content | {"config": config}))

    read = stored.read(paths)

    assert (read.tags, read.comment, read.algorithms) == ([], "", [])
    assert len(read.planned_timesteps) <= 2


def test_list_of_nothing_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--output-dir", str(tmp_path)]) == 0
    assert "no experiments under" in capsys.readouterr().out


def test_list_as_json_is_one_object(experiments: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["list", "--json", "--output-dir", str(experiments)])

    entries = json.loads(capsys.readouterr().out)["experiments"]
    assert [entry["runs_done"] for entry in entries] == [0, 2, 0]
    assert [entry["runs"] for entry in entries] == [2, 2, 2]
    assert entries[2]["problems"]


def test_show_prints_arms_runs_verdict_and_places(
    experiments: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", "ppo_rate", "--output-dir", str(experiments)]) == 0

    text = capsys.readouterr().out
    assert "variant     1/1   195.2 ± 12.5   10,240       0:04     2,560" in text
    assert "insufficient evidence\nOne seed [bold]per arm\\x1b[2J.\n" in text
    assert f"results  {experiments / 'ppo_rate'}" in text
    assert "a" * 64 not in text


def test_show_as_json_is_one_object(experiments: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["show", "ppo_rate", "--json", "--output-dir", str(experiments)])

    shown = json.loads(capsys.readouterr().out)
    assert (shown["experiment_id"], shown["status"]) == ("ppo_rate", "completed")
    assert shown["comparison"] == COMPARISON
    assert shown["runs"] == RUNS


def test_show_of_an_unknown_id_fails_on_standard_error(
    experiments: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", "ppo_rat", "--json", "--output-dir", str(experiments)]) == 2

    output = capsys.readouterr()
    assert json.loads(output.out)["error"]["what"] == "no experiment ppo_rat exists"
    assert output.err.startswith("error: no experiment ppo_rat exists\n  where: ")
