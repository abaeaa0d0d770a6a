import json
from pathlib import Path
from typing import Any

import pytest

from src.experiments.cli import stored
from src.experiments.cli.continuing import chosen_in, resume_command
from src.experiments.cli.opening import Question, changes, check_workers, load, open_experiment
from src.experiments.cli.rehearsing import for_all_seeds, totals
from src.experiments.cli.running import RunRequest, continued_by, exit_code
from src.experiments.config import parse_experiment
from src.experiments.domain.errors import ConfigurationError, UsageError
from src.experiments.domain.records import ExecutionMode, RunEstimate, RunKey
from src.experiments.durability.lock import FileLock
from src.experiments.experiment import Experiment

CONTENT = {
    "experiment_id": "pair",
    "hypothesis": "x",
    "tags": ["own"],
    "baseline_config": {
        "algorithm": "PPO",
        "environment": "CartPole-v1",
        "training_steps": 4096,
        "seed": 1,
    },
    "variant_config": {"extends": "baseline", "hyperparameters": {"gamma": 0.9}},
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "exp.json"
    path.write_text(json.dumps(CONTENT))
    return path


def question(file: Path | None, experiment_id: str | None = None, **fields: Any) -> Question:
    folder = file.parent / "out" if file else Path("nowhere")
    return Question(
        **{"config": file, "experiment_id": experiment_id, "output_dir": folder} | fields
    )


@pytest.mark.parametrize(("with_file", "experiment_id"), [(False, None), (True, "pair")])
def test_exactly_one_of_config_and_experiment_id_is_needed(
    file: Path, with_file: bool, experiment_id: str | None
) -> None:
    with pytest.raises(UsageError, match=r"--config (nor|and) --experiment-id given"):
        open_experiment(question(file if with_file else None, experiment_id))


def test_opening_a_new_experiment_writes_nothing(file: Path) -> None:
    experiment = open_experiment(question(file))

    assert experiment.experiment_id == "pair"
    assert [path.name for path in file.parent.iterdir()] == ["exp.json"]


def test_flags_and_overrides_are_part_of_the_configuration(file: Path) -> None:
    config = load(question(file, overrides=("seeds=[3,4]",), tags=("new", "own")))

    assert (config.seed_list, list(config.tags)) == ([3, 4], ["own", "new"])


def test_all_problems_of_file_and_overrides_come_together(file: Path) -> None:
    overrides = ("seds=3", "baseline_config.training_steps=-5")

    with pytest.raises(ConfigurationError) as refused:
        load(question(file, overrides=overrides))

    pointers = {problem.pointer for problem in refused.value.problems}
    assert {"/seds", "/baseline_config/training_steps"} <= pointers


def test_an_experiment_that_exists_is_continued_only_when_asked(file: Path) -> None:
    open_experiment(question(file)).save()

    with pytest.raises(UsageError, match=r"already exists.*--experiment-id pair.*--resume"):
        open_experiment(question(file))
    assert open_experiment(question(file, resume=True)).experiment_id == "pair"
    by_id = Question(config=None, experiment_id="pair", output_dir=file.parent / "out")
    assert open_experiment(by_id).hypothesis == "x"


def test_an_edited_file_is_not_a_continuation(file: Path) -> None:
    open_experiment(question(file)).save()

    with pytest.raises(UsageError, match=r"/hyperparameters/gamma from 0\.9 to 0\.8"):
        open_experiment(
            question(file, resume=True, overrides=("variant_config.hyperparameters.gamma=0.8",))
        )


def test_what_exists_cannot_be_changed_by_options(file: Path) -> None:
    open_experiment(question(file)).save()
    by_id = Question(None, "pair", file.parent / "out", overrides=('comment="x"',))

    with pytest.raises(UsageError, match="cannot be changed"):
        open_experiment(by_id)


def test_fewer_than_one_worker_is_refused() -> None:
    check_workers(1)
    with pytest.raises(UsageError, match="--max-workers must be at least 1, got 0"):
        check_workers(0)


def test_changes_are_named_by_pointer_with_both_values() -> None:
    before = {"a": {"b": 1, "c": [1, 2]}, "d": (1, 2), "e": "x"}
    after = {"a": {"b": 2, "c": [1]}, "d": [1, 2], "e": "x", "f": None}

    assert list(changes(before, after)) == ["/a/b from 1 to 2", "/a/c from [1, 2] to [1]"]


def test_the_resume_command_keeps_what_is_not_in_the_file(file: Path) -> None:
    experiment = open_experiment(question(file))
    asked = Question(file, None, Path("my results"), environment_modules=("envs",))
    request = RunRequest("experiments run", asked, ExecutionMode.PARALLEL, max_workers=4)

    expected = (
        "experiments run --experiment-id pair --output-dir 'my results'"
        " --mode parallel --max-workers 4 --allow-env-module envs"
    )
    assert continued_by(request, experiment) == expected
    unwatched = RunRequest("run", asked, executor="ray", ray_address="host:1", monitoring=False)
    assert continued_by(unwatched, experiment) == (
        "run --experiment-id pair --output-dir 'my results' --executor ray --ray-address host:1"
        " --allow-env-module envs --no-monitoring"
    )
    plain = RunRequest("experiments run", Question(file, None, Path("results/experiments")))
    assert continued_by(plain, experiment) == "experiments run --experiment-id pair"


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("", ""),
        ("--mode sequential --max-workers 4 --executor process", ""),
        ("--mode parallel --max-workers 2", " --mode parallel"),
        ("--max_workers=3 --mode sequential --mode=parallel", " --mode parallel --max-workers 3"),
        (
            "--set a=1 --no_monitoring --allow-env-module a --allow-env-module=b --json",
            " --allow-env-module a --allow-env-module b --no-monitoring",
        ),
        ("--ray-address host:1 --resume", " --ray-address host:1"),
        ("--output-dir elsewhere", " --output-dir elsewhere"),
    ],
)
def test_a_command_line_is_continued_by_what_the_file_does_not_hold(typed: str, kept: str) -> None:
    chosen = chosen_in(["experiments", "run", "exp.json", *typed.split()])

    assert resume_command(["run"], "pair", chosen) == f"run --experiment-id pair{kept}"


