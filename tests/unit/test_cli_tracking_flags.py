from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from src.experiments.cli.tracking_flags import TrackingFlags, fallback_of, overrides_of
from src.experiments.config.environment_file import TrackerVariables
from src.experiments.config.overrides import apply_overrides
from src.experiments.domain.errors import UsageError


def told(
    flags: TrackingFlags, variables: TrackerVariables | None = None, file: tuple[str, ...] = ()
) -> dict[str, Any]:
    overrides = overrides_of(replace(flags, variables=variables))
    changed, problems = apply_overrides({"trackers": list(file)}, overrides)
    assert problems == []
    return changed


@pytest.mark.parametrize(
    ("flags", "variables", "file", "expected"),
    [
        (TrackingFlags(), TrackerVariables(), ("wandb",), ["wandb"]),
        (TrackingFlags(), TrackerVariables(use_clearml=True), (), ["clearml"]),
        (TrackingFlags(), TrackerVariables(use_clearml=False), ("clearml",), []),
        (TrackingFlags(use_clearml=False), TrackerVariables(use_clearml=True), (), []),
        (TrackingFlags(use_clearml=True), TrackerVariables(use_clearml=False), (), ["clearml"]),
        (
            TrackingFlags(trackers=("clearml",)),
            TrackerVariables(use_clearml=False),
            (),
            ["clearml"],
        ),
        (TrackingFlags(), TrackerVariables(wandb_mode="disabled"), ("wandb",), []),
        (TrackingFlags(wandb=True), TrackerVariables(wandb_mode="disabled"), (), ["wandb"]),
        (TrackingFlags(wandb=False), TrackerVariables(), ("wandb", "clearml"), ["clearml"]),
        (TrackingFlags(wandb_project="p"), TrackerVariables(), (), ["wandb"]),
        (TrackingFlags(wandb_project="p", wandb=False), TrackerVariables(), (), []),
        (TrackingFlags(wandb_offline=True), TrackerVariables(), (), ["wandb"]),
        (TrackingFlags(trackers=("tensorboard",)), TrackerVariables(), (), ["tensorboard"]),
    ],
)
def test_flags_outweigh_the_environment_and_that_the_file(
    flags: TrackingFlags,
    variables: TrackerVariables,
    file: tuple[str, ...],
    expected: list[str],
) -> None:
    assert told(flags, variables, file)["trackers"] == expected


def test_storage_flags_are_the_files_storage() -> None:
    only = told(TrackingFlags(wandb_only=True))
    hybrid = told(TrackingFlags(disable_local_files=True))

    assert (only["storage"], only["trackers"]) == ("tracker_only", ["wandb"])
    assert (hybrid["storage"], hybrid["trackers"]) == ("hybrid", [])


def test_diagnostics_are_on_or_off() -> None:
    assert told(TrackingFlags(diagnostics=True))["diagnostics"] == ["curvature"]
    assert told(TrackingFlags(diagnostics=False))["diagnostics"] == []
    assert "diagnostics" not in told(TrackingFlags())


def test_a_place_for_tensorboard_is_used_where_nothing_else_is() -> None:
    assert fallback_of(TrackingFlags(log_dir=Path("logs"))) == "tensorboard"
    assert fallback_of(TrackingFlags()) is None


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (TrackingFlags(wandb_only=True, disable_local_files=True), "--disable-local-files"),
        (TrackingFlags(wandb_only=True, wandb=False), "--wandb-only and --no-wandb"),
        (TrackingFlags(wandb_offline=True, wandb=False), "--wandb-offline and --no-wandb"),
        (TrackingFlags(trackers=("wandb",), wandb=False), "--no-wandb and --tracker wandb"),
        (TrackingFlags(trackers=("mlflow",)), "use clearml, wandb, tensorboard"),
    ],
)
def test_flags_that_contradict_each_other_are_refused(flags: TrackingFlags, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        overrides_of(flags)
