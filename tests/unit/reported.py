"""What a report is given, of experiments that were not trained."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from src.experiments.analysis import ReportContent, aggregate, compare
from src.experiments.analysis.curves import Source, run_curves
from src.experiments.analysis.dialogues import Example, RunExamples
from src.experiments.analysis.looks import plan_looks
from src.experiments.analysis.report import write_bitmaps, write_page
from src.experiments.analysis.sequential_verdict import compare_in_looks
from src.experiments.domain.records import ResourceSample, RunKey, RunStatus, TrainingResult
from src.experiments.domain.verdicts import DecisionRule, Difference

HOSTILE = '</script><script>alert(1)</script><img src=x onerror="alert(2)">'
SHA = "9f86d081884c7d659a2feaa0c55ad015"


def result(arm, seed, value, *, error=None):
    return TrainingResult(
        success=error is None,
        total_timesteps=10_240,
        training_time=4.0,
        final_mean_reward=None if error else value,
        final_std_reward=None if error else 9.5,
        experiment_name="test",
        algorithm="PPO",
        environment_name="CartPole-v1",
        seed=seed,
        error=error,
        arm=arm,
        status=RunStatus.FAILED if error else RunStatus.COMPLETED,
        final_return=None if error else value,
        auc=None if error else value,
        parameters_sha256=None if error else SHA,
    )


def journal(value):
    return [
        record
        for step in (2048, 4096, 10_240)
        for record in (
            {"kind": "metrics", "step": step, "metrics": {"rollouts/returns_mean": value / 2}},
            {"kind": "evaluation", "step": step, "metrics": {"eval/return_mean": value + step}},
        )
    ]


def curves(journals):
    return {
        source: [run_curves(run, records)[source] for run, records in journals.items()]
        for source in Source
    }


def content(values, rule=None, **changes):
    rule = rule or DecisionRule()
    runs = {
        arm: [result(arm, seed, value) for seed, value in enumerate(scores, start=42)]
        for arm, scores in values.items()
    }
    error = changes.pop("error", None)
    if error:
        runs["variant"][-1] = result("variant", runs["variant"][-1].seed, 0.0, error=error)
    known = {
        "experiment_id": "learning_rate",
        "hypothesis": "A higher learning rate learns faster",
        "comparison": compare(runs, rule),
        "arms": {arm: aggregate(arm, each) for arm, each in runs.items()},
        "rule": rule,
        "created": datetime(2025, 11, 21, 7, 30, tzinfo=UTC),
        "differences": (Difference("/hyperparameters/learning_rate", 3e-4, 1e-3, True, False),),
        "notices": ("CartPole-v0 runs as CartPole-v1.",),
        "curves": curves(
            {
                RunKey(arm, run.seed): journal(run.final_return or 0.0)
                for arm, each in runs.items()
                for run in each
            }
        ),
        "resources": {
            RunKey("baseline", 42): [ResourceSample(1e9 + s, 99.0, 300.0 + s) for s in range(4)]
        },
        "provenance": {"git": {"commit": "eb2a7c6", "dirty": True}, "python": "3.11"},
        "command": "python -m src.experiments.runner --config exp.json",
    }
    return ReportContent(**{**known, **changes})


FEW_FIGURES: dict[str, dict[RunKey, list[object]]] = {"curves": {}, "resources": {}}


def write_report(paths, report, policy):
    write_bitmaps(paths, report, policy)
    return write_page(paths, report, policy)


SINGLE = {"baseline": [180.1], "variant": [212.3]}
FIVE = {"baseline": [1.0, 2, 3, 4, 5], "variant": [11.0, 12, 13, 14, 15.5]}


def hostile_content(**changes):
    """A report all of whose texts would rather be something else."""
    known = dict(
        hypothesis=f"{HOSTILE} =HYPERLINK(1) \u202eright to left",
        comment=HOSTILE,
        tags=(HOSTILE,),
        warnings=(HOSTILE,),
        notices=(HOSTILE,),
        differences=(Difference(f"/{HOSTILE}", HOSTILE, {HOSTILE: [HOSTILE]}),),
        provenance={HOSTILE: HOSTILE, "nested": {HOSTILE: HOSTILE * 9}},
        command=HOSTILE,
        error=HOSTILE,
        remedies={RunKey("variant", 46): HOSTILE},
        dialogues=(RunExamples(RunKey("baseline", 42), (Example(0, f"1\u202e\n\n{HOSTILE}"),)),),
        **FEW_FIGURES,
    )
    return content(FIVE, **{**known, **changes})


def stopped_early(**changes):
    """A group-sequential design that ended at 6 of 10 seeds per arm, with runs that went further.

    Of the seventh seed the baseline's run was complete and the variant's was cancelled.
    """
    plan = plan_looks(4, 2, 10)
    scores = {
        "baseline": [100.0, 110, 95, 105, 98, 102, 120],
        "variant": [210.0, 190, 205, 195, 202, 199, 0],
    }
    rule = changes.pop("rule", DecisionRule())
    runs = {
        arm: [result(arm, seed, value) for seed, value in enumerate(values)]
        for arm, values in scores.items()
    }
    cancelled = replace(
        runs["variant"][6],
        success=False,
        status=RunStatus.CANCELLED,
        final_return=None,
        total_timesteps=4096,
    )
    analysed = {arm: each[:6] for arm, each in runs.items()}
    unused = {RunKey("baseline", 6): runs["baseline"][6], RunKey("variant", 6): cancelled}
    shown = {RunKey(arm, run.seed): journal(run.final_return) for arm in runs for run in runs[arm]}
    known = {
        "comparison": compare_in_looks(analysed, rule, plan),
        "arms": {arm: aggregate(arm, each) for arm, each in analysed.items()},
        "rule": rule,
        "plan": plan,
        "unused": unused,
        "curves": curves(shown),
    }
    return content(FIVE, **{**known, **changes})
