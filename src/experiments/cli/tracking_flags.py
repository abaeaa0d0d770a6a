"""What the flags of trackers and storage mean, as overrides of the experiment file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..config.allowed import DIAGNOSTICS
from ..domain.errors import UsageError
from ..tracking.registry import check_tracker
from .arguments import override

if TYPE_CHECKING:
    from ..config.environment_file import TrackerVariables
    from ..tracking.choosing import TrackingChoice


@dataclass(frozen=True)
class TrackingFlags:
    """The flags as they were typed; None for those that were not."""

    trackers: tuple[str, ...] = ()
    use_clearml: bool | None = None
    wandb: bool | None = None
    wandb_project: str | None = None
    wandb_offline: bool = False
    wandb_only: bool = False
    disable_local_files: bool = False
    diagnostics: bool | None = None
    run_name: str | None = None
    log_dir: Path | None = None
    env_file: Path | None = None
    variables: TrackerVariables | None = None
    """What the environment and that file say; read once, for it may be a pipe."""

    def chosen(self) -> dict[str, list[str]]:
        """The flags that a command has to repeat to continue in the same way, with their values."""
        said = {
            "--use-clearml": self.use_clearml is True,
            "--no-clearml": self.use_clearml is False,
            "--wandb": self.wandb is True,
            "--no-wandb": self.wandb is False,
        }
        return {
            "--tracker": list(self.trackers),
            **{name: [""] for name, is_said in said.items() if is_said},
            "--env-file": [str(self.env_file)] if self.env_file else [],
        }

    def choice(self) -> TrackingChoice:
        """How trackers are reached."""
        from ..tracking.choosing import TrackingChoice

        return TrackingChoice(
            wandb_project=self.wandb_project,
            name=self.run_name,
            wandb_offline=True if self.wandb_offline else None,
            log_dir=self.log_dir,
            variables=self.variables,
        )


NO_FLAGS = TrackingFlags()


def overrides_of(flags: TrackingFlags) -> list[str]:
    """The overrides that flags stand for, after those of the environment, which they outweigh.

    Raises:
        UsageError: when flags contradict each other, or a tracker is unknown.
    """
    _check(flags)
    variables = flags.variables
    said: dict[str, bool | None] = {
        "clearml": variables.use_clearml if variables else None,
        "wandb": False if variables and variables.wandb_mode == "disabled" else None,
    }
    said |= dict.fromkeys(flags.trackers, True)
    wants_wandb = flags.wandb_offline or flags.wandb_only or flags.wandb_project is not None
    if flags.wandb is not None or wants_wandb:
        said["wandb"] = flags.wandb is not False
    if flags.use_clearml is not None:
        said["clearml"] = flags.use_clearml
    changes = [
        override("trackers+" if is_told else "trackers-", tracker)
        for tracker, is_told in said.items()
        if is_told is not None
    ]
    return [*changes, *_others(flags)]


def fallback_of(flags: TrackingFlags) -> str | None:
    """The tracker that is told where Weights & Biases is not: with a place for its files, one."""
    return "tensorboard" if flags.log_dir is not None else None


def _others(flags: TrackingFlags) -> list[str]:
    others = []
    if flags.wandb_only:
        others.append(override("storage", "tracker_only"))
    elif flags.disable_local_files:
        others.append(override("storage", "hybrid"))
    if flags.diagnostics is not None:
        others.append(override("diagnostics", list(DIAGNOSTICS) if flags.diagnostics else []))
    return others


def _check(flags: TrackingFlags) -> None:
    contradictions: Sequence[tuple[bool, str]] = (
        (flags.wandb_only and flags.disable_local_files, "--wandb-only and --disable-local-files"),
        (flags.wandb_only and flags.wandb is False, "--wandb-only and --no-wandb"),
        (flags.wandb_offline and flags.wandb is False, "--wandb-offline and --no-wandb"),
        (flags.wandb is False and "wandb" in flags.trackers, "--no-wandb and --tracker wandb"),
        (
            flags.use_clearml is False and "clearml" in flags.trackers,
            "--no-clearml and --tracker clearml",
        ),
    )
    for contradicts, names in contradictions:
        if contradicts:
            raise UsageError(f"{names} contradict each other", remedy="leave one of them out")
    for tracker in flags.trackers:
        check_tracker(tracker)
