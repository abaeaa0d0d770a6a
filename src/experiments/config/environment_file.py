"""Settings of the trackers: from the environment, and from `.env` where the environment is silent.

The names are those that ClearML and Weights & Biases use themselves, and `USE_CLEARML`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..domain.errors import UsageError
from ..domain.redaction import keep_secret, secrets_of

DEFAULT_FILE = Path(".env")
logger = logging.getLogger(__name__)

PREFIXES = ("CLEARML_", "WANDB_", "USE_CLEARML")
"""Only variables that begin so are read: the rest of a `.env` belongs to other programs."""

TRUE_WORDS = frozenset({"true", "1", "yes", "on"})
FALSE_WORDS = frozenset({"false", "0", "no", "off"})
_WANDB_MODES = {
    "online": "online",
    "run": "online",
    "shared": "online",
    "offline": "offline",
    "dryrun": "offline",
    "disabled": "disabled",
}
"""What Weights & Biases takes, and what each means here."""


@dataclass(frozen=True)
class TrackerVariables:
    """What the environment says of trackers."""

    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Every variable of `PREFIXES` that is not empty, keys and passwords among them."""
    use_clearml: bool | None = None
    """`USE_CLEARML`; None where nothing is said."""
    wandb_mode: str | None = None
    """`WANDB_MODE` as online, offline or disabled; None where nothing is said."""

    @property
    def secrets(self) -> set[str]:
        """The keys and passwords among them."""
        return secrets_of(self.values)

    def keep_secret(self) -> None:
        """Have whatever this process writes from now on leave its keys and passwords out."""
        keep_secret(self.secrets)


def tracker_variables(env_file: Path | None = None) -> TrackerVariables:
    """Read them; what the environment says counts more than what the file says.

    Args:
        env_file: None reads `.env` in the working directory, if there is one.

    Raises:
        UsageError: when the named file is not there, a line is none, or a value makes no sense.
    """
    values = {
        name: value
        for name, value in {**_read(env_file), **os.environ}.items()
        if name.startswith(PREFIXES) and value
    }
    return TrackerVariables(values, _use_clearml(values), _wandb_mode(values))


def _read(env_file: Path | None) -> dict[str, str]:
    path = env_file or DEFAULT_FILE
    if env_file is None and not path.is_file():
        return {}
    from dotenv.parser import parse_stream

    try:
        with path.open(encoding="utf-8-sig") as file:
            bindings = list(parse_stream(file))
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8" if isinstance(error, ValueError) else error.strerror
        raise UsageError(
            f"the environment file cannot be read: {reason}",
            where=str(path),
            remedy="name a file of NAME=VALUE lines with --env-file",
        ) from error
    for binding in bindings:
        if not binding.error:
            continue
        # the line itself is not shown: it may hold a key
        if env_file is None:  # it may be another program's, with rules of its own
            line = binding.original.line
            logger.warning("%s, line %d is not NAME=VALUE and is ignored", path, line)
        else:
            raise UsageError("it is not NAME=VALUE", where=f"{path}, line {binding.original.line}")
    return {each.key: each.value or "" for each in bindings if each.key is not None}


def _use_clearml(values: Mapping[str, str]) -> bool | None:
    value = values.get("USE_CLEARML")
    if value is None:
        return None
    if (word := value.strip().lower()) in TRUE_WORDS | FALSE_WORDS:
        return word in TRUE_WORDS
    raise UsageError(f"USE_CLEARML is {value[:40]!a}", remedy="use true or false")


def _wandb_mode(values: Mapping[str, str]) -> str | None:
    value = values.get("WANDB_MODE")
    if value is None:
        return None
    if mode := _WANDB_MODES.get(value.strip().lower()):
        return mode
    raise UsageError(f"WANDB_MODE is {value[:40]!a}", remedy="use online, offline or disabled")
