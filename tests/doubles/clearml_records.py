"""What a double of a ClearML server is asked, answers and remembers."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

SINGLE_VALUES = -(2**31)
"""The iteration of what a task has one value of."""


class RefusedError(Exception):
    """A request that is answered with a code of HTTP and a subcode of ClearML."""

    def __init__(self, code: int, subcode: int, message: str) -> None:
        super().__init__(message)
        self.code, self.subcode, self.message = code, subcode, message


@dataclass(frozen=True)
class Request:
    """A request as it came, and how it was answered."""

    method: str
    path: str
    headers: Mapping[str, str]
    """By lower-case names."""
    body: bytes
    time: float
    status: int = 0

    @property
    def action(self) -> str:
        """Such as ``tasks.create``; the bare path of what is no call of the API."""
        return re.sub(r"^/v[0-9.]+/", "", self.path.partition("?")[0]).strip("/")

    def to_json(self) -> str:
        body = base64.b64encode(self.body).decode()
        return json.dumps({**asdict(self), "headers": dict(self.headers), "body": body})

    @classmethod
    def from_json(cls, text: str) -> Self:
        data = json.loads(text)
        return cls(**{**data, "body": base64.b64decode(data["body"])})


@dataclass(frozen=True)
class Answer:
    status: int
    content_type: str
    body: bytes


@dataclass
class Task:
    """A task as a test looks at it."""

    id: str
    fields: dict[str, Any]
    """As the API tells them."""
    points: dict[tuple[str, str, int], float] = field(default_factory=dict)
    plots: dict[tuple[str, str, int], dict[str, Any]] = field(default_factory=dict)
    images: dict[tuple[str, str, int], str] = field(default_factory=dict)
    lines: list[dict[str, Any]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.fields["name"]

    @property
    def status(self) -> str:
        return self.fields["status"]

    @property
    def status_reason(self) -> str:
        return self.fields["status_reason"]

    @property
    def status_message(self) -> str:
        return self.fields["status_message"]

    @property
    def tags(self) -> list[str]:
        return self.fields["tags"]

    @property
    def comment(self) -> str:
        return self.fields["comment"]

    @property
    def parent(self) -> str | None:
        return self.fields["parent"]

    @property
    def script(self) -> dict[str, Any]:
        return self.fields["script"]

    @property
    def hyperparams(self) -> dict[str, dict[str, str]]:
        """Values by section and name."""
        return {
            section: {name: item["value"] for name, item in items.items()}
            for section, items in self.fields["hyperparams"].items()
        }

    @property
    def scalars(self) -> dict[str, list[tuple[int, float]]]:
        """Points by ``title/series``, in the order of iterations."""
        found: dict[str, list[tuple[int, float]]] = {}
        for (metric, variant, iteration), value in sorted(self.points.items()):
            if iteration != SINGLE_VALUES:
                found.setdefault(f"{metric}/{variant}", []).append((iteration, value))
        return found

    @property
    def single_values(self) -> dict[str, float]:
        return {
            variant: value
            for (metric, variant, iteration), value in self.points.items()
            if iteration == SINGLE_VALUES and metric == "Summary"
        }

    @property
    def log(self) -> list[str]:
        return [line["msg"] for line in self.lines]

    @property
    def artifacts(self) -> dict[str, dict[str, Any]]:
        return {each["key"]: each for each in self.fields["execution"]["artifacts"]}

    @property
    def models(self) -> dict[str, str]:
        """Ids of output models by the names that the task gives them."""
        return {each["name"]: each["model"] for each in self.fields["models"]["output"]}
