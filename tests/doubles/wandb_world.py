"""What a Weights & Biases server knows, and how its questions and streams change it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .wandb_artifacts import ArtifactStore, RefusedError, RemoteArtifact

API_KEY = "0123456789abcdef0123456789abcdef01234567"
ENTITY = "research-team"

HISTORY = "wandb-history.jsonl"
SUMMARY = "wandb-summary.json"
EVENTS = "wandb-events.jsonl"
LOG = "output.log"

_RUN_FIELDS = {
    "groupName": "group",
    "jobType": "job_type",
    "displayName": "name",
    "notes": "notes",
    "host": "host",
    "commit": "commit",
    "repo": "repository",
    "program": "program",
}


@dataclass
class RemoteRun:
    """One run, as a person sees it."""

    id: str
    entity: str
    project: str
    group: str | None = None
    job_type: str | None = None
    name: str | None = None
    tags: tuple[str, ...] = ()
    notes: str | None = None
    host: str | None = None
    commit: str | None = None
    repository: str | None = None
    program: str | None = None
    raw_config: dict[str, Any] = field(default_factory=dict)
    streams: dict[str, list[str]] = field(default_factory=dict)
    """Lines by file, as `file_stream` sent them."""
    state: str = "running"
    """``running``, ``finished``, ``failed`` or ``preempted``; ``crashed`` is left to the reader."""
    exit_code: int | None = None
    preempting: bool = False
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def config(self) -> dict[str, Any]:
        """Without what the SDK keeps there for itself."""
        return {
            name: item.get("value") for name, item in self.raw_config.items() if name != "_wandb"
        }

    @property
    def internal(self) -> dict[str, Any]:
        """What the SDK keeps in the configuration for itself."""
        kept: dict[str, Any] = self.raw_config.get("_wandb", {}).get("value", {})
        return kept

    @property
    def x_axes(self) -> dict[str, str]:
        """The metric that each pattern of metrics is drawn over."""
        defined = self.internal.get("m", [])
        return {
            item.get("1") or item["2"]: defined[item["5"] - 1]["1"]
            for item in defined
            if "5" in item
        }

    @property
    def history(self) -> list[dict[str, Any]]:
        """The rows by their `_step`, of which a later one replaces an earlier one.

        NaN and the infinities are what they are.
        """
        rows = [json.loads(line) for line in self.streams.get(HISTORY, ())]
        return list({row["_step"]: row for row in rows}.values())

    @property
    def summary(self) -> dict[str, Any]:
        """The newest values, without what the SDK keeps there for itself."""
        newest = json.loads((self.streams.get(SUMMARY) or ["{}"])[-1])
        return {name: value for name, value in newest.items() if not name.startswith("_")}

    @property
    def log(self) -> str:
        """What its log holds."""
        return "\n".join(self.streams.get(LOG, ()))

    def series(self, metric: str) -> list[tuple[float, float]]:
        """A metric over `global_step`, in the order in which it was logged."""
        return [(row["global_step"], row[metric]) for row in self.history if metric in row]


@dataclass
class Request:
    """One request and its answer."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    status: int = 0
    operation: str = ""
    """The GraphQL operation's name."""

    def holds(self, secret: str) -> bool:
        """Whether a text stands in it, elsewhere than where it identifies the sender."""
        headers = [value for name, value in self.headers.items() if name != "Authorization"]
        parts = [self.path, *headers, self.body.decode("utf-8", "replace")]
        forms = [secret, base64.b64encode(secret.encode()).decode().rstrip("=")]
        return any(form in part for part in parts for form in forms)


