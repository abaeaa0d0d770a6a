"""A run that learns nothing: it leaves the files of a real one within milliseconds."""

from __future__ import annotations

import time

from src.experiments.domain import metric_names as names
from src.experiments.domain.paths import AttemptPaths, RunPaths
from src.experiments.domain.records import EvaluationPoint, TrainerConfig, TrainingResult
from src.experiments.durability.files import write_atomically, write_json
from src.experiments.durability.journal import JournalWriter
from src.experiments.durability.lock import FileLock

ROWS = 20
SHA256 = "0" * 64
METRICS = (
    *names.RETURNS.values(),
    *names.ROLLOUT_KL.values(),
    *names.ADVANTAGES.values(),
    names.STEP_LOSS,
    names.STEP_GRAD_NORM,
    names.STEP_LEARNING_RATE,
    *names.EPOCH_LOSS.values(),
)


def train(config: TrainerConfig) -> TrainingResult:
    """Takes the place of `train_run`: the journal, the model's file, the result."""
    if config.run_dir is None:
        raise ValueError("a stand-in for training writes to a run's directory")
    paths = RunPaths(config.run_dir)
    started = time.perf_counter()
    with FileLock(paths.lock), JournalWriter(paths.journal) as journal:
        _write_rows(journal, config)
        returns = [100.0 + config.seed % 7, 110.0 + config.seed % 5]
        point = EvaluationPoint(config.total_timesteps, sum(returns) / 2, 5.0, 100.0, 2, final=True)
        _write_evaluation(journal, point, returns)
        _save(paths.attempt(config.attempt), config, returns)
        seconds = time.perf_counter() - started
        journal.append(
            "finished",
            config.total_timesteps,
            metrics={names.FINAL_STEPS: float(config.total_timesteps)},
            parameters_sha256=SHA256,
            training_time=seconds,
            evaluation_time=0.0,
        )
    return _result(config, paths.attempt(config.attempt), point, seconds)


def _write_rows(journal: JournalWriter, config: TrainerConfig) -> None:
    journal.append(
        "started",
        0,
        total_timesteps=config.total_timesteps,
        planned_timesteps=config.total_timesteps,
        algorithm=config.algorithm,
        environment=config.environment,
        seed=config.seed,
        torch_threads=config.torch_threads,
        device="cpu",
        policy="MlpPolicy",
        parameters=9155,
    )
    for row in range(1, ROWS + 1):
        metrics = dict.fromkeys(METRICS, row + 0.123456789)
        step = config.total_timesteps * row // ROWS
        journal.append("metrics", step, metrics=metrics, training_time=row * 0.001)


def _write_evaluation(journal: JournalWriter, point: EvaluationPoint, returns: list[float]) -> None:
    metrics = {
        names.EVAL_RETURN_MEAN: point.return_mean,
        names.EVAL_RETURN_STD: point.return_std,
        names.EVAL_LENGTH_MEAN: point.episode_length_mean,
    }
    journal.append(
        "evaluation",
        point.step,
        final=True,
        episodes=len(returns),
        returns=returns,
        lengths=[100] * len(returns),
        metrics=metrics,
        evaluation_time=0.0,
    )


def _save(attempt: AttemptPaths, config: TrainerConfig, returns: list[float]) -> None:
    write_atomically(attempt.model, b"a policy of 1 KiB".ljust(1024))
    episodes = [
        {"episode": number, "seed": number, "return": value, "length": 100}
        for number, value in enumerate(returns)
    ]
    predictions = {
        "step": config.total_timesteps,
        "seed": config.seed,
        "environment": config.environment,
        "deterministic": True,
        "episodes": episodes,
    }
    write_json(attempt.predictions, predictions)


def _result(
    config: TrainerConfig, attempt: AttemptPaths, point: EvaluationPoint, seconds: float
) -> TrainingResult:
    return TrainingResult(
        success=True,
        total_timesteps=config.total_timesteps,
        training_time=seconds,
        final_mean_reward=point.return_mean,
        final_std_reward=point.return_std,
        experiment_name=config.experiment_name,
        algorithm=config.algorithm,
        environment_name=config.environment,
        seed=config.seed,
        final_return=point.return_mean,
        auc=point.return_mean,
        attempts=config.attempt,
        parameters_sha256=SHA256,
        evaluations=(point,),
        model_path=str(attempt.model),
    )
