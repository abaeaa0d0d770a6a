"""What a learning library must do for us: build, train until told to stop, evaluate, save."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, cast

from ..config.algorithms import is_language
from ..domain.errors import MissingExtraError, UsageError, install_extra
from ..domain.paths import AttemptPaths
from ..domain.records import TrainerConfig
from ..durability.segments import SegmentWriter
from .diagnostics import Diagnostic
from .evaluation import Episode

Metrics = dict[str, float]

BACKENDS: Mapping[str, str] = {
    "sb3": ".sb3.backend:StableBaselines",
    "trl": ".trl.backend:LanguageModels",
}
"""Name to ``module:Class``, relative to this package; imported when asked for."""


class StopTraining(Exception):
    """Raised by an observer to end training at the boundary where it was called."""


class NotRestoredError(Exception):
    """A state could not be taken over; the backend is of no use any more."""


@dataclass(frozen=True)
class Resumption:
    """What training goes on from."""

    state: Mapping[str, Any]
    """What `Backend.capture` told."""
    directory: Path
    """Where the chunks lie that the state refers to."""
    on_restored: Callable[[str | None], None]
    """Called before the first step, with why the state is not exact; None where it is."""


class Observer(Protocol):
    """Whom a backend tells, between two rollouts, how far training is.

    A backend calls `observe` at the first boundary at or after `next_step`, on the training thread.
    """

    @property
    def next_step(self) -> int:
        """The timestep from which on it wants to be told."""

    def observe(self, step: int, collect: Callable[[], Metrics]) -> None:
        """Take note of a boundary; `collect` returns the metrics since it was last called.

        Raises:
            StopTraining: to end training here.
        """


@dataclass(frozen=True)
class Description:
    """What was built, as far as the journal tells of it."""

    policy: str
    device: str
    threads: int
    """Threads that the library computes with."""
    parameters: int
    """Trainable parameters of the policy."""
    parameters_sha256: str
    """As `Backend.parameters_sha256`, before training."""
    planned_timesteps: int
    """Timesteps that will be trained, after rounding to whole rollouts."""
    shortest_row: int | None = None
    """Timesteps between two rows of the journal, at least, where they are slow; else the usual."""
    starting_model: Mapping[str, str] = field(default_factory=dict)
    """The fingerprint of the model with which training begins, where it was made elsewhere."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """What else is known from the start and is no number, by the name of its metric."""


@dataclass(frozen=True)
class Trained:
    """What training came to."""

    step: int
    metrics: Metrics
    """What the journal's last record says under ``final/``."""
    last: Metrics
    """Metrics since the last boundary that was observed."""
    is_complete: bool = True
    """Whether it went to its end; an observer may have stopped it before."""


class Backend(Protocol):
    """One run of a learning library; used by one thread, in the order of its methods."""

    def build(self) -> Description:
        """Create environments and model, seeded; nothing is trained yet."""

    def train(
        self,
        observer: Observer,
        *,
        resumption: Resumption | None = None,
        tells_state: bool = False,
    ) -> Trained:
        """Train to the end, or until the observer says stop.

        Args:
            observer: told at boundaries.
            resumption: what training goes on from; None starts it.
            tells_state: whether the observer may call `capture`.

        Raises:
            NonFiniteError: naming the quantity and the step.
            NotRestoredError: when the state to go on from cannot be taken over.
        """

    def capture(self, writer: SegmentWriter) -> dict[str, Any]:
        """Everything that training needs to go on from here, as plain data.

        Called by an observer at a boundary. Large arrays go to the writer, each row once.

        Raises:
            StorageError: when the disk refuses.
        """

    @property
    def why_inexact(self) -> str | None:
        """Why what `capture` told last is not exact; None where it is."""

    def evaluate(self, seeds: Sequence[int], *, deterministic: bool) -> list[Episode]:
        """Play one episode a seed on separate environments; training is left as it was."""

    def diagnostics(self) -> Mapping[str, Diagnostic]:
        """The further measurements that its configuration asks for, by name.

        Raises:
            UsageError: when one of them is unknown.
        """

    def save(self, paths: AttemptPaths) -> None:
        """Write the policy, and whatever is needed to use it, under their final names."""

    def activity(self) -> int:
        """A number that changes whenever work was done; called from another thread at any time.

        Work is a step of any environment, a gradient step, or a method that returned.
        """

    def experience_bytes(self) -> int:
        """Memory that the experience kept for learning takes once all its room is used."""

    def parameters_sha256(self) -> str:
        """SHA-256 of the parameters: sorted names and raw bytes."""

    def close(self) -> None:
        """Release environments and undo what was changed in the process."""


def backend_of(algorithm: str) -> str:
    """The name of the backend that trains an algorithm."""
    return "trl" if is_language(algorithm) else "sb3"


def check_extra(algorithm: str) -> None:
    """Refuse an algorithm whose library is optional and missing.

    Raises:
        MissingExtraError: naming the extra.
    """
    if is_language(algorithm) and find_spec("trl") is None:
        raise MissingExtraError(
            f"{algorithm} needs TRL, which is not installed",
            remedy=install_extra("llm"),
        )


def create_backend(name: str, config: TrainerConfig) -> Backend:
    """An instance of the backend with this name.

    Raises:
        UsageError: when there is none.
        MissingExtraError: when its library is not installed.
    """
    if name not in BACKENDS:
        raise UsageError(f"unknown backend {name!r}", remedy=f"use one of {', '.join(BACKENDS)}")
    if name == "trl":
        check_extra(config.algorithm)
    module, _, attribute = BACKENDS[name].partition(":")
    backend = getattr(import_module(module, __package__), attribute)
    return cast("Backend", backend(config))
