"""What is needed to reproduce an experiment."""

from .collect import Origin, collect_provenance
from .git import GitState, git_state
from .hardware import Hardware, hardware
from .packages import package_versions
from .read import Recorded, RecordedCode, read_provenance
from .write import write_provenance

__all__ = [
    "GitState",
    "Hardware",
    "Origin",
    "Recorded",
    "RecordedCode",
    "collect_provenance",
    "git_state",
    "hardware",
    "package_versions",
    "read_provenance",
    "write_provenance",
]
