"""The records that all packages share: frozen, plain data, safe to send between processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any, Self


class ExperimentStatus(Enum):
    """The stage of an experiment's life."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"


class ExecutionMode(Enum):
    """How the runs of an experiment are carried out."""

    SEQUENTIAL = "sequential"
    PARALLEL = "parallel"
    VALIDATION = "validation"


class RunnerStatus(Enum):
    """What an `ExperimentRunner` is doing."""

    IDLE = "idle"
    INITIALIZING = "initializing"
    RUNNING_BASELINE = "running_baseline"
    RUNNING_VARIANT = "running_variant"
    RUNNING = "running"
    COMPARING = "comparing"
    COMPLETED = "completed"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class RunStatus(StrEnum):
    """The status of one run."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    INTERRUPTED = "interrupted"
    CANCELLED = "cancelled"
    """No longer needed: a stopping rule ended the experiment before the run was complete."""


ENDED_RUNS = frozenset(
    {
        RunStatus.COMPLETED,
        RunStatus.FAILED,
        RunStatus.SKIPPED,
        RunStatus.INTERRUPTED,
        RunStatus.CANCELLED,
    }
)
"""Statuses of runs that have ended."""


@dataclass(frozen=True, order=True)
class RunKey:
    """One run: an arm and a seed."""

    arm: str
    seed: int

    @property
    def name(self) -> str:
        """The run's name in files and tables, such as ``baseline_seed42``."""
        return f"{self.arm}_seed{self.seed}"

    @classmethod
    def from_name(cls, name: str) -> RunKey:
        """The run of that name.

        Raises:
            ValueError: when it is not the name of a run.
        """
        arm, separator, seed = name.rpartition("_seed")
        if not separator:
            raise ValueError(f"{name!r} is not the name of a run, such as 'baseline_seed42'")
        return cls(arm, int(seed))


@dataclass(frozen=True)
class EvaluationProtocol:
    """When and how a policy is evaluated during and after training."""

    frequency: int = 10_000
    """Training timesteps between two periodic evaluations."""
    episodes: int = 10
    """Episodes of a periodic evaluation."""
    deterministic: bool = True
    """Whether the policy acts deterministically instead of sampling its actions."""
    final_episodes: int = 100
    """Episodes of the evaluation after the last update."""


@dataclass(frozen=True)
class CheckpointProtocol:
    """When a run saves everything that it needs to continue."""

    frequency: int = 10_000
    """Training timesteps between two checkpoints."""
    keep: int = 3
    """How many of the newest checkpoints are kept."""


@dataclass(frozen=True)
class TrainerConfig:
    """Everything that one run's training depends on, resolved and checked; plain data."""

    algorithm: str
    environment: str
    """Gymnasium id of the environment that is actually built."""
    total_timesteps: int
    seed: int
    experiment_name: str = "run"
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the algorithm's constructor; schedules and classes still as data."""
    policy: str | None = None
    """Policy name; None chooses by observation space."""
    environment_kwargs: Mapping[str, Any] = field(default_factory=dict)
    environment_modules: tuple[str, ...] = ()
    """Modules the user allowed to be imported because they register environments."""
    n_envs: int = 1
    vec_env: str = "dummy"
    """``dummy``: environments run in the training process; ``subproc``: each in its own."""
    wrappers: tuple[Mapping[str, Any], ...] = ()
    """Wrappers from the inside out: ``{"name": "TimeLimit", "kwargs": {...}}``."""
    normalize: Mapping[str, Any] | None = None
    """Arguments of VecNormalize; None for no normalisation."""
    device: str = "auto"
    torch_threads: int = 1
    accelerate: bool | tuple[str, ...] = True
    """Whether training does less work for the same bits; names choose individual pieces."""
    evaluation: EvaluationProtocol = field(default_factory=EvaluationProtocol)
    run_dir: Path | None = None
    """The run's directory (`paths.RunPaths`); None trains without writing anything."""
    attempt: int = 1
    deviations: tuple[str, ...] = ()
    """What earlier failures changed in this configuration, in words."""
    hang_seconds: float | None = None
    """How long the run may show no sign of life before it is stopped; None sets no limit."""
    checkpoints: Path | None = None
    """Directory of the run's checkpoints; None neither saves nor loads any."""
    checkpoint: CheckpointProtocol = field(default_factory=CheckpointProtocol)
    diagnostics: tuple[str, ...] = ()
    """Further measurements during training, by name."""


@dataclass(frozen=True)
class AttemptStart:
    """Where an attempt at a run resumed, as it reported itself."""

    step: int
    why_inexact: str | None = None
    """Why the resume is not exact; None if it is."""
    deviations: tuple[str, ...] = ()
    """What was changed in the configuration, here or before the checkpoint was saved."""
    passed_over: tuple[str, ...] = ()
    """The checkpoints that could not be used, and why."""


@dataclass(frozen=True)
class EvaluationPoint:
    """One evaluation: the mean over episodes after a number of training timesteps."""

    step: int
    return_mean: float
    return_std: float
    episode_length_mean: float
    episodes: int
    final: bool = False


