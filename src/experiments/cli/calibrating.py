"""What `experiments calibrate` tells of recorded runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..analysis import statistics
from ..analysis.calibration import CHANCE, Calibration, calibrate, caveat, sentence
from ..analysis.evidence import with_failure_worth, worth
from ..analysis.looks import LookPlan, plan_looks
from ..analysis.scores_file import as_results, parse_scores, two_arms
from ..analysis.statistics import MAX_SEEDS, POWER
from ..analysis.text import ABSENT, listed, number, percent, plural
from ..domain.errors import UsageError
from ..domain.paths import ExperimentPaths
from ..domain.records import RunStatus, TrainingResult
from ..domain.verdicts import DecisionRule
from ..durability.saved_experiments import find_experiment_file
from . import stored
from .recorded import recorded
from .scores import finite, given_rule, parse_looks, read_text


@dataclass(frozen=True)
class Resampling:
    """A command line that asks for a calibration by recorded runs."""

    target: str | None
    """An experiment's id or directory."""
    scores: Path | None
    arm: str | None = None
    seeds: int | None = None
    effects: tuple[float, ...] = ()
    rule: Mapping[str, Any] = field(default_factory=dict)
    """What is said of the decision rule; of scores alone."""
    sequential: str | None = None
    floor: float | None = None
    output_dir: Path = Path()


@dataclass(frozen=True)
class Recording:
    """The runs of one configuration, and the rule that is to be calibrated."""

    source: str
    arms: tuple[str, ...]
    """Whose runs they are; both arms of an experiment whose arms are equal."""
    scores: tuple[float, ...]
    without_score: int
    rule: DecisionRule
    plan: LookPlan | None


def tell_calibration(request: Resampling, *, json: bool) -> int:
    """Resample, and print what it says.

    Raises:
        UsageError: when the options or the runs are refused.
        StorageError: when the disk refuses.
    """
    recording = _of_scores(request) if request.scores is not None else _of_experiment(request)
    found = resampled(recording, request.seeds, request.effects)
    tell(recording, found, json=json)
    return 0


def resampled(
    recording: Recording, seeds: int | None = None, effects: Sequence[float] = ()
) -> Calibration:
    """Apply the recording's rule to groups of its runs, as large as an arm was.

    Raises:
        UsageError: for too few runs, or groups of no use.
    """
    rule, plan = recording.rule, recording.plan
    if plan is not None and seeds not in (None, plan.max_seeds):
        raise UsageError(
            f"--seeds {seeds}, but the planned looks end at {plan.max_seeds} seeds per arm",
            remedy="leave --seeds out: the plan says how many",
        )
    fitting = len(recording.scores) // len(recording.arms)
    wanted = [rule.minimum_effect] if rule.minimum_effect else []
    return calibrate(
        recording.scores,
        plan.max_seeds if plan is not None else seeds or max(2, fitting),
        rule.alpha,
        paired=rule.paired,
        plan=plan,
        effects=effects or wanted,
    )


def recording_of(paths: ExperimentPaths, arm: str | None = None) -> Recording:
    """The runs of an experiment's arm, or of both where they are equal.

    Raises:
        UsageError: when there is no such arm.
        StorageError: when the disk refuses.
    """
    experiment = stored.read(paths)
    found = recorded(experiment)
    arms: tuple[str, ...] = (arm or stored.ARMS[0],)
    if arm is None and experiment.experiment.get("seed_offsets"):
        arms = stored.ARMS
    if not set(arms) <= set(found.results):
        raise UsageError(f"there is no arm {arm!a}", remedy=f"name one of {listed(stored.ARMS)}")
    runs = {name: found.results[name] for name in arms}
    return _recording(f"experiment {paths.experiment_id}", runs, found.rule, found.plan)


def warnings_of(recording: Recording, found: Calibration) -> list[str]:
    """What a reader must know besides."""
    told = []
    if recording.without_score:
        told.append(
            f"{plural(recording.without_score, 'run')} without a score, failed or not finished, "
            "cannot be included"
        )
    needed = statistics.seeds_needed(found.alpha, paired=recording.rule.paired)
    if recording.plan is None and found.seeds_per_arm < needed:
        told.append(
            f"with fewer than {needed} seeds per arm the rule can call nothing different, whether "
            "it is or not"
        )
    if not found.sd:
        told.append("the runs do not vary: nothing can be said about chance")
    return told


