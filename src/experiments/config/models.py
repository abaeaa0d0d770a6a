"""The experiment file as models: what each field means, its default and its range.

What needs the library's signatures or an environment is judged in `arms` and `semantics`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Discriminator, Field, PrivateAttr, Tag

from ..domain.records import EvaluationProtocol
from ..domain.seeds import seed_list
from ..domain.verdicts import DecisionRule
from .fields import Device, ExperimentId, Flag, Name, Number, Seed, Text, Whole
from .sections import (
    CheckpointPlan,
    ComparisonRule,
    Evaluation,
    HabitAbort,
    Recovery,
    ResourceLimits,
    Section,
    WelchAbort,
    abort_form,
)

BASELINE, VARIANT = "baseline", "variant"

PieceName = Literal[
    "arguments",
    "optimizers",
    "walks",
    "networks",
    "policies",
    "critics",
    "targets",
    "observations",
    "copies",
    "buffers",
]
"""The names of `domain.acceleration.Piece`."""


def _is_object(value: Any) -> bool:
    return isinstance(value, Mapping | BaseModel)


class Wrapper(Section):
    """An environment wrapper with its arguments."""

    name: Name
    """Name from the allow-list, such as "TimeLimit"."""
    kwargs: dict[str, Any] = Field(default_factory=dict)
    """The wrapper's arguments."""


class Normalization(Section):
    """Arguments of Stable-Baselines3's VecNormalize."""

    norm_obs: Flag = True
    """Whether observations are normalised."""
    norm_reward: Flag = True
    """Whether rewards are normalised, in training only."""
    clip_obs: Annotated[Number, Field(gt=0)] = 10.0
    """Largest absolute value of a normalised observation."""
    clip_reward: Annotated[Number, Field(gt=0)] = 10.0
    """Largest absolute value of a normalised reward."""
    gamma: Annotated[Number, Field(ge=0, le=1)] = 0.99
    """Discount of the return whose spread scales the rewards."""
    epsilon: Annotated[Number, Field(gt=0)] = 1e-8
    """Added to the variance to avoid division by zero."""


class AppliedPreset(Section):
    """A preset whose values are already in the configuration; nothing is looked up again."""

    name: Literal["rl-zoo"]
    """The table that the values came from."""
    version: Name
    """Version of the package that held the table."""
    entry: Name
    """The table's entry, an environment id or "default"."""


class Configuration(Section):
    """One arm of an experiment: what is trained, on what, for how long."""

    algorithm: Name
    """PPO, A2C, DQN, SAC, TD3, DDPG, TRPO, TQC, QRDQN, RecurrentPPO, ARS, CrossQ, GRPO, DR_GRPO."""
    environment: Name
    """Gymnasium id; one whose version is out of date runs as the newest version. GRPO: a task."""
    training_steps: Annotated[Whole, Field(ge=1, le=10**12)]
    """Environment steps (GRPO: of the optimiser), rounded up to whole rollouts by the algorithm."""
    seed: Seed = 0
    """Seed of the run if the experiment sets no seeds."""
    hyperparameters: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the algorithm's constructor; schedules, noise and classes as data."""
    environment_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the environment."""
    n_envs: Annotated[Whole, Field(ge=1, le=1024)] = 1
    """Number of environments stepped together."""
    vec_env: Literal["dummy", "subproc"] = "dummy"
    """Where several environments run: in the training process, or each in its own process."""
    wrappers: tuple[
        Annotated[
            Annotated[Name, Tag("<name>")] | Annotated[Wrapper, Tag("<other>")],
            Discriminator(lambda value: "<name>" if isinstance(value, str) else "<other>"),
        ],
        ...,
    ] = ()
    """Wrappers from the inside out: names, or names with arguments."""
    normalize: Annotated[
        Annotated[Flag, Tag("<flag>")] | Annotated[Normalization, Tag("<other>")],
        Discriminator(lambda value: "<other>" if _is_object(value) else "<flag>"),
    ] = False
    """Whether observations and rewards are normalised; an object sets the details."""
    policy: Name | None = None
    """Policy name; null chooses by observation space."""
    preset: (
        Annotated[
            Annotated[Literal["rl-zoo"], Tag("<name>")] | Annotated[AppliedPreset, Tag("<other>")],
            Discriminator(lambda value: "<other>" if _is_object(value) else "<name>"),
        ]
        | None
    ) = None
    """A table of tuned values that this arm starts from; the arm's own settings take precedence."""
    device: Device = "auto"
    """auto, cpu, cuda or cuda:N."""
    experiment_name: Name | None = None
    """Name of the arm in logs and results."""


