"""What a report shows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from ..domain.records import ExperimentStatus, ResourceSample, RunKey, RunStatus, TrainingResult
from ..domain.verdicts import Comparison, DecisionRule, Difference
from .curve_evidence import CurveEvidence, compared, curve_evidence
from .curves import RunCurve, Source
from .dialogues import RunExamples
from .early_abort import AbortLook
from .evidence import failed_through_its_own_fault, with_failure_worth, worth
from .looks import LookPlan


@dataclass(frozen=True)
class ReportContent:
    """Everything that a report tells, as the experiment's other files hold it."""

    experiment_id: str
    hypothesis: str
    comparison: Comparison
    arms: Mapping[str, TrainingResult]
    """Aggregates with their `runs`, the baseline first; what is `unused` is no part of them."""
    rule: DecisionRule = field(default_factory=DecisionRule)
    status: ExperimentStatus = ExperimentStatus.COMPLETED
    comment: str | None = None
    tags: Sequence[str] = ()
    created: datetime | None = None
    finished: datetime | None = None
    differences: Sequence[Difference] = ()
    warnings: Sequence[str] = ()
    notices: Sequence[str] = ()
    plan: LookPlan | None = None
    """Of a group-sequential design."""
    design_changes: Sequence[str] = ()
    """Since the experiment began, in words."""
    abort_looks: Sequence[AbortLook] = ()
    """Looks at the variant in mid-training."""
    unused: Mapping[RunKey, TrainingResult] = field(default_factory=dict)
    """Runs beyond the look that ended the experiment: spent or cancelled, and not analysed."""
    curves: Mapping[Source, Sequence[RunCurve]] = field(default_factory=dict)
    """Of each run that has one, thinned."""
    resources: Mapping[RunKey, Sequence[ResourceSample]] = field(default_factory=dict)
    """Of the runs whose memory is drawn, thinned."""
    dialogues: Sequence[RunExamples] = ()
    """What language models said, by arm."""
    remedies: Mapping[RunKey, str] = field(default_factory=dict)
    """What to do about a failed run, where more is known than its error says."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Facts by name, nested where they are; shown in their order."""
    command: str | None = None
    """The command line that started the experiment."""
    secrets: Collection[str] = field(default=(), repr=False)
    """Values that must not appear anywhere in the report."""
    commands: Mapping[str, str] = field(default_factory=dict)
    """Commands to offer, by what they do; empty for the usual ones."""

    @cached_property
    def runs(self) -> dict[RunKey, TrainingResult]:
        """Every run of every arm."""
        return {
            RunKey(arm, run.seed or 0): run
            for arm, result in self.arms.items()
            for run in result.runs or (result,)
        }

    @cached_property
    def unfinished(self) -> dict[RunKey, TrainingResult]:
        """The runs that did not complete."""
        return {
            key: run
            for key, run in self.runs.items()
            if not run.success or run.status is not RunStatus.COMPLETED
        }

    @cached_property
    def failures(self) -> dict[RunKey, TrainingResult]:
        """Those of them that have an outcome; the others are still to be trained."""
        return {
            key: run for key, run in self.unfinished.items() if run.status is not RunStatus.QUEUED
        }

    @cached_property
    def scores(self) -> dict[str, dict[int, float]]:
        """What each run counts with, by arm and seed: its metric, or a failure's (`imputed`)."""
        scores: dict[str, dict[int, float]] = {arm: {} for arm in self.arms}
        for key, run in self.runs.items():
            value = worth(key.arm, run, self._scoring)
            if value is not None:
                scores[key.arm][key.seed] = value
        return scores

    @cached_property
    def imputed(self) -> frozenset[RunKey]:
        """The runs that failed through their own fault and count nevertheless."""
        metric = self.comparison.metric
        return frozenset(
            key
            for key, run in self.runs.items()
            if key.seed in self.scores[key.arm] and failed_through_its_own_fault(run, metric)
        )

    @cached_property
    def _scoring(self) -> DecisionRule:
        runs = {arm: result.runs or (result,) for arm, result in self.arms.items()}
        return with_failure_worth(runs, replace(self.rule, metric=self.comparison.metric))

    @cached_property
    def lost(self) -> frozenset[RunKey]:
        """The failed and skipped runs: nothing more is to come of them."""
        ended = (RunStatus.FAILED, RunStatus.SKIPPED)
        return frozenset(key for key, run in self.failures.items() if run.status in ended)

    @cached_property
    def curve_evidence(self) -> tuple[CurveEvidence, ...]:
        """What the curves say, by source; arms are compared by the first source that has any."""
        found = []
        for source in Source:
            runs = [curve for curve in self.curves.get(source, ()) if curve.run not in self.unused]
            if any(len(curve.steps) for curve in runs):
                found.append(curve_evidence(source, runs, self.unfinished.keys()))
        return tuple(
            evidence if place else compared(evidence, self.rule, self.lost)
            for place, evidence in enumerate(found)
        )
