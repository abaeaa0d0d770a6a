"""A run's checkpoints: what one holds, which can be trusted, and the files they refer to."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from ..domain.errors import RunStoppedError, StorageError
from ..domain.paths import RunPaths
from ..domain.records import TrainerConfig
from ..durability.checkpoints import CheckpointManager, read
from ..durability.files import json_text
from ..durability.segments import SegmentWriter

NAME = "checkpoint"
ADJUSTABLE = ("batch_size", "buffer_size")
"""Hyperparameters that a retry may change and still go on from a checkpoint."""
LIBRARIES = (
    "torch",
    "stable-baselines3",
    "sb3-contrib",
    "gymnasium",
    "numpy",
    "box2d",
    "mujoco",
    "ale-py",
    "trl",
    "transformers",
    "accelerate",
    "tokenizers",
)
"""Other versions of these may compute other bits, where they are installed."""
_COMPARED_BYTES = 1 << 16
"""Of a journal's end, by which one is told from another of the same run."""


@dataclass(frozen=True)
class SavedRun:
    """A checkpoint that can be trusted."""

    step: int
    journal_bytes: int
    recorder: Mapping[str, Any]
    """What `RunRecorder.capture` told."""
    training: Mapping[str, Any]
    """What `Backend.capture` told."""
    deviations: tuple[str, ...]
    """What was changed of the configuration until then, in words."""
    other_versions: str | None
    """Why libraries of other versions may compute other bits; None where they are the same."""


class RunCheckpoints:
    """The checkpoints of one run, and the files to which they refer.

    Args:
        config: of an attempt at the run; it has a folder for checkpoints.
    """

    def __init__(self, config: TrainerConfig) -> None:
        if config.checkpoints is None:
            raise ValueError("the run has no folder for checkpoints")
        self.directory: Path = config.checkpoints
        self.frequency = config.checkpoint.frequency
        """Timesteps between two of them."""
        self._config = config
        self._manager = CheckpointManager(self.directory, NAME, keep=config.checkpoint.keep)
        self.writer = SegmentWriter(self.directory, f"experience-{config.attempt}")
        self._referred: dict[str, set[str]] = {}
        """The files that each checkpoint refers to."""

    def starting_points(self) -> Iterator[SavedRun]:
        """The checkpoints that can be trusted, newest first; a warning names each that cannot."""
        for _, state in self._manager.trusted(self._check):
            yield SavedRun(
                state["step"],
                state["journal_bytes"],
                state["recorder"],
                state["training"],
                tuple(state["deviations"]),
                _other_versions(state["libraries"]),
            )

    def pass_over(self, saved: SavedRun, why: Exception) -> None:
        """Warn that a checkpoint could not be used after all."""
        self._manager.pass_over(saved.step, why)

    @property
    def passed_over(self) -> tuple[str, ...]:
        """The checkpoints that could not be used so far, and why."""
        return tuple(self._manager.passed_over)

    def is_empty(self) -> bool:
        """Whether there is no checkpoint, good or bad."""
        return self._manager.is_empty()

    def untrusted_error(self) -> StorageError:
        """The error where there are checkpoints and none is of use."""
        return self._manager.untrusted_error()

    def save(
        self,
        step: int,
        *,
        journal_bytes: int,
        recorder: Mapping[str, Any],
        training: Mapping[str, Any],
        deviations: Sequence[str] = (),
    ) -> None:
        """Save a checkpoint; what no kept one needs any more goes.

        Raises:
            StorageError: when the disk refuses; earlier checkpoints are untouched.
            RunStoppedError: when a later attempt has begun: this one was given up.
        """
        self._check_not_given_up()
        state = {
            "run": _identity(self._config),
            "libraries": _versions(),
            "attempt": self._config.attempt,
            "step": step,
            "deviations": list(deviations),
            "journal_bytes": journal_bytes,
            "journal_end": _end_of_journal(self._config, journal_bytes),
            "recorder": dict(recorder),
            "training": dict(training),
        }
        path = self._manager.save(step, state)
        self._referred[path.name] = _files_of(state)
        self._drop_unreferred()

    def _check(self, state: Mapping[str, Any]) -> None:
        """Refuse the checkpoint of another run, or one that does not go with the journal.

        Raises:
            StorageError: saying in what it differs.
        """
        ours, theirs = _identity(self._config), state.get("run", {})
        different = [name for name in ours if ours[name] != theirs.get(name)]
        if different:
            told = ", ".join(f"{name} {theirs.get(name)}, not {ours[name]}" for name in different)
            raise StorageError(f"it belongs to another run: {told}"[:300])
        length = state["journal_bytes"]
        if _end_of_journal(self._config, length) != state["journal_end"]:
            raise StorageError(f"the journal's first {length:,} bytes are not those it goes with")

    def _check_not_given_up(self) -> None:
        run_dir = self._config.run_dir
        later = [] if run_dir is None else RunPaths(run_dir).attempts()
        if later and later[-1] > self._config.attempt:
            raise RunStoppedError(f"attempt {later[-1]} has begun: this one was given up")

    def _drop_unreferred(self) -> None:
        """Remove the files of experience to which no kept checkpoint refers."""
        kept = {path.name: path for path in self._manager.paths()}
        self._referred = {name: files for name, files in self._referred.items() if name in kept}
        present = sorted(self.directory.glob("experience-*.bin"), key=_age)
        if not present:
            return
        for name, path in kept.items():
            if name not in self._referred:
                try:
                    self._referred[name] = _files_of(read(path))
                except StorageError:
                    self._referred[name] = set()  # it is of no use, nor is what it refers to
                except OSError:
                    return  # what it refers to is not known just now
        needed = set().union(*self._referred.values())
        newest = present[-1]  # is written to next
        for path in present:
            if path.name not in needed and path != newest:
                path.unlink(missing_ok=True)


