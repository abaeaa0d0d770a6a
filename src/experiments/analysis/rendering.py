"""The templates' environment: how values become text, and nothing in them is trusted."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from ..domain.records import TrainingResult
from ..domain.redaction import redact
from ..durability.files import json_text
from . import curve_words, outcomes, text

TEMPLATES = Path(__file__).parent / "templates"

MARKDOWN_SIGNS = r"\`*_{}[]#|~!"


def embedded_json(value: Any) -> Markup:
    """JSON that stands safely inside a script element: no ``<``, ``>``, ``&`` survives."""
    plain = json_text(value)
    for sign in "<>&\u2028\u2029":
        plain = plain.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(plain)  # noqa: S704 - every sign that could end the element is escaped


@cache
def environment(finalize: Callable[[Context, Any], Any]) -> Environment:
    """An environment that escapes, and passes every value through `finalize`.

    There is one for each of those, so that a process compiles a template once.
    """
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "number": text.number,
        "mean_sd": text.mean_with_deviation,
        "interval": text.interval_text,
        "p_value": text.p_value_text,
        "percent": text.percent,
        "duration": text.duration,
        "plural": text.plural,
        "metric": text.metric_label,
        "value": _value,
        "setting": _setting,
        "data_uri": _data_uri,
        "status": _status,
        "indented": _indented,
        "literal": Markup,
        "thousands": "{:,}".format,
        "steps_per_second": _steps_per_second,
        "milestone": curve_words.milestone_label,
        "median": curve_words.median_text,
        "reached": curve_words.reached_text,
        "ratio": curve_words.ratio_text,
    }
    return found


@pass_context
def shown(context: Context, value: Any) -> Any:
    """Plain text without secrets, its hidden signs made visible; markup of our own untouched."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return text.visible(redact(value, context["content"].secrets))


@pass_context
def as_markdown(context: Context, value: Any) -> Any:
    """The same on one line and with every sign that Markdown or HTML would obey taken literally."""
    told = shown(context, value)
    if not isinstance(told, str) or isinstance(told, Markup):
        return told
    escaped = html.escape(" ".join(told.split()), quote=False)
    literal = "".join(f"\\{sign}" if sign in MARKDOWN_SIGNS else sign for sign in escaped)
    return Markup(literal)  # noqa: S704 - escaped above


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json_text(value)


def _setting(pointer: str) -> str:
    """A JSON pointer as a person writes it, such as ``hyperparameters.learning_rate``."""
    parts = pointer.strip("/").split("/")
    return ".".join(part.replace("~1", "/").replace("~0", "~") for part in parts)


def _data_uri(svg: bytes) -> Markup:
    encoded = base64.b64encode(svg).decode()
    return Markup(f"data:image/svg+xml;base64,{encoded}")  # noqa: S704 - base64 alone


def _status(run: TrainingResult) -> str:
    return outcomes.status_of(run).value


def _steps_per_second(run: TrainingResult) -> str:
    speed = run.total_timesteps / run.training_time if run.training_time > 0 else None
    return text.ABSENT if speed is None else f"{speed:,.0f}"


def _indented(command: str) -> Markup:
    """A command as an indented block, in which Markdown leaves every sign alone."""
    lines = text.visible(command).splitlines()
    return Markup("\n".join(f"    {line}" for line in lines))  # noqa: S704 - Markdown, not HTML


def inside_script(code: str) -> Markup:
    """A library's code, which cannot end the script element that it stands in."""
    return Markup(code.replace("</script", "<\\/script"))  # noqa: S704 - the library's own code
