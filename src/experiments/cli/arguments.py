"""What stands on a command line, turned into overrides of the experiment file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..domain.errors import UsageError

OF_BOTH_ARMS: Mapping[str, str] = {"run_name": "experiment_name", "device": "device"}
"""What an option sets of both arms."""


def dashed(option: str) -> str:
    """An option's name with dashes: ``wandb_only`` is ``wandb-only``."""
    return option.replace("_", "-")


def file_and_overrides(
    words: Sequence[str], config: Path | None, *, file_expected: bool = True
) -> tuple[Path | None, list[str]]:
    """The experiment file and the bare ``PATH=VALUE`` overrides among positional words.

    Raises:
        UsageError: when a word is neither, or the file is named twice.
    """
    overrides = list(words)
    is_named = config is None and overrides and (file_expected or not _is_override(overrides[0]))
    if is_named:
        config = Path(overrides.pop(0))
    for word in overrides:
        if not _is_override(word):
            raise UsageError(
                f"unexpected argument {word!a}",
                remedy="an override is PATH=VALUE, such as baseline_config.seed=43",
            )
    return config, overrides


def command_line(command: Sequence[str], arguments: Sequence[str]) -> tuple[str, ...]:
    """The command as it was typed: a module by its name, not by its file."""
    is_subcommand = list(arguments[:1]) == list(command[-1:])
    return (*command, *arguments[is_subcommand:])


def check_overrides(overrides: Sequence[str]) -> None:
    """Refuse a ``--set`` without a path or an equals sign.

    Raises:
        UsageError: naming the form that is allowed.
    """
    for override in overrides:
        if not _is_override(override):
            raise UsageError(
                f"--set {override!a} is not PATH=VALUE",
                remedy="write it as --set baseline_config.training_steps=20000",
            )


def chosen_recovery(strategy: str | None, max_retries: int | None) -> dict[str, object]:
    """What the flags say of recovery; a number of retries alone implies retrying."""
    if max_retries is None:
        return {} if strategy is None else {"strategy": strategy}
    return {"strategy": strategy or "retry", "max_retries": max_retries}


def described(
    *,
    comment: str | None = None,
    run_name: str | None = None,
    recovery: Mapping[str, object] | None = None,
    device: str | None = None,
) -> list[str]:
    """The overrides that an experiment's flags stand for, so that they are checked and recorded."""
    values: dict[str, object] = {}
    if comment is not None:
        values["comment"] = comment
    for name, value in (recovery or {}).items():
        values[f"recovery.{name}"] = value
    for arm in ("baseline_config", "variant_config"):
        for name, value in {"run_name": run_name, "device": device}.items():
            if value is not None:
                values[f"{arm}.{OF_BOTH_ARMS[name]}"] = value
    return [override(path, value) for path, value in values.items()]


def override(path: str, value: object) -> str:
    """One override in the form that ``--set`` takes."""
    return f"{path}={json.dumps(value, ensure_ascii=False)}"


def _is_override(word: str) -> bool:
    path, equals, _ = word.partition("=")
    return bool(path and equals)
