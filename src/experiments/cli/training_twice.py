"""An A/A experiment: the baseline trained against itself, on seeds that the arms do not share."""

from __future__ import annotations

from ..config import ExperimentConfig
from ..config.loading import parse_experiment
from ..domain.errors import UsageError
from ..domain.records import ExecutionMode, RunStatus
from ..domain.seeds import MAX_SEED, seed_list
from ..domain.verdicts import Verdict
from ..experiment import Experiment
from . import screen
from .calibrating import Resampling, recording_of, resampled, tell
from .displays import warn
from .opening import check_workers, load, open_config, open_experiment
from .running import RunRequest, carry_out_opened

FALSE_ALARMS = (Verdict.VARIANT_BETTER, Verdict.VARIANT_WORSE)
SUFFIX = "_calibration"
"""Of the id, so that the question's own experiment keeps its name."""


def train_twice(request: RunRequest, resampling: Resampling) -> int:
    """Train, tell the verdict on the two equal arms, and resample the runs of both.

    Raises:
        ExperimentsError: for everything that the user can act on.
        Stopped: when a signal has stopped it.
    """
    check_workers(request.max_workers)
    experiment = _opened(request, resampling.seeds)
    code = carry_out_opened(request, experiment)
    if request.mode is ExecutionMode.VALIDATION or _scored(experiment) < 2:
        return code
    recording = recording_of(experiment.paths)
    if experiment.comparison.verdict in FALSE_ALARMS:
        warn("that is a false alarm: both arms are the same configuration")
    screen.human_console(json=request.json).print()
    tell(recording, resampled(recording, effects=resampling.effects), json=request.json)
    return code


def calibration_of(config: ExperimentConfig, seeds: int | None = None) -> ExperimentConfig:
    """The same experiment with the baseline in the variant's place.

    Args:
        config: a checked file.
        seeds: how many each arm gets; else as many as the file names.

    Raises:
        UsageError: for fewer than two.
    """
    if seeds is not None and seeds < 2:
        raise UsageError(
            f"--seeds {seeds}: two arms of one seed do not vary",
            remedy="use at least 2; 10 or more are informative",
        )
    document = config.model_dump(mode="json", by_alias=True, exclude_unset=True)
    sequential = config.comparison.sequential
    if sequential is not None and seeds is not None:
        raise UsageError(
            f"--seeds {seeds}, but comparison.sequential says how many there are",
            remedy=f"use --set comparison.sequential.max_seeds={seeds}",
        )
    planned = config.seed_list
    first = seed_list(planned, planned[0], seeds)[: seeds or len(planned)]
    name = config.experiment_id or "baseline"
    document |= {
        "experiment_id": f"{name}{SUFFIX}",
        "hypothesis": f"A/A calibration: the baseline of {name} does not differ from itself",
        "variant_config": {"extends": "baseline"},
        "seeds": first,
        "early_abort": None,
        # pairs need equal seeds, and equal arms give equal bits with these
        "comparison": {**document.get("comparison", {}), "paired": False},
    }
    modules = config.environment_modules
    return parse_experiment(document, environment_modules=modules, arms_may_be_equal=True)


def _opened(request: RunRequest, seeds: int | None) -> Experiment:
    question = request.question
    if question.experiment_id is not None:
        experiment = open_experiment(question)
        if not experiment.seed_offsets:
            raise UsageError(
                f"{experiment.experiment_id} is not a calibration: its arms share their seeds",
                remedy="continue it with `experiments run --experiment-id`",
            )
        return experiment
    config = calibration_of(load(question), seeds)
    own = config.seed_list
    offset = max(own) - min(own) + 1
    if max(own) + offset > MAX_SEED:
        raise UsageError(
            f"the seeds after {max(own)} are too large",
            remedy=f"choose smaller seeds: at most {MAX_SEED - offset}",
        )
    return open_config(question, config, {"variant": offset})


def _scored(experiment: Experiment) -> int:
    return sum(run.status is RunStatus.COMPLETED for run in experiment.results.values())
