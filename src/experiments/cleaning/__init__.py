"""Removing what an experiment or a workspace no longer needs, without following a link."""

from .candidates import find_in_experiment
from .findings import Candidate, Findings, Kept, Tally
from .kinds import EVERYTHING, Kind, Selection
from .note import cleaned_files, has_model
from .removal import (
    Failure,
    Outcome,
    remove_from_experiment,
    remove_from_workspace,
    remove_what_is_not_kept,
)
from .tree import Tree
from .workspace import WORKSPACE_KINDS, check_workspace, find_in_workspace

__all__ = [
    "EVERYTHING",
    "WORKSPACE_KINDS",
    "Candidate",
    "Failure",
    "Findings",
    "Kept",
    "Kind",
    "Outcome",
    "Selection",
    "Tally",
    "Tree",
    "check_workspace",
    "cleaned_files",
    "find_in_experiment",
    "find_in_workspace",
    "has_model",
    "remove_from_experiment",
    "remove_from_workspace",
    "remove_what_is_not_kept",
]
