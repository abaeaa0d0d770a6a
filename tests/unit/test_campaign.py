"""What becomes of the runs as an executor tells their outcomes; the executor is a script."""

import time
from collections import deque

import pytest

from src.experiments.domain.errors import (
    OutOfMemoryError,
    ProcessDiedError,
    ResourceLimitError,
)
from src.experiments.domain.records import (
    ResourceSample,
    RunKey,
    RunStatus,
    TrainingResult,
)
from src.experiments.durability.journal import read_journal
from src.experiments.execution import JobStarted, Outcome, OutcomeKind
from src.experiments.experiment import Experiment
from src.experiments.monitoring import Limits
from src.experiments.orchestration.campaign import MOST_LOSSES, Campaign
from src.experiments.orchestration.guard import Guard
from src.experiments.orchestration.placing import Placing

BASELINE, VARIANT = RunKey("baseline", 1), RunKey("variant", 1)
ARM = {"algorithm": "PPO", "environment": "CartPole-v1", "training_steps": 64, "seed": 1}


class Script:
    """An executor that starts every job and ends it as it is told to."""

    def __init__(self, *, ends=None, kinds_when_cancelled=None):
        self.ends = ends or {}
        self.kinds_when_cancelled = kinds_when_cancelled or {}
        self.events = deque()
        self.running = {}
        self.log = []
        self.looks = 0

    def submit(self, job, *, first=False):
        self.log.append(("submit", job.name))
        self.running[job.runs[0]] = job
        self.events.append(JobStarted(job, pid=1))
        endings = self.ends.get(job.runs[0])
        if endings:
            self.end(job.runs[0], endings.pop(0))

    def end(self, run, kind, **fields):
        self.events.append(Outcome(self.running.pop(run), kind, **fields))

    def next_event(self, timeout_seconds):
        self.looks += 1
        assert self.looks < 1000, "nothing ends any more"
        return self.events.popleft() if self.events else None

    def stop(self, job, kind, cause):
        self.log.append(("stop", job.name))

    def resize(self, slots):
        self.log.append(("resize", slots))

    def cancel(self):
        self.log.append(("cancel",))
        for run in list(self.running):
            kind = self.kinds_when_cancelled.get(run, OutcomeKind.CANCELLED)
            self.end(run, kind, cause=OutOfMemoryError("out of memory"))


@pytest.fixture
def experiment(tmp_path):
    variant = {"extends": "baseline", "hyperparameters": {"gamma": 0.9}}
    experiment = Experiment(ARM, variant, "scripts end as they are told", output_dir=tmp_path)
    experiment.publish()
    return experiment


def carry_out(experiment, script, *, recover, interrupted=lambda: False, on_tick=lambda: None):
    campaign = Campaign(experiment, print, recover, lambda arm, config: (config, []))
    guard = Guard(Limits(), None, experiment.paths.root, slots=2)
    campaign.carry_out(script, guard, Placing({}), experiment.runs(), interrupted, on_tick)
    return campaign


def submissions(script, run):
    return script.log.count(("submit", run.name))


def test_a_run_whose_machine_is_lost_is_run_again_and_has_not_failed(experiment):
    script = Script(ends={BASELINE: [OutcomeKind.LOST] * 2, VARIANT: []})
    done = []

    def finish():
        for run in list(script.running):
            if run == VARIANT or submissions(script, run) == 3:
                script.end(run, OutcomeKind.FINISHED, value=result(run))
                done.append(run)

    campaign = carry_out(experiment, script, recover=pytest.fail, on_tick=finish)

    assert submissions(script, BASELINE) == 3
    assert campaign.failures == ()
    assert campaign.attempts[BASELINE].failures == 0
    assert experiment.unfinished_runs() == []


def test_a_run_that_loses_its_machine_every_time_has_failed(experiment):
    script = Script(ends={BASELINE: [OutcomeKind.LOST] * 99, VARIANT: [OutcomeKind.LOST] * 99})
    failed = []

    def skip(run):
        failed.append(run)
        return True

    campaign = carry_out(experiment, script, recover=skip)

    assert submissions(script, BASELINE) == MOST_LOSSES + 1
    assert {run.name for run in failed} == {BASELINE.name, VARIANT.name}
    assert all(isinstance(run.error, ProcessDiedError) for run in failed)
    assert {each.status for each in campaign.attempts.values()} == {RunStatus.SKIPPED}


