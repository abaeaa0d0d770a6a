"""What trackers are told of each run before its records, read from the experiment's files."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from ..domain.errors import StorageError
from ..domain.paths import ExperimentPaths
from ..domain.records import RunKey
from ..domain.redaction import redact, redact_data
from ..domain.seeds import seed_list
from ..durability.files import read_json
from .tracker import CodeState, Connection, RunDescription

ARMS = {"baseline": "variant", "variant": "baseline"}
"""Each arm and the one that it is compared with, in the order in which runs are told."""


@dataclass(frozen=True)
class TellingOptions:
    """What was chosen for one tracker; kept in the ledger, so that a later telling agrees."""

    project: str | None = None
    """None names the project as the experiment."""
    name: str | None = None
    """What tasks and runs are called, before the run's own name; None: as the experiment."""
    tags: tuple[str, ...] = ()
    """Beside the experiment's own."""
    connection: Connection = Connection.ONLINE
    log_dir: Path | None = None
    """TensorBoard's; None lies in the experiment's directory."""

    @property
    def place(self) -> str:
        """Where it is told, as the ledger tells places apart."""
        return self.connection.value if self.log_dir is None else str(self.log_dir)

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        data = {**asdict(self), "tags": list(self.tags), "connection": self.connection.value}
        return {**data, "log_dir": None if self.log_dir is None else str(self.log_dir)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """From what `to_dict` made; what is missing has its default."""
        log_dir = data.get("log_dir")
        return cls(
            project=data.get("project"),
            name=data.get("name"),
            tags=tuple(data.get("tags", ())),
            connection=Connection(data.get("connection", Connection.ONLINE)),
            log_dir=None if log_dir is None else Path(log_dir),
        )


def describe_runs(
    paths: ExperimentPaths, options: TellingOptions, secrets: frozenset[str] = frozenset()
) -> list[RunDescription]:
    """One description for each planned run, a seed's baseline before its variant.

    Raises:
        StorageError: when the experiment's file cannot be read.
    """
    saved = redact_data(read_json(paths.experiment), secrets)
    provenance = _provenance(paths, secrets)
    try:
        config = saved["config"]
        same = seed_list(config["seeds"], config["baseline_config"]["seed"])
        by_arm = saved.get("design", {}).get("seeds") or dict.fromkeys(ARMS, same)
        pairs = zip(*(by_arm[arm] for arm in ARMS), strict=True)
        runs = [RunKey(*run) for seeds in pairs for run in zip(ARMS, seeds, strict=True)]
        described = [_describe(run, saved, provenance, options) for run in runs]
    except (KeyError, TypeError, AttributeError) as error:
        raise StorageError(
            f"it is not a saved experiment ({error!r})",
            where=str(paths.experiment),
            remedy="restore the file from a copy",
        ) from error
    return described


def _describe(
    run: RunKey,
    saved: Mapping[str, Any],
    provenance: _Provenance,
    options: TellingOptions,
) -> RunDescription:
    config = saved["config"]
    arm = config[f"{run.arm}_config"]
    experiment_id = saved["experiment_id"]
    title = options.name or arm.get("experiment_name") or experiment_id
    shared = {name: config[name] for name in ("evaluation", "torch_threads") if name in config}
    own = {name: value for name, value in arm.items() if name != "experiment_name"}
    automatic = (arm["environment"], arm["algorithm"], run.arm, f"seed{run.seed}")
    return RunDescription(
        experiment_id=experiment_id,
        run=run,
        name=f"{title} {run.name}",
        project=options.project or experiment_id,
        uid=_uid(experiment_id, saved["created_at"], run),
        parameters=flat({**own, "seed": run.seed, **shared}),
        differences={
            each["pointer"].strip("/"): (each["baseline"], each["variant"])
            for each in saved["audit"]["differences"]
        },
        tags=tuple(
            dict.fromkeys((*automatic, provenance.host, *config.get("tags", ()), *options.tags))
        ),
        comment=config.get("comment") or "",
        hypothesis=saved.get("hypothesis") or "",
        code=provenance.code,
        packages=provenance.packages,
        host=provenance.host,
        command=provenance.command,
        partner=RunKey(ARMS[run.arm], run.seed),
    )


@dataclass(frozen=True)
class _Provenance:
    code: CodeState
    packages: str
    host: str
    command: str


def _provenance(paths: ExperimentPaths, secrets: frozenset[str]) -> _Provenance:
    """What the folder ``provenance/`` tells, as far as it is there."""
    folder = paths.provenance
    file = folder / "provenance.json"
    told = redact_data(read_json(file), secrets) if file.is_file() else {}
    git = told.get("git") or {}
    command = [str(word) for word in told.get("command") or ()]
    code = CodeState(
        commit=git.get("commit"),
        branch=git.get("branch"),
        repository=git.get("repository"),
        diff=redact(_text(folder / "uncommitted.diff") + _text(folder / "untracked.diff"), secrets),
        entry_point=command[0] if command else "",
    )
    host = str((told.get("hardware") or {}).get("hostname") or "unknown-host")
    return _Provenance(code, _text(folder / "packages.txt"), host, shlex.join(command))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _uid(experiment_id: str, created_at: str, run: RunKey) -> str:
    """An experiment that is made anew under its old id is another one."""
    text = f"{experiment_id}\n{created_at}\n{run.name}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested mapping as one level: ``hyperparameters/learning_rate``; empty ones stay as such."""
    found: dict[str, Any] = {}
    for name, item in value.items():
        if isinstance(item, Mapping) and item:
            found |= flat(item, f"{prefix}{name}/")
        else:
            found[f"{prefix}{name}"] = item
    return found
