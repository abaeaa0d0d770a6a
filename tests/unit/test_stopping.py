"""Looks are taken once each, in the planned order of the seeds, and end what is not needed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from src.experiments.analysis.sequential import Decision, LookTaken
from src.experiments.domain.errors import UsageError
from src.experiments.domain.records import RunKey, RunStatus
from src.experiments.domain.verdicts import Floor, Verdict
from src.experiments.durability.journal import JournalWriter, read_journal
from src.experiments.experiment import Experiment
from src.experiments.orchestration.stopping import StoppingRules
from src.experiments.outputs.derived import results_document

ARM = {"algorithm": "PPO", "environment": "CartPole-v1", "training_steps": 20_480}
LOOKS = {"sequential": {"first_look": 4, "batch": 2, "max_seeds": 8}}


def new_experiment(folder: Path, **more: Any) -> Experiment:
    variant = {"extends": "baseline", "hyperparameters": {"gamma": 0.9}}
    settings = {"experiment_id": "looked_at", "evaluation": {"frequency": 2048}, **more}
    experiment = Experiment(ARM, variant, "x", output_dir=folder, **settings)
    experiment.save()
    return experiment


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    return new_experiment(tmp_path, comparison=LOOKS)


def rules_of(experiment: Experiment) -> StoppingRules:
    return StoppingRules(experiment, lambda: 0)


def complete(experiment: Experiment, run: RunKey, score: float) -> None:
    result = replace(
        experiment.result_of(run),
        success=True,
        status=RunStatus.COMPLETED,
        final_return=score,
        error=None,
    )
    experiment.add_result(run.arm, result)
    experiment.save_result(run)


def complete_seeds(experiment: Experiment, seeds: range, *, better_by: float) -> None:
    for seed in seeds:
        noise = (seed * 7) % 5
        complete(experiment, RunKey("baseline", seed), 100.0 + noise)
        complete(experiment, RunKey("variant", seed), 100.0 + better_by + (seed * 3) % 5)


def fail(experiment: Experiment, run: RunKey, status: RunStatus) -> None:
    result = replace(experiment.failed_result(run, "it exploded", 100), fault="run", status=status)
    experiment.add_result(run.arm, result)
    experiment.save_result(run)


def take_floors(experiment: Experiment, floor: float = 20.0) -> None:
    experiment.take_floors(dict.fromkeys(("baseline", "variant"), Floor(floor, 1.0, 100, 2000)))
    experiment.save()


def evaluate(experiment: Experiment, run: RunKey, step: int, mean: float) -> None:
    with JournalWriter(experiment.paths.run(run).journal) as journal:
        journal.append("evaluation", step, metrics={"eval/return_mean": mean})


def decisions(experiment: Experiment) -> list[tuple[int, Decision]]:
    return [(look.n_per_arm, look.decision) for look in experiment.looks.planned]


def test_no_look_is_taken_before_both_arms_have_all_of_its_seeds(experiment: Experiment) -> None:
    rules = rules_of(experiment)
    complete_seeds(experiment, range(3), better_by=50.0)
    complete(experiment, RunKey("baseline", 3), 100.0)
    complete(experiment, RunKey("variant", 4), 150.0)  # out of order: seed 3 is not there yet
    rules.look_at_results()
    assert decisions(experiment) == []

    complete(experiment, RunKey("variant", 3), 151.0)
    rules.look_at_results()

    assert decisions(experiment) == [(4, Decision.GO_ON)]


def test_a_look_that_rejects_ends_the_experiment_and_what_lies_beyond_is_not_needed(
    experiment: Experiment,
) -> None:
    complete_seeds(experiment, range(6), better_by=50.0)
    complete(experiment, RunKey("baseline", 6), 0.0)
    rules_of(experiment).look_at_results()

    assert decisions(experiment) == [(4, Decision.GO_ON), (6, Decision.REJECT)]
    assert experiment.comparison.verdict is Verdict.VARIANT_BETTER
    assert experiment.unfinished_runs() == []
    assert not experiment.is_needed(RunKey("baseline", 6))
    assert experiment.result_of(RunKey("variant", 7)).status is RunStatus.CANCELLED
    assert experiment.result_of(RunKey("variant", 7)).error is None


def test_a_look_is_recorded_once_however_often_the_experiment_is_loaded(
    experiment: Experiment,
) -> None:
    complete_seeds(experiment, range(4), better_by=50.0)
    for _ in range(3):
        loaded = Experiment.load(experiment.paths.root)
        rules_of(loaded).look_at_results()
        rules_of(loaded).look_at_results()

    assert [event["kind"] for event in read_journal(experiment.paths.events)] == ["look"]
    assert decisions(loaded) == [(4, Decision.GO_ON)]
    assert loaded.looks.planned == as_results_give_them(loaded)


def as_results_give_them(experiment: Experiment) -> tuple[Any, ...]:
    """The looks as the results give them again."""
    told = experiment.comparison.looks
    return tuple(LookTaken.from_dict(each) for each in told)


def test_a_run_that_is_trained_again_keeps_the_look_back(experiment: Experiment) -> None:
    complete_seeds(experiment, range(4), better_by=50.0)
    experiment.reopen(RunKey("variant", 2))
    rules_of(experiment).look_at_results()
    assert decisions(experiment) == []

    complete(experiment, RunKey("variant", 2), 152.0)
    rules_of(experiment).look_at_results()

    assert decisions(experiment) == [(4, Decision.GO_ON)]


def test_a_failure_that_was_not_given_up_keeps_the_look_back_also_after_a_kill(
    experiment: Experiment,
) -> None:
    take_floors(experiment)
    complete_seeds(experiment, range(4), better_by=50.0)
    fail(experiment, RunKey("variant", 2), RunStatus.FAILED)  # killed before it was tried again
    loaded = Experiment.load(experiment.paths.root)
    rules_of(loaded).look_at_results()

    assert decisions(loaded) == []
    assert RunKey("variant", 2) in loaded.runs_to_train()
    assert loaded.comparison.looks == ()

    fail(loaded, RunKey("variant", 2), RunStatus.SKIPPED)
    rules_of(loaded).look_at_results()

    assert [n_per_arm for n_per_arm, _ in decisions(loaded)] == [4]
    assert RunKey("variant", 2) not in loaded.runs_to_train()
    assert loaded.comparison.failed_per_arm == {"baseline": 0, "variant": 1}


def test_seeds_in_another_order_are_refused_where_looks_go_by_it(experiment: Experiment) -> None:
    turned = experiment.config.model_copy(update={"seeds": tuple(range(7, -1, -1))})

    with pytest.raises(UsageError, match="in another order"):
        experiment.override_design(turned, ["/seeds turned round"])


def test_a_design_that_was_edited_in_the_file_is_told_and_its_looks_do_not_count(
    experiment: Experiment,
) -> None:
    complete_seeds(experiment, range(4), better_by=50.0)
    rules_of(experiment).look_at_results()
    document = json.loads(experiment.paths.experiment.read_text())
    document["config"]["comparison"]["alpha"] = 0.4
    experiment.paths.experiment.write_text(json.dumps(document))

    loaded = Experiment.load(experiment.paths.root)

    assert loaded.looks.planned == ()
    assert any("the file was edited" in warning for warning in loaded.warnings)
    assert "The design was changed" in loaded.comparison.sentence


def test_a_changed_rule_makes_the_looks_anew_and_keeps_the_old_ones_in_the_file(
    experiment: Experiment,
) -> None:
    complete_seeds(experiment, range(6), better_by=50.0)
    rules_of(experiment).look_at_results()
    rule = experiment.config.comparison.model_copy(update={"alpha": 0.001})
    stricter = experiment.config.model_copy(update={"comparison": rule})
    experiment.override_design(stricter, ["/comparison/alpha from 0.05 to 0.001"])
    experiment.save()

    loaded = Experiment.load(experiment.paths.root)
    rules_of(loaded).look_at_results()

    assert loaded.looks.decided_at is None
    assert [event["kind"] for event in read_journal(experiment.paths.events)][:3] == [
        "look",
        "look",
        "design_changed",
    ]
    assert loaded.is_needed(RunKey("variant", 7))


def test_a_change_of_words_leaves_the_looks_as_they_are(experiment: Experiment) -> None:
    complete_seeds(experiment, range(4), better_by=50.0)
    rules_of(experiment).look_at_results()
    other = experiment.config.model_copy(update={"comment": "as before"})
    experiment.override_design(other, ["/comment from nothing to 'as before'"])
    experiment.save()

    assert decisions(Experiment.load(experiment.paths.root)) == [(4, Decision.GO_ON)]


def half_trained(folder: Path, *, worse_by: float, seeds: int = 5, **more: Any) -> Experiment:
    """Runs that have all reached half of their training and no more."""
    experiment = new_experiment(folder, seeds=8, **{"early_abort": {"looks": [0.5]}, **more})
    for seed in range(seeds):
        for arm, mean in (("baseline", 100.0), ("variant", 100.0 - worse_by)):
            run = RunKey(arm, seed)
            evaluate(experiment, run, 8192, 500.0)  # before the look, and not to be used
            evaluate(experiment, run, 10_240, mean + (seed * 7) % 5)
    return experiment


def test_a_hopeless_variant_is_ended_in_mid_training_and_never_called_worse(tmp_path: Path) -> None:
    experiment = half_trained(tmp_path, worse_by=50.0)
    running = [run for run in experiment.runs() if run.seed < 5]
    rules_of(experiment).look_at_training(running)

    (look,) = experiment.looks.in_training
    assert look.abort
    assert (look.n_baseline, look.n_variant) == (5, 5)
    assert experiment.comparison.verdict is Verdict.STOPPED_FOR_FUTILITY
    assert "worse" not in experiment.comparison.sentence
    assert experiment.unfinished_runs() == []


def test_a_variant_of_promise_goes_on_and_is_looked_at_once(tmp_path: Path) -> None:
    experiment = half_trained(tmp_path, worse_by=-50.0)
    rules = rules_of(experiment)
    running = [run for run in experiment.runs() if run.seed < 5]
    rules.look_at_training(running)
    rules.look_at_training(running)

    assert [look.abort for look in experiment.looks.in_training] == [False]
    assert Experiment.load(experiment.paths.root).looks.in_training == experiment.looks.in_training
    assert len(experiment.runs_to_train()) == 16


def test_four_seeds_are_too_few_to_end_a_variant(tmp_path: Path) -> None:
    experiment = half_trained(tmp_path, worse_by=50.0, seeds=4)
    rules_of(experiment).look_at_training(experiment.runs())

    assert experiment.looks.in_training == ()


def test_a_run_that_failed_on_its_own_before_the_look_counts_with_the_floor(tmp_path: Path) -> None:
    experiment = half_trained(tmp_path, worse_by=50.0, seeds=4)
    take_floors(experiment)
    failed = RunKey("variant", 4)
    evaluate(experiment, RunKey("baseline", 4), 10_240, 101.0)
    fail(experiment, failed, RunStatus.SKIPPED)
    rules_of(experiment).look_at_training([run for run in experiment.runs() if run != failed])

    (look,) = experiment.looks.in_training
    assert look.effect == pytest.approx((4 * -50.0 - 83.0) / 5, abs=2.0)


def test_no_run_gains_by_failing_before_the_look(tmp_path: Path) -> None:
    experiment = half_trained(tmp_path, worse_by=50.0, seeds=4)
    take_floors(experiment, 500.0)
    failed = RunKey("variant", 4)
    evaluate(experiment, RunKey("baseline", 4), 10_240, 101.0)
    fail(experiment, failed, RunStatus.SKIPPED)
    rules_of(experiment).look_at_training([run for run in experiment.runs() if run != failed])

    (look,) = experiment.looks.in_training
    assert look.effect == pytest.approx(-50.0, abs=3.0)


def test_a_run_that_waits_to_be_tried_again_keeps_the_look_in_mid_training_back(
    tmp_path: Path,
) -> None:
    experiment = half_trained(tmp_path, worse_by=50.0, seeds=4)
    take_floors(experiment)
    evaluate(experiment, RunKey("baseline", 4), 10_240, 101.0)
    fail(experiment, RunKey("variant", 4), RunStatus.FAILED)
    rules_of(experiment).look_at_training(())

    assert experiment.looks.in_training == ()


def test_after_an_end_in_mid_training_nothing_is_trained_and_what_was_seen_is_told(
    tmp_path: Path,
) -> None:
    experiment = half_trained(tmp_path, worse_by=50.0)
    fail(experiment, RunKey("variant", 5), RunStatus.SKIPPED)
    rules_of(experiment).look_at_training(experiment.runs())

    assert experiment.runs_to_train() == []
    assert experiment.unfinished_runs() == [RunKey("variant", 5)]
    assert (
        "Of 8 planned seeds 0 of the variant and 0 of the baseline"
        in experiment.comparison.sentence
    )
    arms = results_document(experiment)["arms"]
    assert arms["variant"]["seeds"] == [0, 1, 2, 3, 4, 5]
    assert arms["variant"]["total_timesteps"] > 0


def test_arms_that_are_complete_are_judged_by_their_scores(tmp_path: Path) -> None:
    experiment = half_trained(tmp_path, worse_by=50.0)
    rules_of(experiment).look_at_training(experiment.runs())
    for seed in range(8):
        complete(experiment, RunKey("baseline", seed), 100.0 + seed)
        complete(experiment, RunKey("variant", seed), 50.0 + seed)

    assert experiment.comparison.verdict is Verdict.VARIANT_WORSE


def test_nothing_is_looked_at_where_nothing_can_be_spared(tmp_path: Path) -> None:
    experiment = half_trained(tmp_path, worse_by=50.0)
    for seed in range(8):
        complete(experiment, RunKey("variant", seed), 50.0)
    rules_of(experiment).look_at_training([run for run in experiment.runs() if run.seed < 5])

    assert experiment.looks.in_training == ()