def test_an_experiment_without_results_has_failed(file: Path) -> None:
    experiment = open_experiment(question(file))
    assert exit_code(experiment) == 1


def test_results_of_all_runs_end_in_zero(file: Path) -> None:
    experiment: Experiment = open_experiment(question(file))
    for arm in ("baseline", "variant"):
        experiment.add_result(arm, {"final_return": 1.0})

    assert exit_code(experiment) == 0


def test_one_estimate_an_arm_stands_for_all_its_seeds() -> None:
    def estimate(arm: str, seconds: float) -> RunEstimate:
        return RunEstimate(RunKey(arm, 1), 100.0, seconds, 300.0, 2.0, 1000, 50)

    runs = [RunKey(arm, seed) for arm in ("baseline", "variant") for seed in (1, 2)]
    estimates = for_all_seeds([estimate("baseline", 10.0), estimate("variant", 30.0)], runs)

    assert [each.run for each in estimates] == runs
    assert totals(estimates, max_workers=2) == {
        "sequential_seconds": 80.0,
        "parallel_seconds": 40.0,
        "sequential_memory_mb": 300.0,
        "parallel_memory_mb": 600.0,
        "disk_mb": 8.0,
    }


def test_recovery_may_be_chosen_anew_when_an_experiment_continues(tmp_path: Path) -> None:
    saved = Experiment.from_config(parse_experiment(CONTENT), tmp_path)
    saved.save()
    chosen = {"strategy": "retry", "max_retries": 1}
    question = Question(None, "pair", tmp_path, recovery=chosen)

    experiment = open_experiment(question)

    assert experiment.config.recovery.model_dump() == chosen
    assert experiment.names_recovery


def test_limits_may_be_chosen_anew_when_an_experiment_continues(file: Path) -> None:
    open_experiment(question(file)).save()
    words = ("resource_limits.memory_mb=9000", "hang_seconds=30", "accelerate=false")

    continued = open_experiment(
        question(None, "pair", output_dir=file.parent / "out", overrides=words)
    )

    assert continued.config.limits == {"memory_mb": 9000.0}
    assert continued.config.hang_seconds == 30.0
    assert continued.config.accelerate is False
    assert not continued.names_recovery


def test_a_limit_without_sense_is_refused_also_when_an_experiment_continues(file: Path) -> None:
    open_experiment(question(file)).save()
    where = {"output_dir": file.parent / "out", "overrides": ("resource_limits.memory_mb=1",)}

    with pytest.raises(ConfigurationError, match="resource_limits/memory_mb"):
        open_experiment(question(None, "pair", **where))


def test_a_file_whose_limits_have_changed_is_a_continuation(file: Path) -> None:
    open_experiment(question(file)).save()
    file.write_text(json.dumps({**CONTENT, "resource_limits": {"disk_gb": 5}, "hang_seconds": 60}))

    continued = open_experiment(question(file, resume=True))

    assert continued.config.limits == {"disk_gb": 5.0}
    assert continued.config.hang_seconds == 60.0


def test_a_dead_process_leaves_an_experiment_that_is_listed_as_stopped(tmp_path: Path) -> None:
    saved = Experiment.from_config(parse_experiment(CONTENT), tmp_path)
    saved.begin()

    assert stored.read(saved.paths).status == "stopped"
    with FileLock(saved.paths.lock):
        assert stored.read(saved.paths).status == "running"


@pytest.mark.parametrize(
    ("trackers", "told"),
    [([], ("tensorboard",)), (["wandb"], ("wandb",)), (["clearml"], ("clearml", "tensorboard"))],
)
def test_a_fallback_tracker_is_told_where_weights_and_biases_is_not(
    file: Path, trackers: list[str], told: tuple[str, ...]
) -> None:
    overrides = (f"trackers={json.dumps(trackers)}",)

    assert (
        load(question(file, overrides=overrides, fallback_tracker="tensorboard")).trackers == told
    )
