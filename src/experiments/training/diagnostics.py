"""Further measurements of a run while it trains: which there are, and when they are made."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol

from ..domain.costs import diagnostics_cost
from ..domain.errors import UsageError

DIAGNOSTICS: Mapping[str, str] = {"curvature": ".sb3.curvature:Curvature"}
"""Name to ``module:Class``, relative to this package; imported when asked for."""
EVERY_EVALUATIONS = 2
"""Measured with the first of so many periodic evaluations, and with the final one."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Measurement:
    """What was measured; a metric that could not be is absent."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    why_not: str | None = None
    """Why there is nothing; None where there is something."""


class Diagnostic(Protocol):
    """Measures something of what is trained, and leaves training as it was.

    No parameter, gradient, mode or generator of training is another one afterwards.
    """

    def measure(self) -> Measurement:
        """Measure now, at a boundary of training or after its end; what fails is told as data."""

    def capture(self) -> Any:
        """What it keeps from one measurement to the next, as plain data."""

    def restore(self, state: Any) -> None:
        """Take over what `capture` told."""


def diagnostic_class(name: str) -> Callable[..., Diagnostic]:
    """The class of the diagnostic with this name.

    Raises:
        UsageError: when there is none.
    """
    if name not in DIAGNOSTICS:
        remedy = f"use one of {', '.join(DIAGNOSTICS)}"
        raise UsageError(f"unknown diagnostic {name!a}", remedy=remedy)
    module, _, attribute = DIAGNOSTICS[name].partition(":")
    found: Callable[..., Diagnostic] = getattr(import_module(module, __package__), attribute)
    return found


class Measuring:
    """Makes a run's further measurements where they are due, and writes them into its journal.

    Args:
        diagnostics: what is measured, by name.
    """

    def __init__(self, diagnostics: Mapping[str, Diagnostic]) -> None:
        self._diagnostics = diagnostics
        self.seconds = 0.0
        """Seconds in measurements so far."""

    def after_evaluation(
        self, step: int, number: int, append: Callable[..., None], *, final: bool
    ) -> None:
        """Measure if the evaluation that was just made, the `number`-th, is one of those."""
        if not final and (number - 1) % EVERY_EVALUATIONS:
            return
        for name, diagnostic in self._diagnostics.items():
            started = time.perf_counter()
            measured = diagnostic.measure()
            seconds = time.perf_counter() - started
            if measured.why_not is None:
                append(
                    "diagnostics", step, metrics=dict(measured.metrics), diagnostics_time=seconds
                )
            else:
                text = f"not measured: {measured.why_not}"
                append("text", step, name=name, text=text, diagnostics_time=seconds)
            self.seconds += time.perf_counter() - started

    def told_time(self) -> dict[str, float]:
        """The seconds so far, as the field of a record; nothing where nothing is measured."""
        return {"diagnostics_time": self.seconds} if self._diagnostics else {}

    def log_cost(self, training_time: float) -> None:
        """Say what the measurements of the whole run took, where there were any."""
        sentence = diagnostics_cost(self.seconds, training_time)
        if sentence is not None:
            logger.info("%s", sentence)

    def capture(self) -> dict[str, Any]:
        """What the diagnostics keep, and the seconds so far, as plain data."""
        kept = {name: diagnostic.capture() for name, diagnostic in self._diagnostics.items()}
        return {"kept": kept, "diagnostics_time": self.seconds}

    def go_on(self, state: Mapping[str, Any]) -> None:
        """Go on from what `capture` told; a diagnostic of which it told nothing starts anew."""
        self.seconds = state.get("diagnostics_time", 0.0)
        for name, kept in state.get("kept", {}).items():
            if name in self._diagnostics:
                self._diagnostics[name].restore(kept)