class ExperimentConfig(Section):
    """One question: does the variant beat the baseline?"""

    experiment_id: ExperimentId | None = None
    """Directory name; null makes one from hypothesis, time and content."""
    hypothesis: Text = ""
    """What the experiment is meant to show."""
    comment: Text = ""
    """Anything worth remembering about the experiment."""
    tags: Annotated[tuple[Name, ...], Field(max_length=100)] = ()
    """Tags to find the experiment by."""
    seeds: (
        Annotated[
            Annotated[Whole, Field(ge=1, le=10_000), Tag("<other>")]
            | Annotated[
                tuple[Seed, ...],
                Field(min_length=1, max_length=10_000, strict=False),
                Tag("<list>"),
            ],
            Discriminator(lambda value: "<list>" if isinstance(value, list | tuple) else "<other>"),
        ]
        | None
    ) = None
    """Seeds of both arms, or their number; null takes the arms' own seed.

    A sequential design that needs more seeds continues with those after the largest."""
    baseline_config: Configuration
    """The known arm, which the variant is compared with."""
    variant_config: Configuration
    """The arm in question."""
    evaluation: Evaluation = Evaluation()
    """When and how policies are evaluated."""
    comparison: ComparisonRule = ComparisonRule()
    """How the arms are compared."""
    early_abort: (
        Annotated[
            Annotated[WelchAbort, Tag("<welch>")] | Annotated[HabitAbort, Tag("<habit>")],
            Discriminator(abort_form),
        ]
        | None
    ) = None
    """When a hopeless variant is stopped during training."""
    recovery: Recovery = Recovery()
    """What happens when a run fails."""
    resource_limits: ResourceLimits | None = None
    """What the experiment may use; null sets no limit."""
    hang_seconds: Annotated[Number, Field(ge=1, le=604_800)] = 600.0
    """Seconds without a sign of life after which a run counts as failed."""
    torch_threads: Annotated[Whole, Field(ge=1, le=1024)] = 1
    """Threads of one training process; the parameters' bits depend on it."""
    accelerate: Annotated[
        Annotated[Flag, Tag("<flag>")]
        | Annotated[tuple[PieceName, ...], Field(strict=False), Tag("<list>")],
        Discriminator(lambda value: "<list>" if isinstance(value, list | tuple) else "<flag>"),
    ] = True
    """Whether training is accelerated, which changes no bit of a result; a list chooses pieces."""
    checkpoint: CheckpointPlan = CheckpointPlan()
    """When a run saves its state."""
    storage: Literal["standard", "hybrid", "tracker_only"] = "standard"
    """How much stays on the local disk."""
    trackers: tuple[Literal["clearml", "wandb", "tensorboard"], ...] = ()
    """Trackers that the experiment is reported to."""
    diagnostics: tuple[Literal["curvature"], ...] = ()
    """Further measurements during training, by name."""
    allow_different_environments: Flag = False
    """Whether the arms may train on different environments."""

    _environment_modules: tuple[str, ...] = PrivateAttr(default=())

    @property
    def arms(self) -> dict[str, Configuration]:
        """The arms by name, baseline first."""
        return {BASELINE: self.baseline_config, VARIANT: self.variant_config}

    @property
    def seed_list(self) -> list[int]:
        """The seeds that both arms train with."""
        sequential = self.comparison.sequential
        planned = None if sequential is None else sequential.max_seeds
        return seed_list(self.seeds, self.baseline_config.seed, planned)

    @property
    def rule(self) -> DecisionRule:
        """The decision rule as the analysis takes it."""
        return DecisionRule(**self.comparison.model_dump(exclude={"sequential"}))

    @property
    def protocol(self) -> EvaluationProtocol:
        """The evaluation protocol as training takes it."""
        return EvaluationProtocol(**self.evaluation.model_dump())

    @property
    def limits(self) -> dict[str, float]:
        """The resource limits that are set."""
        return self.resource_limits.model_dump(exclude_none=True) if self.resource_limits else {}

    @property
    def environment_modules(self) -> tuple[str, ...]:
        """Modules that the command line allowed to be imported; no file can name one."""
        return self._environment_modules

    def with_environment_modules(self, modules: tuple[str, ...]) -> Self:
        """A copy that remembers which modules were allowed."""
        copied = self.model_copy()
        copied._environment_modules = modules
        return copied