def _identity(config: TrainerConfig) -> dict[str, str]:
    """What makes a run this run and no other; each as text that can be compared and shown."""
    fixed = {k: v for k, v in config.hyperparameters.items() if k not in ADJUSTABLE}
    facts = {
        "algorithm": config.algorithm,
        "environment": config.environment,
        "environment_kwargs": config.environment_kwargs,
        "seed": config.seed,
        "training_steps": config.total_timesteps,
        "hyperparameters": fixed,
        "policy": config.policy,
        "n_envs": config.n_envs,
        "vec_env": config.vec_env,
        "wrappers": config.wrappers,
        "normalize": config.normalize,
        "torch_threads": config.torch_threads,
        "run": config.run_dir.name if config.run_dir else None,
    }
    return {name: json_text(value) for name, value in facts.items()}


def _end_of_journal(config: TrainerConfig, length: int) -> str | None:
    """SHA-256 of the last of the journal's first bytes; None where there are fewer of them."""
    if config.run_dir is None:
        return None
    try:
        with RunPaths(config.run_dir).journal.open("rb") as file:
            file.seek(max(0, length - _COMPARED_BYTES))
            data = file.read(min(length, _COMPARED_BYTES))
    except FileNotFoundError:
        return None
    return hashlib.sha256(data).hexdigest() if len(data) == min(length, _COMPARED_BYTES) else None


def _age(path: Path) -> tuple[int, str]:
    try:
        return path.stat().st_mtime_ns, path.name
    except FileNotFoundError:
        return 0, path.name


def _versions() -> dict[str, str]:
    found = {"Python": platform.python_version(), "the machine": platform.machine()}
    for name in LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _other_versions(saved: Mapping[str, str]) -> str | None:
    """Why libraries of other versions may compute other bits; None where they are the same."""
    now = _versions()
    others = [
        f"{name} {saved.get(name)}, now {now[name]}" for name in now if saved.get(name) != now[name]
    ]
    return f"it was saved with {', '.join(others)}" if others else None


def _files_of(state: Mapping[str, Any]) -> set[str]:
    experience = state["training"].get("experience") or {}
    return {each["chunk"]["file"] for each in experience.get("chunks", ())}
