"""What goes into a run's journal, and when: at fixed timesteps, never by the clock."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol

from ..domain import metric_names
from ..domain.errors import LOSS, NonFiniteError
from ..domain.records import EvaluationPoint, TrainerConfig
from ..domain.seeds import SeedStream, stream_seeds
from .backend import Backend, Description, Metrics, Trained
from .diagnostics import Measuring
from .evaluation import Episode, evaluation_metrics, evaluation_point

ROWS = 200
"""Journal rows that a run of usual length has; a row falls on the end of a rollout."""
SHORTEST_ROW, LONGEST_ROW = 100, 5_000
"""Timesteps between two rows: seldom enough to cost nothing, often enough to show life."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def row_interval(planned_timesteps: int, shortest: int | None = None) -> int:
    """Timesteps between two journal rows; a backend whose steps take longer has shorter ones."""
    return min(max(shortest or SHORTEST_ROW, planned_timesteps // ROWS), LONGEST_ROW)


class Journal(Protocol):
    """Where records go."""

    def append(self, kind: str, step: int, **fields: Any) -> None:
        """Append one record."""


class SilentJournal:
    """A journal for training that writes nothing."""

    def append(self, kind: str, step: int, **fields: Any) -> None:
        """Forget the record."""


class RunRecorder:
    """Writes a run's journal and evaluates at the steps that the protocol asks for.

    Rows and evaluations fall on the first boundary at or after each multiple of their interval. A
    model that was made elsewhere is evaluated before its first step, too.
    """

    def __init__(self, config: TrainerConfig, backend: Backend, description: Description) -> None:
        self._config = config
        self._backend = backend
        self._journal: Journal = SilentJournal()
        self._row_interval = row_interval(description.planned_timesteps, description.shortest_row)
        self._next_row = self._row_interval
        # a model that was made elsewhere can do something before it is trained
        begins_able = bool(description.starting_model)
        self._next_evaluation = 0 if begins_able else config.evaluation.frequency
        self._started = time.perf_counter()
        self.points: list[EvaluationPoint] = []
        self.evaluation_time = 0.0
        """Seconds in evaluation so far."""
        self._measuring = Measuring(backend.diagnostics())
        self.next_step = min(self._next_row, self._next_evaluation)

    def start(self, description: Description, journal: Journal) -> None:
        """Write the first record and start the clock of training."""
        self._journal = journal
        config = self._config
        self._journal.append(
            "started",
            0,
            total_timesteps=config.total_timesteps,
            planned_timesteps=description.planned_timesteps,
            algorithm=config.algorithm,
            environment=config.environment,
            seed=config.seed,
            torch_threads=description.threads,
            thread_environment={name: os.environ.get(name) for name in THREAD_VARIABLES},
            device=description.device,
            policy=description.policy,
            parameters=description.parameters,
            **({"starting_model": dict(found)} if (found := description.starting_model) else {}),
        )
        for name, text in description.texts.items():
            self._journal.append("text", 0, name=name, text=text)
        self._started = time.perf_counter()

    def capture(self) -> dict[str, Any]:
        """What was recorded so far, and what is due next, as plain data."""
        return {
            "next_row": self._next_row,
            "next_evaluation": self._next_evaluation,
            "points": [asdict(point) for point in self.points],
            "evaluation_time": self.evaluation_time,
            "training_time": self.training_time,
            "diagnostics": self._measuring.capture(),
        }

    def go_on(self, state: Mapping[str, Any], journal: Journal) -> None:
        """Go on from what `capture` told; the clock of training goes on as well."""
        self._journal = journal
        self._next_row = state["next_row"]
        self._next_evaluation = state["next_evaluation"]
        self.points = [EvaluationPoint(**point) for point in state["points"]]
        self.evaluation_time = state["evaluation_time"]
        self._measuring.go_on(state.get("diagnostics", {}))
        beside = self.evaluation_time + self.diagnostics_time
        self._started = time.perf_counter() - state["training_time"] - beside
        self.next_step = min(self._next_row, self._next_evaluation)

    @property
    def training_time(self) -> float:
        """Seconds since the start; evaluation, diagnostics and interruptions excluded."""
        beside = self.evaluation_time + self.diagnostics_time
        return time.perf_counter() - self._started - beside

    @property
    def diagnostics_time(self) -> float:
        """Seconds in further measurements so far."""
        return self._measuring.seconds

    def observe(self, step: int, collect: Callable[[], Metrics]) -> None:
        """Write the row and make the evaluation that are due."""
        if step >= self._next_row:
            self._row(step, collect())
            self._next_row = next_multiple(step, self._row_interval)
        frequency = self._config.evaluation.frequency
        if step >= self._next_evaluation:
            self._evaluate(step, SeedStream.EVALUATION, self._config.evaluation.episodes)
            self._next_evaluation = next_multiple(step, frequency)
        self.next_step = min(self._next_row, self._next_evaluation)

    def finish(self, trained: Trained) -> list[Episode]:
        """Write the last row, make the final evaluation and return its episodes."""
        self._row(trained.step, trained.last)
        return self._evaluate(
            trained.step, SeedStream.FINAL_EVALUATION, self._config.evaluation.final_episodes
        )

    def note_failure(self, error: NonFiniteError) -> None:
        """Write the row that counts a loss that was no number: the first one ends the run."""
        if error.quantity == LOSS:
            self._row(error.step, {metric_names.INVALID_LOSS_COUNT: 1})

    def close(self, trained: Trained, parameters_sha256: str, training_time: float) -> None:
        """Write the record that says the run is complete."""
        self._journal.append(
            "finished",
            trained.step,
            metrics=trained.metrics,
            parameters_sha256=parameters_sha256,
            training_time=training_time,
            evaluation_time=self.evaluation_time,
            **self._measuring.told_time(),
        )
        self._measuring.log_cost(training_time)

    def _row(self, step: int, metrics: Metrics) -> None:
        self._journal.append("metrics", step, metrics=metrics, training_time=self.training_time)

    def _evaluate(self, step: int, stream: SeedStream, count: int) -> list[Episode]:
        started = time.perf_counter()
        seeds = stream_seeds(self._config.seed, stream, count)
        deterministic = self._config.evaluation.deterministic
        episodes = self._backend.evaluate(seeds, deterministic=deterministic)
        final = stream is SeedStream.FINAL_EVALUATION
        self.points.append(evaluation_point(episodes, step, final=final))
        seconds = time.perf_counter() - started
        self._journal.append("evaluation", step, **_evaluation_fields(episodes, final, seconds))
        if episodes[0].text is not None:
            name = metric_names.EXAMPLE_COMPLETION
            self._journal.append("text", step, name=name, text=episodes[0].text)
        self.evaluation_time += time.perf_counter() - started
        self._measuring.after_evaluation(step, len(self.points), self._journal.append, final=final)
        return episodes


def _evaluation_fields(episodes: Sequence[Episode], final: bool, seconds: float) -> dict[str, Any]:
    return {
        "final": final,
        "episodes": len(episodes),
        "returns": [episode.reward_sum for episode in episodes],
        "lengths": [episode.length for episode in episodes],
        "metrics": evaluation_metrics(episodes),
        "evaluation_time": seconds,
    }


def next_multiple(step: int, interval: int) -> int:
    """The first multiple of an interval after a step."""
    return (step // interval + 1) * interval
