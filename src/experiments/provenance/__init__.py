"""What is needed to reproduce an experiment."""

from .collect import collect_provenance, write_provenance
from .git import GitState, git_state
from .hardware import Hardware, hardware
from .packages import package_versions

__all__ = [
    "GitState",
    "Hardware",
    "collect_provenance",
    "git_state",
    "hardware",
    "package_versions",
    "write_provenance",
]