def test_after_an_abort_no_run_begins_again(experiment):
    script = Script(
        ends={BASELINE: [OutcomeKind.SIGNAL]},
        kinds_when_cancelled={VARIANT: OutcomeKind.OUT_OF_MEMORY},  # it was being ended already
    )

    def retry_the_variant(run):
        return run.again() if run.name == VARIANT.name else False

    campaign = carry_out(experiment, script, recover=retry_the_variant)

    assert submissions(script, VARIANT) == 1
    assert len(campaign.failures) == 2
    assert script.log[-1] == ("cancel",)


def test_after_an_interruption_a_lost_run_does_not_begin_again(experiment):
    script = Script(kinds_when_cancelled={VARIANT: OutcomeKind.LOST})

    campaign = carry_out(experiment, script, recover=pytest.fail, interrupted=lambda: True)

    assert submissions(script, VARIANT) == 1
    assert campaign.attempts[VARIANT].status is RunStatus.INTERRUPTED


def test_a_sample_that_comes_late_is_dropped(experiment):
    script = Script()
    late = ResourceSample(time.time() - 3600.0, 10.0, 100.0)
    fresh = ResourceSample(time.time() + 3600.0, 20.0, 200.0)
    campaign = Campaign(experiment, print, pytest.fail, lambda arm, config: (config, []))

    def look():
        if len(campaign._running.watched) == 2:
            campaign.sampled(BASELINE, late)
            campaign.sampled(BASELINE, fresh)
            for run in list(script.running):
                script.end(run, OutcomeKind.FINISHED, value=result(run))

    guard = Guard(Limits(), None, experiment.paths.root, slots=2)
    campaign.carry_out(script, guard, Placing({}), experiment.runs(), lambda: False, look)
    campaign.sampled(BASELINE, fresh)  # and one after its end

    events = read_journal(experiment.paths.run(BASELINE).events)
    assert [event["memory_mb"] for event in events if event["kind"] == "resources"] == [200.0]


def test_how_a_run_ended_stands_in_its_events(experiment):
    script = Script(ends={BASELINE: [OutcomeKind.HANG], VARIANT: [OutcomeKind.SIGNAL]})
    carry_out(experiment, script, recover=lambda run: True)

    ends = {
        run: [each.get("ended_by") for each in read_journal(experiment.paths.run(run).events)]
        for run in (BASELINE, VARIANT)
    }
    assert "hang" in ends[BASELINE]
    assert "signal" in ends[VARIANT]


def result(run):
    return TrainingResult(
        success=True,
        total_timesteps=64,
        training_time=0.1,
        final_mean_reward=1.0,
        final_std_reward=0.0,
        experiment_name="scripted",
        algorithm="PPO",
        environment_name="CartPole-v1",
        seed=run.seed,
        arm=run.arm,
    )


def test_a_full_disk_stops_the_experiment_whatever_the_recovery(experiment):
    script = Script()
    full = ResourceLimitError("the disk is full", remedy="free space")

    def fill():
        if BASELINE in script.running and not script.events:
            script.end(BASELINE, OutcomeKind.LIMIT, cause=full)

    campaign = carry_out(experiment, script, recover=pytest.fail, on_tick=fill)

    assert campaign.failures == ("the disk is full; free space",)
    assert {each.status for each in campaign.attempts.values()} == {RunStatus.INTERRUPTED}
    assert script.log[-1] == ("cancel",)


def test_a_damaged_stream_of_one_run_harms_no_other(experiment, caplog):
    script = Script()

    def damage():
        if len(script.running) == 2 and not script.events:
            with experiment.paths.run(BASELINE).events.open("a") as events:
                events.write("rubbish\n{}\n")
            campaign_steps.append(True)
            for run in list(script.running):
                script.end(run, OutcomeKind.FINISHED, value=result(run))

    campaign_steps = []
    campaign = carry_out(experiment, script, recover=pytest.fail, on_tick=damage)

    assert campaign_steps
    assert len(campaign.progress()) == 2
    assert experiment.unfinished_runs() == []
    assert "its progress cannot be read" in caplog.text
