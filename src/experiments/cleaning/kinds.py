"""The kinds of files that can be removed, and which file of an experiment is of which kind."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache


class Kind(StrEnum):
    """What is selected together."""

    MODELS = "models"
    FIGURES = "figures"
    CHECKPOINTS = "checkpoints"
    TRACKERS = "trackers"
    UNSYNCED = "unsynced"
    """Offline runs that no server has: the only copy of what they hold."""
    LOGS = "logs"
    CACHES = "caches"
    """Also temporary files that a kill has left."""
    RECORDS = "records"
    """Results, metrics, journals, configuration, provenance: only together with all else."""


@dataclass(frozen=True)
class Selection:
    """What is to be removed."""

    kinds: frozenset[Kind] = frozenset()
    changed: bool = False
    """Also files that are not as the manifest says."""
    unfinished: bool = False
    """Also the checkpoints from which unfinished runs would go on."""

    @property
    def is_whole(self) -> bool:
        """Whether the experiment itself is to go."""
        return Kind.RECORDS in self.kinds


EVERYTHING = frozenset(Kind) - {Kind.UNSYNCED}
MANIFEST, NOTE, LOCK = "manifest.json", "cleaned.json", ".lock"


def experiment_file(experiment_id: str) -> str:
    """The file that makes a directory an experiment."""
    return f"experiment_{experiment_id}.json"


@dataclass(frozen=True)
class Place:
    """Where a file of an experiment lies."""

    kind: Kind
    is_exact: bool
    """Whether its very name is the program's own: it is then the experiment's, listed or not."""
    run: str | None = None
    """The run to which it belongs, where it does."""
    is_copy: bool = False
    """Whether it is what an attempt left of a model that was given its final name since."""


_ARM = r"[A-Za-z]\w*"
_RUN = rf"(?P<run>{_ARM}_seed\d+)"
_ATTEMPT = rf"runs/{_RUN}/attempt-\d+"
COPIED_MODEL = rf"{_ATTEMPT}/model_final\.zip"
WANDB_RUN = r"wandb/(?:offline-)?run-\d{8}_\d{6}-[^/]+"
WANDB_LINK = r"wandb/(?:latest-run|debug[^/]*\.log)"

_EXACT: Mapping[Kind, tuple[str, ...]] = {
    Kind.MODELS: (
        rf"models/{_ARM}_model_final(?:\.zip|_normalization\.json)",
        COPIED_MODEL,
    ),
    Kind.FIGURES: (r"report/index\.html",),
    Kind.CHECKPOINTS: (
        r"checkpoints/runner_checkpoint_\d+\.pkl",
        rf"checkpoints/{_RUN}/(?:checkpoint_\d+\.pkl|experience-\d+-\d+\.bin)",
    ),
    Kind.TRACKERS: (
        rf"{WANDB_RUN}/(?s:.+)",
        WANDB_LINK,
        r"tensorboard/(?s:.+/)?events\.out\.tfevents\.[^/]+",
    ),
    Kind.LOGS: (
        r"logs/(?:experiment|runner|[^/]+_training)\.log",
        r"logs/text_logs\.json",
        rf"{_ATTEMPT}/training\.log",
        r"tracking/[^/]+\.log",
    ),
    Kind.CACHES: (
        r"(?s:.+/)?\.[^/]+\.\d+-\d+\.tmp",
        r"(?s:.+/)?__pycache__/[^/]+\.pyc",
        rf"{_ATTEMPT}/heartbeat",
    ),
    Kind.RECORDS: (
        r"(?:metadata|results|predictions|memory_usage)\.json",
        r"runner_final_state\.yaml",
        r"manifest\.json|cleaned\.json|elsewhere\.json|\.lock",
        r"config/experiment_config\.json",
        r"metrics/(?:scalar_metrics|single_values|tables)\.json",
        r"artifacts/artifacts_metadata\.json",
        r"report/report\.md",
        rf"runs/{_RUN}/(?:journal\.jsonl|events\.jsonl|result\.json|\.lock)",
        rf"{_ATTEMPT}/(?:normalization|predictions|start)\.json",
        r"provenance/(?:provenance|hardware|experiment_file)\.json",
        r"provenance/(?:(?:command|git_commit|packages)\.txt|(?:uncommitted|untracked)\.diff)",
        r"provenance/models/[^/]+/commit\.json",
        r"tracking/(?:ledger\.json|\.ends|\.[^/]+\.lock)",
    ),
}
"""Names that the program itself gives, and nobody else."""

_LISTED: Mapping[Kind, tuple[str, ...]] = {
    Kind.FIGURES: (r"report/[^/]+\.(?:png|svg|html)",),
    Kind.TRACKERS: (r"(?:wandb|tensorboard|clearml)/(?s:.+)",),
    Kind.RECORDS: (
        r"metrics/[^/]+\.(?:csv|json)",
        r"artifacts/[^/]+\.json",
        r"report/[^/]+\.md",
        r"provenance/[^/]+",
        r"tracking/[^/]+\.json",
    ),
}
"""Names that others give too: the experiment's where the manifest lists them."""

_FOLDERS = re.compile(
    r"|config|logs|runs|checkpoints|models|metrics|artifacts|report|provenance|tracking|wandb"
    rf"|runs/{_ARM}_seed\d+(?:/attempt-\d+)?|checkpoints/{_ARM}_seed\d+|provenance/models(?:/[^/]+)?"
    rf"|{WANDB_RUN}(?:/(?s:.+))?|(?:tensorboard|clearml)(?:/(?s:.+))?|(?s:.+/)?__pycache__"
)


def is_own_folder(path: str) -> bool:
    """Whether the program makes such a folder in an experiment's directory."""
    return _FOLDERS.fullmatch(path) is not None


def place_of(path: str, experiment_id: str) -> Place | None:
    """Where in an experiment's layout a file lies; None for what is no part of it."""
    if path == experiment_file(experiment_id):
        return Place(Kind.RECORDS, is_exact=True)
    for kind, is_exact, pattern in _patterns():
        if found := pattern.fullmatch(path):
            run = found.groupdict().get("run")
            is_copy = kind is Kind.MODELS and path.startswith("runs/")
            return Place(kind, is_exact, run, is_copy)
    return None


@cache
def _patterns() -> list[tuple[Kind, bool, re.Pattern[str]]]:
    return list(_compiled())


def _compiled() -> Iterator[tuple[Kind, bool, re.Pattern[str]]]:
    for is_exact, patterns in ((True, _EXACT), (False, _LISTED)):
        for kind, expressions in patterns.items():
            for expression in expressions:
                yield kind, is_exact, re.compile(expression, re.ASCII)