@dataclass(frozen=True)
class TrainingResult:
    """The result of one run; with several seeds an arm's aggregate, with each run in `runs`."""

    success: bool
    total_timesteps: int
    training_time: float
    """Seconds of training; evaluation and diagnostics excluded."""
    final_mean_reward: float | None
    """Mean return of the final evaluation."""
    final_std_reward: float | None
    experiment_name: str
    algorithm: str
    environment_name: str
    seed: int | None
    error: str | None = None
    arm: str | None = None
    status: RunStatus = RunStatus.COMPLETED
    final_return: float | None = None
    """Mean of the evaluation means in the last 10 % of training, final evaluation included."""
    auc: float | None = None
    """Mean of the evaluation curve."""
    evaluation_time: float = 0.0
    diagnostics_time: float = 0.0
    """Seconds spent on diagnostics."""
    attempts: int = 1
    resumed_from_steps: tuple[int, ...] = ()
    resume: str = "exact"
    deviations: tuple[str, ...] = ()
    fault: str | None = None
    """What is to blame for a failed run: ``machine`` or ``run``."""
    parameters_sha256: str | None = None
    learned: bool | None = None
    """Whether training changed any parameter of the model; None if no run has ended."""
    evaluations: tuple[EvaluationPoint, ...] = ()
    model_path: str | None = None
    runs: tuple[TrainingResult, ...] = ()

    def __post_init__(self) -> None:
        if not self.success and self.status is RunStatus.COMPLETED:
            object.__setattr__(self, "status", RunStatus.FAILED)  # the default does not fit

    def to_dict(self) -> dict[str, Any]:
        """The record as plain JSON data, nested runs included."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TrainingResult:
        """The record from the output of `to_dict`, also after a round trip through JSON.

        Raises:
            TypeError: for a field that is unknown or missing.
        """
        return cls(
            **{
                **data,
                "status": RunStatus(data.get("status", RunStatus.COMPLETED)),
                "resumed_from_steps": tuple(data.get("resumed_from_steps", ())),
                "deviations": tuple(data.get("deviations", ())),
                "evaluations": tuple(
                    EvaluationPoint(**point) for point in data.get("evaluations", ())
                ),
                "runs": tuple(cls.from_dict(run) for run in data.get("runs", ())),
            }
        )


@dataclass(frozen=True)
class ErrorRecord:
    """An exception as data: what crosses a process boundary."""

    type_name: str
    message: str
    traceback: str = ""


@dataclass(frozen=True)
class ResourceSample:
    """One look at a process tree; what could not be measured is None, never zero."""

    time: float
    """Seconds since the epoch."""
    cpu_percent: float
    """100 is one core fully used."""
    memory_mb: float
    """Resident memory (RSS) of the whole tree, in MiB; shared memory counts in each process."""
    pss_mb: float | None = None
    """Proportional memory (PSS), in MiB: shared memory is divided among the processes."""
    disk_usage_mb: float | None = None
    """Size of the experiment's directory, in MiB."""
    disk_free_mb: float | None = None
    gpu_percent: float | None = None
    gpu_memory_mb: float | None = None

    @classmethod
    def from_event(cls, record: Mapping[str, Any]) -> Self | None:
        """The sample that a ``resources`` event holds; None where it lacks time, CPU or memory.

        Unknown fields are ignored, and those that are not numbers count as not measured.
        """
        names = {known.name for known in fields(cls)}
        figures = {
            name: float(value)
            for name, value in record.items()
            if name in names and isinstance(value, int | float)
        }
        needed = {known.name for known in fields(cls) if known.default is MISSING}
        return cls(**figures) if needed <= figures.keys() else None


@dataclass(frozen=True)
class RunProgress:
    """The progress of one run, read from its journal."""

    run: RunKey
    status: RunStatus
    step: int
    total_steps: int
    """Timesteps that will actually be trained, after rounding to whole rollouts."""
    steps_per_second: float | None = None
    returns_mean: float | None = None
    """Mean return of the latest training episodes, else of the latest evaluation."""
    seconds_left: float | None = None
    attempt: int = 0
    """The latest that was made, counted from 1; 0 before the first."""
    error: str | None = None

    @property
    def percent(self) -> float:
        """Share of the timesteps that are done, 0 to 100."""
        return 100.0 * min(self.step / self.total_steps, 1.0) if self.total_steps else 0.0


@dataclass(frozen=True)
class RunEstimate:
    """What a whole run will take, estimated from a short dry run."""

    run: RunKey
    steps_per_second: float
    training_seconds: float
    memory_mb: float
    """Resident memory of the training process, full replay buffer included, in MiB."""
    disk_mb: float
    planned_timesteps: int
    parameters: int
    """Trainable parameters of the policy."""
    shared_mb: float = 0.0
    """The part of `memory_mb` that runs on one machine share, such as imported libraries."""
    gpu_memory_mb: float | None = None
    """Memory on the GPU, in MiB; None if none is used or it is unknown."""