def tell(recording: Recording, found: Calibration, *, json: bool) -> None:
    """Print it for a program or for a person."""
    if json:
        from .json_output import write_object

        write_object(as_json(recording, found))
    else:
        _print(recording, found)


def as_json(recording: Recording, found: Calibration) -> dict[str, Any]:
    """Everything for a program."""
    return {
        "sentence": sentence(found),
        "caveat": caveat(found),
        **found.to_dict(),
        "source": recording.source,
        "arms": list(recording.arms),
        "paired": recording.rule.paired,
        "plan": None if recording.plan is None else recording.plan.to_dict(),
        "without_score": recording.without_score,
        "warnings": warnings_of(recording, found),
    }


def _of_experiment(request: Resampling) -> Recording:
    name = request.target or ""
    if Path(name).is_dir():
        root = find_experiment_file(Path(name)).resolve().parent
        return recording_of(ExperimentPaths.under(root.parent, root.name), request.arm)
    return recording_of(stored.find(request.output_dir, name), request.arm)


def _of_scores(request: Resampling) -> Recording:
    assert request.scores is not None  # noqa: S101 - asked by who has them
    floor = None if request.floor is None else finite(request.floor)
    source = str(request.scores)
    table = parse_scores(read_text(request.scores), source, failures=floor is not None)
    arms = list(table.scores)
    arm = request.arm or (two_arms(table)[0] if len(arms) == 2 else arms[0])
    if arm not in arms:
        names = listed([ascii(each) for each in arms])
        raise UsageError(f"there is no arm {arm!a}", where=source, remedy=f"name one of {names}")
    floors = {} if floor is None else {arm: floor}
    rule = DecisionRule(**given_rule(request.rule), floors=floors)
    plan = None
    if request.sequential is not None:
        plan = plan_looks(*parse_looks(request.sequential), rule.alpha, paired=rule.paired)
    return _recording(source, {arm: as_results(arm, table.scores[arm])}, rule, plan)


def _recording(
    source: str,
    runs: Mapping[str, Sequence[TrainingResult]],
    rule: DecisionRule,
    plan: LookPlan | None,
) -> Recording:
    rule = with_failure_worth(runs, rule)
    each = [worth(arm, run, rule) for arm, found in runs.items() for run in found]
    scores = tuple(value for value in each if value is not None)
    cancelled = sum(run.status is RunStatus.CANCELLED for found in runs.values() for run in found)
    lacking = len(each) - len(scores) - cancelled
    return Recording(source, tuple(runs), scores, lacking, rule, plan)


def _print(recording: Recording, found: Calibration) -> None:
    from rich.text import Text

    from . import screen
    from .displays import warn
    from .wording import printable

    people = screen.results_console()
    people.print(Text(printable(sentence(found)), style="bold"))
    whose = recording.arms[0] if len(recording.arms) == 1 else "two equal arms"
    drawn = (
        f"A/A: {plural(found.runs, 'run')} of the {whose} ({recording.source}), drawn into two "
        f"groups {found.pairs:,} times"
    )
    people.print(Text(printable(drawn), style="dim"))
    people.print()
    people.print(_table(found))
    people.print(Text(printable(caveat(found)), style="dim"))
    for warning in warnings_of(recording, found):
        warn(f"warning: {warning}")


def _table(found: Calibration) -> Any:
    from . import tables

    table = tables.table("rule and chance", "value", right=("value",))
    rate = percent(round(found.false_positive_rate, 4))
    error = percent(round(found.standard_error, 4))
    rows = {
        "False alarms": f"{rate} ± {error}",
        "False alarms accepted (alpha)": percent(found.alpha),
        "Seeds per arm used, on average": f"{found.expected_seeds:.4g}",
        "Standard deviation over seeds": number(found.sd),
        f"Difference that chance exceeds in {percent(CHANCE)}": number(found.chance_difference),
        f"Difference shown with {percent(POWER)} power": number(found.minimum_detectable),
    }
    for effect in found.needed:
        seeds = effect.seeds_per_arm
        none = f"over {MAX_SEEDS:,}" if found.sd else ABSENT
        told = none if seeds is None else f"{seeds:,}"
        rows[f"Seeds per arm to show {number(effect.effect)}"] = told
    for name, value in rows.items():
        tables.row(table, name, value)
    return table
