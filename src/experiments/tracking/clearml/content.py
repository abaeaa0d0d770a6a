"""What ClearML is told, as it wants to be told: pure functions from records to its requests."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from ...durability.files import json_text
from ...durability.journal import Record
from ..series import metric_values, text_of
from ..tracker import RunDescription, Table

Event = dict[str, Any]

NOT_FINITE = "not_finite"
"""Title of the counters of values that ClearML cannot hold."""
LARGEST_DIFF = 500_000
"""Characters; the SDK itself puts a larger one aside, as an artifact."""
DIFF_ARTIFACT = "uncommitted_changes"
DIFFERENCES = "Difference between the arms"
PROPERTIES = "properties"
"""The section that ClearML lets be edited also after a task has ended."""
PARTNER = "partner_task"
_VERDICT = "Verdict: "
_NO_ITERATION = -(2**31)
"""The iteration under which ClearML keeps values that a task has one of."""
_SUMMARY = "Summary"
_TYPES = {"NoneType": "str", "tuple": "list", "mappingproxy": "dict"}


def uid_tag(uid: str) -> str:
    """The system tag by which a run's task is found again."""
    return f"experiments-run-{uid}"


def task_fields(description: RunDescription) -> dict[str, Any]:
    """What a new task is, apart from what only the server can tell."""
    return {
        "name": description.name,
        "type": "training",
        "tags": list(description.tags),
        "system_tags": [uid_tag(description.uid)],
        "comment": comment(description),
        "script": _script(description),
        "hyperparams": _hyperparams(description),
    }


def comment(description: RunDescription) -> str:
    """The comment of a task that has no verdict yet."""
    hypothesis = f"Hypothesis: {description.hypothesis}" if description.hypothesis else ""
    return "\n\n".join(filter(None, (description.comment.strip(), hypothesis)))


def with_verdict(text: str, verdict: str) -> str:
    """A comment that tells the verdict, in the place of an earlier one."""
    parts = (part.strip("\n") for part in text.split("\n\n"))
    kept = [part for part in parts if part and not part.startswith(_VERDICT)]
    return "\n\n".join((*kept, f"{_VERDICT}{' '.join(verdict.split())}"))


def parameter(section: str, name: str, value: Any) -> dict[str, str]:
    """One entry of a section of hyperparameters."""
    kind = type(value).__name__
    text = json_text(value) if isinstance(value, Mapping | list | tuple) else str(value)
    return {
        "section": section,
        "name": name,
        "value": "" if value is None else text,
        "type": _TYPES.get(kind, kind),
    }


def title_and_series(metric: str) -> tuple[str, str]:
    """Where a metric is drawn: ``rollouts/kl_mean`` is a line of the diagram ``rollouts``."""
    title, _, series = metric.partition("/")
    return title or metric, series or metric


class EventMaker:
    """Turns the records of one task into events; it counts what is not finite."""

    def __init__(
        self, task: str, host: str, not_finite: Mapping[str, int], clean: Callable[[str], str]
    ) -> None:
        """A maker for one task.

        Args:
            task: its id.
            host: where its run was trained.
            not_finite: how often each metric was not finite before.
            clean: takes secrets out of a text.
        """
        self._task = task
        self._host = host
        self._not_finite = Counter(not_finite)
        self._clean = clean
        self._clean_name = lru_cache(1024)(clean)  # the same few names in each record

    def of_records(self, records: Iterable[Record]) -> Iterator[Event]:
        """Scalars by the records' steps, and lines of text, in the records' order."""
        for record in records:
            step, moment = int(record["step"]), _milliseconds(record.get("time"))
            for metric, value in metric_values(record):
                if math.isfinite(value):
                    yield self._scalar(*title_and_series(metric), value, step, moment)
                else:
                    yield from self._uncountable(metric, value, step, moment)
            level, text = text_of(record)
            if text:
                yield self.line(text, level, moment)

    def of_single_values(self, values: Mapping[str, float], step: int) -> Iterator[Event]:
        """Final values; a later value takes an earlier one's place."""
        moment = _milliseconds(None)
        for name, value in values.items():
            if math.isfinite(value):
                yield self._scalar(_SUMMARY, name, value, _NO_ITERATION, moment)
            elif not self._not_finite[name]:  # told of before, when this is told again
                yield from self._uncountable(name, value, step, moment)

    def of_table(self, name: str, table: Table) -> Event:
        """A table among the plots; a later one takes an earlier one's place."""
        event = self._event("plot", _milliseconds(None), metric="tables", variant=name, iter=0)
        return event | {"plot_str": self._clean(_plot(name, table))}

    def of_figure(self, name: str, url: str) -> Event:
        """A picture that lies at a URL."""
        kind, moment = "training_debug_image", _milliseconds(None)
        event = self._event(kind, moment, metric="figures", variant=name, iter=0)
        return event | {"url": url, "key": url.partition("://")[2].partition("/")[2]}

    def line(self, text: str, level: str = "INFO", moment: int | None = None) -> Event:
        """A line of the log."""
        event = self._event("log", moment or _milliseconds(None), level=level.lower())
        return event | {"msg": self._clean(text), "worker": self._host or "unknown"}

    def _scalar(self, title: str, series: str, value: float, step: int, moment: int) -> Event:
        names = {"metric": self._clean_name(title), "variant": self._clean_name(series)}
        event = self._event("training_stats_scalar", moment, iter=step, **names)
        return event | {"value": value}

    def _uncountable(self, metric: str, value: float, step: int, moment: int) -> Iterator[Event]:
        """ClearML would store zero: it is told how often there was no number, and when first."""
        self._not_finite[metric] += 1
        count = self._not_finite[metric]
        if count == 1:
            where = f"any more are counted under {NOT_FINITE}"
            yield self.line(f"{metric} is {value} at step {step}; {where}", "WARNING", moment)
        yield self._scalar(NOT_FINITE, metric, float(count), step, moment)

    def _event(self, kind: str, moment: int, **fields: Any) -> Event:
        return {"type": kind, "task": self._task, "timestamp": moment, **fields}


