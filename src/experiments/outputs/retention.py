"""What stays of an experiment here once trackers have it: its storage policy, carried out."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..cleaning import (
    EVERYTHING,
    Selection,
    Tree,
    find_in_experiment,
    remove_what_is_not_kept,
)
from ..domain.life import now
from ..domain.paths import ExperimentPaths
from ..domain.storage_policy import KEEPERS, Storage
from ..durability.files import write_json
from ..tracking.ledger import TrackerEntry, read_ledger
from .uploads import untold

logger = logging.getLogger(__name__)

_EVERYTHING = Selection(EVERYTHING, changed=True, unfinished=True)
_FIGURE = re.compile(r"report/[^/]+\.(?:png|svg)")
_STAYS = re.compile(
    r"experiment_[^/]+\.json|(?:results|elsewhere|manifest|cleaned)\.json|\.lock"
    r"|tracking/.*|provenance/.*|runs/[^/]+/result\.json|wandb/offline-.*|tensorboard/.*"
)
"""What says that the experiment was, what came out, and where the rest is."""


def keep_what_is_kept(paths: ExperimentPaths, storage: Storage, trackers: Sequence[str]) -> None:
    """Remove what the policy does not keep, if everything was uploaded to every tracker.

    The experiment is complete, its manifest is written, and the caller holds its lock.

    Raises:
        StorageError: when the disk refuses.
    """
    if storage is Storage.STANDARD or untold(paths, trackers):
        return
    if storage is Storage.TRACKER_ONLY and KEEPERS.isdisjoint(trackers):
        return  # nobody else has it
    entries = read_ledger(paths.ledger)
    withheld = {
        file for each in entries.values() for run in each.runs.values() for file in run.withheld
    }
    if storage is Storage.TRACKER_ONLY:
        write_json(paths.elsewhere, _pointer(paths, entries))
    with Tree(paths.root) as tree:
        findings = find_in_experiment(tree, paths.experiment_id, _EVERYTHING)
        outcome = remove_what_is_not_kept(
            tree,
            paths.experiment_id,
            findings,
            lambda path: path in withheld or _stays(path, storage),
        )
    for file in sorted(withheld):
        logger.warning("%s is kept, because it was not uploaded: it contains a secret", file)
    for failure in outcome.failed:
        logger.warning("%s is kept, against the storage policy: %s", failure.path, failure.why)


def _stays(path: str, storage: Storage) -> bool:
    if storage is Storage.HYBRID:
        return _FIGURE.fullmatch(path) is None
    return _STAYS.fullmatch(path) is not None


def _pointer(paths: ExperimentPaths, entries: Mapping[str, TrackerEntry]) -> dict[str, Any]:
    return {
        "experiment_id": paths.experiment_id,
        "storage": Storage.TRACKER_ONLY.value,
        "time": now(),
        "trackers": {
            name: {
                "project": entry.options.get("project"),
                "connection": entry.options.get("connection"),
                "runs": {
                    run.name: {"remote_id": each.remote_id, "url": each.url}
                    for run, each in sorted(entry.runs.items())
                },
            }
            for name, entry in entries.items()
        },
    }
