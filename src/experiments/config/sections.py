"""The parts of an experiment file beside the arms: evaluation, comparison, recovery, limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from .fields import Flag, Number, Whole


class Section(BaseModel):
    """A part of the file: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Evaluation(Section):
    """When and how a policy is evaluated; the same for both arms."""

    frequency: Annotated[Whole, Field(ge=1)] = 10_000
    """Training steps between two periodic evaluations."""
    episodes: Annotated[Whole, Field(ge=1, le=10_000)] = 10
    """Episodes of a periodic evaluation."""
    deterministic: Flag = True
    """Whether the policy acts deterministically instead of sampling its actions."""
    final_episodes: Annotated[Whole, Field(ge=1, le=100_000)] = 100
    """Episodes of the evaluation after the last update."""


class SequentialDesign(Section):
    """A group-sequential design: looks at the data as seeds complete."""

    first_look: Annotated[Whole, Field(ge=2, le=1000)] = 6
    """Seeds per arm at the first look."""
    batch: Annotated[Whole, Field(ge=1, le=1000)] = 3
    """Seeds per arm between two looks."""
    max_seeds: Annotated[Whole, Field(ge=2, le=1000)] = 15
    """Seeds per arm at which the experiment ends."""

    @model_validator(mode="after")
    def _looks_in_order(self) -> Self:
        if self.first_look > self.max_seeds:
            raise PydanticCustomError(
                "looks",
                "first_look ({first}) must not exceed max_seeds ({last})",
                {"first": self.first_look, "last": self.max_seeds},
            )
        return self


class ComparisonRule(Section):
    """How the arms are compared; fixed before the first run."""

    metric: Literal["final_return", "final_mean_reward", "auc"] = "final_return"
    """The one primary metric."""
    direction: Literal["maximize", "minimize"] = "maximize"
    """Whether more is better."""
    alpha: Annotated[Number, Field(gt=0, le=0.5)] = 0.05
    """Accepted share of false alarms."""
    equivalence_margin: Annotated[Number, Field(gt=0)] | None = None
    """Effects smaller than this count as none."""
    minimum_effect: Annotated[Number, Field(gt=0)] | None = None
    """The smallest effect worth finding."""
    paired: Flag = False
    """Whether runs with the same seed are compared in pairs."""
    sequential: SequentialDesign | None = None
    """Stop early when the answer is clear; null trains a fixed number of seeds."""


class WelchAbort(Section):
    """Stop training a variant that a one-sided Welch test calls worse."""

    looks: Annotated[
        tuple[Annotated[Number, Field(gt=0, lt=1)], ...], Field(min_length=1, max_length=10)
    ] = (0.5, 0.75)
    """Fractions of training at which the arms are compared, ascending."""
    rule: Literal["welch"] = "welch"
    """The test."""

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if list(self.looks) != sorted(set(self.looks)):
            raise PydanticCustomError("looks", "looks must ascend")
        return self


class HabitAbort(Section):
    """Stop training a variant that is worse than the baseline at one early point."""

    after_fraction: Annotated[Number, Field(gt=0, lt=1)]
    """Fraction of training after which the arms are compared."""
    rule: Literal["worse_than_baseline"] = "worse_than_baseline"
    """The habit's name."""


def abort_form(value: Any) -> str:
    """Which of the two rules for an early end a value means; a tag that no pointer shows."""
    if isinstance(value, HabitAbort):
        return "<habit>"
    keys = value if isinstance(value, Mapping) else {}
    habit = "after_fraction" in keys or keys.get("rule") == "worse_than_baseline"
    return "<habit>" if habit else "<welch>"


class Recovery(Section):
    """What happens when a run fails."""

    strategy: Literal["abort", "retry", "skip"] = "abort"
    """End the experiment, retry from the last checkpoint, or continue without the run."""
    max_retries: Annotated[Whole, Field(ge=0, le=100)] = 2
    """Maximum number of retries per run with "retry"."""


class ResourceLimits(Section):
    """What the experiment may use; null sets no limit."""

    memory_mb: Annotated[Number, Field(ge=256)] | None = None
    """Memory of all training processes, shared memory counted once, in MiB; one takes about 400."""
    cpu_percent: Annotated[Number, Field(ge=1, le=100)] | None = None
    """Share of the processor time of the cores that may be used here, in percent."""
    disk_gb: Annotated[Number, Field(gt=0)] | None = None
    """Size of the experiment's directory, in GiB."""
    gpu_memory_mb: Annotated[Number, Field(ge=1)] | None = None
    """Memory of all runs together on the GPUs, in MiB."""


class CheckpointPlan(Section):
    """When a run saves everything that it needs to resume."""

    frequency: Annotated[Whole, Field(ge=1)] = 10_000
    """Training steps between two checkpoints."""
    keep: Annotated[Whole, Field(ge=1, le=1000)] = 3
    """How many of the newest checkpoints are kept."""