def counted_before(task: Mapping[str, Any]) -> dict[str, int]:
    """How often each metric was not finite, by what the server knows of a task."""
    latest = (task.get("last_metrics") or {}).values()
    return {
        str(each["variant"]): int(each["value"])
        for variants in latest
        for each in variants.values()
        if each.get("metric") == NOT_FINITE
    }


def _script(description: RunDescription) -> dict[str, Any]:
    code = description.code
    diff = code.diff
    if len(diff) > LARGEST_DIFF:
        names = [line for line in diff.splitlines() if line.startswith("diff --git ")]
        diff = "\n".join((f"# too large to be shown, see the artifact {DIFF_ARTIFACT}", *names))
    known = {
        "repository": code.repository,
        "branch": code.branch,
        "version_num": code.commit,
        "entry_point": code.entry_point,
        "diff": diff,
    }
    requirements = {"requirements": {"pip": description.packages}} if description.packages else {}
    return {
        "binary": "python",
        "working_dir": ".",
        **{name: value for name, value in known.items() if value},
        **requirements,
    }


def _hyperparams(description: RunDescription) -> dict[str, dict[str, dict[str, str]]]:
    entries = _experiment(description)
    for name, value in description.parameters.items():
        section, slash, rest = name.partition("/")
        place = (_section(section), rest) if slash else ("Configuration", name)
        entries.append(parameter(*place, value))
    for name, (baseline, variant) in description.differences.items():
        entries.append(parameter(DIFFERENCES, f"{name} (baseline)", baseline))
        entries.append(parameter(DIFFERENCES, f"{name} (variant)", variant))
    sections: dict[str, dict[str, dict[str, str]]] = {}
    for entry in entries:
        sections.setdefault(entry["section"], {})[entry["name"]] = entry
    return sections


def _experiment(description: RunDescription) -> list[dict[str, str]]:
    run, partner = description.run, description.partner
    told = {
        "experiment_id": description.experiment_id,
        "run": run.name,
        "arm": run.arm,
        "seed": run.seed,
        "partner": partner.name if partner else None,
        "host": description.host,
        "command": description.command,
    }
    known = {name: value for name, value in told.items() if value not in (None, "")}
    return [parameter("Experiment", name, value) for name, value in known.items()]


def _section(name: str) -> str:
    """``environment_kwargs`` as a heading."""
    return name[:1].upper() + name[1:].replace("_", " ")


def _plot(name: str, table: Table) -> str:
    columns = zip(*table.rows, strict=True) if table.rows else [()] * len(table.columns)
    trace = {
        "type": "table",
        "header": {"values": list(table.columns), "align": "left"},
        "cells": {"values": [[_cell(cell) for cell in column] for column in columns]},
    }
    return json.dumps({"data": [trace], "layout": {"title": name}}, ensure_ascii=False)


def _cell(value: Any) -> Any:
    """A cell as JSON has it: what is not finite is a word."""
    if value is None:
        return ""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float) else str(value)


def _milliseconds(moment: Any) -> int:
    is_moment = isinstance(moment, int | float) and math.isfinite(moment)
    return int(1000 * (moment if is_moment else time.time()))