@dataclass
class World(ArtifactStore):
    """Everything that a server has been told."""

    runs: dict[str, RemoteRun] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)
    """Questions that this double has no answer to."""

    def artifacts_of(self, run_id: str, kind: str) -> list[RemoteArtifact]:
        """The artifacts of a type that a run has logged."""
        found = self.artifacts.values()
        return [each for each in found if (each.run_id, each.type) == (run_id, kind)]

    def answer(self, operation: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Answer a GraphQL question."""
        name = "ask_" + re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation).lower()
        known: Callable[[dict[str, Any]], dict[str, Any]] | None = getattr(self, name, None)
        if known is None:
            self.surprises.append(operation)
            raise RefusedError(400, f"unknown operation {operation}")
        return known(variables)

    def stream(self, run_id: str, entity: str, project: str, chunk: dict[str, Any]) -> None:
        """Take what a run streams."""
        run = self._run(run_id)
        if (run.entity, run.project) != (entity, project):
            raise RefusedError(404, f"there is no run {entity}/{project}/{run_id}")
        for name, part in (chunk.get("files") or {}).items():
            lines = run.streams.setdefault(name, [])
            if part["offset"] > len(lines):
                raise RefusedError(400, f"{name} has {len(lines)} lines, not {part['offset']}")
            lines[part["offset"] :] = part["content"]
        run.preempting = bool(chunk.get("preempting")) or run.preempting
        run.state, run.exit_code = "running", None
        if chunk.get("complete"):
            run.exit_code = chunk.get("exitcode") or 0
            failed = "preempted" if run.preempting else "failed"
            run.state = failed if run.exit_code else "finished"

    def put(self, path: str, content: bytes) -> None:
        """Take a file at an address that was given out."""
        if path not in self.uploads:
            raise RefusedError(403, "nobody was told to put a file here")
        kind, owner, name = self.uploads[path]
        if kind == "run":
            self._run(owner).files[name] = content
        elif kind == "manifest":
            self.artifact(owner).manifest = json.loads(content)
        else:
            self.artifact(owner).files[name] = content

    def ask_viewer(self, _: dict[str, Any]) -> dict[str, Any]:
        teams = {"edges": [{"node": {"name": ENTITY}}]}
        user = {"id": "1", "entity": ENTITY, "username": "someone", "email": "", "flags": "{}"}
        return {"viewer": {**user, "teams": teams}}

    def ask_server_features_query(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"serverInfo": {"features": []}}

    def ask_run_resume_status(self, asked: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get(asked["name"])
        project = _project(asked["entity"] or ENTITY, asked["project"])
        if run is None or (run.entity, run.project) != (
            asked["entity"] or ENTITY,
            asked["project"],
        ):
            return {"model": {**project, "bucket": None}}
        lines = {name: run.streams.get(name, []) for name in (HISTORY, SUMMARY, EVENTS, LOG)}
        bucket = {
            "id": run.id,
            "name": run.id,
            "displayName": run.name,
            "config": json.dumps(run.raw_config),
            "summaryMetrics": (lines[SUMMARY] or ["{}"])[-1],
            "historyLineCount": len(lines[HISTORY]),
            "historyTail": json.dumps(lines[HISTORY][-1:]),
            "eventsLineCount": len(lines[EVENTS]),
            "eventsTail": json.dumps(lines[EVENTS][-1:]),
            "logLineCount": len(lines[LOG]),
            "tags": list(run.tags),
            "notes": run.notes,
            "wandbConfig": json.dumps({"t": run.internal.get("t", {})}),
        }
        return {"model": {**project, "bucket": bucket}}

    def ask_run_rows(self, asked: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get(asked["run"])
        if run is None or (run.entity, run.project) != (asked["entity"], asked["project"]):
            return {"project": {"run": None}}
        return {"project": {"run": {"historyLineCount": len(run.streams.get(HISTORY, ()))}}}

    def ask_upsert_bucket(self, asked: dict[str, Any]) -> dict[str, Any]:
        entity, project, name = asked["entity"] or ENTITY, asked["project"], asked["name"]
        is_new = name not in self.runs
        run = self.runs.setdefault(name, RemoteRun(name, entity, project))
        if (run.entity, run.project) != (entity, project):
            raise RefusedError(400, f"run {run.id} is one of {run.entity}/{run.project}")
        for field_name, attribute in _RUN_FIELDS.items():
            if asked.get(field_name) is not None:
                setattr(run, attribute, asked[field_name])
        if asked.get("tags") is not None:
            run.tags = tuple(asked["tags"])
        if asked.get("config") is not None:
            run.raw_config = json.loads(asked["config"])
        bucket = {
            "id": run.id,
            "name": run.id,
            "displayName": run.name,
            "description": None,
            "config": json.dumps(run.raw_config),
            "sweepName": None,
            "project": _project(entity, project),
            "historyLineCount": len(run.streams.get(HISTORY, ())),
        }
        return {"upsertBucket": {"bucket": bucket, "inserted": is_new}}

    def ask_create_run_files(self, asked: dict[str, Any]) -> dict[str, Any]:
        run = self._run(asked["run"])
        files = [
            {"name": name, "uploadUrl": self.address("run", run.id, name)}
            for name in asked["files"]
        ]
        return {"createRunFiles": {"runID": run.id, "uploadHeaders": [], "files": files}}

    def _run(self, run_id: str) -> RemoteRun:
        if run_id not in self.runs:
            raise RefusedError(404, f"there is no run {run_id}")
        return self.runs[run_id]


def _project(entity: str, project: str) -> dict[str, Any]:
    return {"id": "1", "name": project, "entity": {"id": "1", "name": entity}}
