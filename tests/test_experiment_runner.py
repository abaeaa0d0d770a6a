"""The runner's interface: construction, one arm, failures, whole experiments, interruption."""

import json
import threading
from unittest.mock import Mock, patch

import psutil
import pytest

from src.experiments.config import Configuration
from src.experiments.domain.errors import (
    ConfigurationError,
    ExperimentLockedError,
    ExperimentsError,
    UsageError,
)
from src.experiments.durability.journal import read_journal, without_wall_clock
from src.experiments.durability.lock import FileLock
from src.experiments.experiment import Experiment, ExperimentStatus
from src.experiments.runner import (
    CheckpointManager,
    ExecutionMode,
    ExperimentRunner,
    ProgressInfo,
    ResourceUsage,
    RunnerStatus,
    TrainerConfig,
    TrainingResult,
)
from tests.waiting import HANG_SECONDS, wait_until

BASELINE = {
    "algorithm": "PPO",
    "environment": "CartPole-v1",
    "hyperparameters": {"n_steps": 64, "batch_size": 64, "n_epochs": 2},
    "training_steps": 256,
    "seed": 1,
}
VARIANT = {"extends": "baseline", "hyperparameters": {"learning_rate": 1e-3}}
SHORT_EVALUATION = {"frequency": 64, "episodes": 2, "final_episodes": 4}
TRAINER = "src.experiments.runner.Trainer"


def make_experiment(tmp_path, **settings):
    settings = {"evaluation": SHORT_EVALUATION, **settings}
    variant = settings.pop("variant", VARIANT)
    baseline = settings.pop("baseline", BASELINE)
    return Experiment(baseline, variant, "a larger step helps", output_dir=tmp_path, **settings)


@pytest.fixture
def experiment(tmp_path):
    return make_experiment(tmp_path)


def a_result(**fields):
    return TrainingResult(True, 256, 0.5, 100.0, 5.0, "test", "PPO", "CartPole-v1", 1, **fields)


class TestConstruction:
    def test_the_defaults_are_the_documented_ones(self, experiment):
        runner = ExperimentRunner(experiment)

        assert runner.execution_mode is ExecutionMode.SEQUENTIAL
        assert runner.enable_monitoring is True
        assert runner.checkpoint_frequency == 10_000
        assert runner.status is RunnerStatus.IDLE
        assert runner.baseline_result is None
        assert runner.variant_result is None

    def test_the_arguments_are_attributes_of_the_same_names(self, experiment):
        limits = {"memory_mb": 8192, "cpu_percent": 80.0}
        runner = ExperimentRunner(
            experiment, ExecutionMode.PARALLEL, 4, False, 500, resource_limits=limits
        )

        assert runner.experiment is experiment
        assert runner.execution_mode is ExecutionMode.PARALLEL
        assert runner.max_workers == 4
        assert runner.enable_monitoring is False
        assert runner.checkpoint_frequency == 500
        assert runner.resource_limits == limits

    def test_nothing_is_started_or_written(self, experiment, tmp_path):
        before = threading.active_count()
        ExperimentRunner(experiment)

        assert threading.active_count() == before
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("workers", [0, -1])
    def test_fewer_than_one_worker_is_refused(self, experiment, workers):
        with pytest.raises(ValueError, match="max_workers"):
            ExperimentRunner(experiment, max_workers=workers)

    @pytest.mark.parametrize("frequency", [0, -10])
    def test_a_frequency_that_is_not_positive_is_refused(self, experiment, frequency):
        with pytest.raises(ValueError, match="checkpoint_frequency"):
            ExperimentRunner(experiment, checkpoint_frequency=frequency)

    def test_an_unknown_executor_is_refused_with_the_known_ones(self, experiment):
        with pytest.raises(ValueError, match="in_process"):
            ExperimentRunner(experiment, executor="cloud")

    def test_modes_have_the_names_of_the_command_line(self):
        assert [mode.value for mode in ExecutionMode] == ["sequential", "parallel", "validation"]


class TestRecords:
    def test_overall_progress_is_the_mean_of_the_arms(self):
        progress = ProgressInfo(baseline_progress=100.0, variant_progress=50.0)

        assert progress.overall_progress == 75.0

    def test_current_resources_are_plausible(self):
        usage = ResourceUsage.current()

        assert 0.0 <= usage.cpu_percent <= 100.0
        assert usage.memory_mb > 0.0
        assert usage.gpu_usage is None or 0.0 <= usage.gpu_usage <= 100.0

    def test_a_training_result_needs_only_the_first_nine(self):
        assert a_result().to_dict()["final_mean_reward"] == 100.0

    def test_a_training_result_survives_json(self):
        result = a_result(arm="baseline", runs=(a_result(arm="baseline"),), deviations=("x",))

        assert TrainingResult.from_dict(json.loads(json.dumps(result.to_dict()))) == result

    def test_the_checkpoint_manager_is_here_too(self, tmp_path):
        manager = CheckpointManager(tmp_path)
        manager.save(10, {"step": 10})

        assert next(manager.trusted()) == (10, {"step": 10})


class TestExperiment:
    def test_configurations_and_mappings_are_equally_good(self, tmp_path):
        configuration = Configuration(**BASELINE)
        by_model = make_experiment(tmp_path, baseline=configuration)

        assert by_model.baseline_config == make_experiment(tmp_path).baseline_config

    def test_an_unknown_arm_is_a_value_error(self, experiment):
        with pytest.raises(ValueError, match="'baseline', 'variant'"):
            experiment.add_result("control", a_result())

    def test_a_result_may_be_a_mapping_of_some_fields(self, experiment):
        experiment.add_result("baseline", {"final_mean_reward": 12.5}, {"note": "by hand"})

        assert experiment.arm_result("baseline").final_mean_reward == 12.5

    def test_an_unknown_field_of_a_result_is_refused(self, experiment):
        with pytest.raises(ValueError, match="mean_reword"):
            experiment.add_result("baseline", {"mean_reword": 12.5})

    def test_what_is_saved_is_loaded(self, experiment):
        experiment.start()
        experiment.add_result("baseline", a_result(arm="baseline"))
        experiment.save()

        loaded = Experiment.load(experiment.experiment_dir)

        assert loaded.experiment_id == experiment.experiment_id
        assert loaded.config == experiment.config
        assert loaded.status is ExperimentStatus.RUNNING
        assert loaded.results == experiment.results

    def test_it_can_be_loaded_by_its_file_as_well(self, experiment):
        assert Experiment.load(experiment.save()).experiment_id == experiment.experiment_id

    def test_its_life_has_an_order(self, experiment):
        with pytest.raises(UsageError, match="created"):
            experiment.pause()
        experiment.start()
        experiment.pause()
        experiment.resume()
        experiment.stop(failed=True, error_message="the machine burned")

        assert experiment.status is ExperimentStatus.FAILED
        assert experiment.error_message == "the machine burned"

    def test_an_id_that_exists_is_refused_and_left_alone(self, tmp_path, monkeypatch):
        monkeypatch.setattr("src.experiments.experiment.TAKING_SECONDS", 0.1)
        first = make_experiment(tmp_path, experiment_id="taken")
        first.save()
        before = first.paths.experiment.read_bytes()

        with pytest.raises(UsageError, match="--experiment-id taken"):
            make_experiment(tmp_path, experiment_id="taken").save()
        assert first.paths.experiment.read_bytes() == before

    @pytest.mark.parametrize("bad", ["../x", "/etc/x", "", "-rf", "a\nb", "x" * 65])
    def test_an_id_that_is_no_directory_name_is_refused(self, tmp_path, bad):
        with pytest.raises(ConfigurationError):
            make_experiment(tmp_path, experiment_id=bad)

    def test_a_single_seed_settles_nothing(self, experiment):
        for arm in ("baseline", "variant"):
            experiment.add_result(arm, a_result(arm=arm, final_return=100.0))

        assert experiment.compare_results()["verdict"] == "insufficient_evidence"


@pytest.mark.usefixtures("no_pauses")
class TestRunConfiguration:
    @patch(TRAINER)
    def test_the_object_that_train_returns_comes_back_untouched(self, trainer_class, experiment):
        trainer = Mock()
        trainer_class.return_value = trainer

        result = ExperimentRunner(experiment).run_configuration("baseline", BASELINE)

        assert result is trainer.train.return_value
        assert isinstance(trainer_class.call_args.args[0], TrainerConfig)

    @patch(TRAINER)
    def test_a_trainer_config_is_taken_as_it_is(self, trainer_class, experiment):
        config = TrainerConfig("PPO", "CartPole-v1", 64, 7)
        ExperimentRunner(experiment).run_configuration("variant", BASELINE, config)

        trainer_class.assert_called_once_with(config)

    def test_it_trains_for_real_and_writes_nothing(self, experiment, tmp_path):
        runner = ExperimentRunner(experiment)
        result = runner.run_configuration("baseline", experiment.baseline_config)

        assert result.success
        assert result.total_timesteps == 256
        assert runner.baseline_result is result
        assert list(tmp_path.iterdir()) == []

    def test_an_unknown_arm_is_a_value_error(self, experiment):
        with pytest.raises(ValueError, match="config_type"):
            ExperimentRunner(experiment).run_configuration("control", BASELINE)

    @patch(TRAINER)
    def test_a_failure_is_handled_and_gives_none(self, trainer_class, experiment):
        trainer_class.return_value.train.side_effect = RuntimeError("boom")
        runner = ExperimentRunner(experiment)
        with patch.object(runner, "handle_failure", return_value=False) as handle:
            result = runner.run_configuration("baseline", BASELINE)

        assert result is None
        (error, arm), keywords = handle.call_args
        assert (str(error), arm, keywords) == ("boom", "baseline", {})

    @patch(TRAINER)
    def test_a_strategy_that_the_file_names_is_passed(self, trainer_class, tmp_path):
        trainer_class.return_value.train.side_effect = RuntimeError("boom")
        runner = ExperimentRunner(make_experiment(tmp_path, recovery={"strategy": "skip"}))
        with patch.object(runner, "handle_failure", return_value=True) as handle:
            runner.run_configuration("baseline", BASELINE)

        assert handle.call_args.args[1:] == ("baseline", "skip")

    @patch(TRAINER)
    def test_retrying_is_bounded(self, trainer_class, tmp_path):
        trainer_class.return_value.train.side_effect = RuntimeError("boom")
        recovery = {"strategy": "retry", "max_retries": 2}
        runner = ExperimentRunner(make_experiment(tmp_path, recovery=recovery))

        assert runner.run_configuration("baseline", BASELINE) is None
        assert trainer_class.return_value.train.call_count == 3

    @patch(TRAINER)
    def test_a_retry_that_succeeds_is_the_arms_result(self, trainer_class, tmp_path):
        good = a_result()
        trainer_class.return_value.train.side_effect = [RuntimeError("boom"), good]
        runner = ExperimentRunner(make_experiment(tmp_path, recovery={"strategy": "retry"}))
        runner.run_configuration("baseline", BASELINE)

        assert runner.baseline_result is good

    @patch(TRAINER)
    def test_a_smaller_batch_is_tried_where_a_subclass_asks(self, trainer_class, experiment):
        class Smaller(ExperimentRunner):
            def handle_failure(self, error, config_type=None, recovery_strategy="retry"):
                return self._retry_with_smaller_batch(config_type)

        trainer_class.return_value.train.side_effect = [MemoryError(), a_result()]
        Smaller(experiment).run_configuration("baseline", BASELINE)

        first, second = (call.args[0] for call in trainer_class.call_args_list)
        assert first.hyperparameters["batch_size"] == 64
        assert second.hyperparameters["batch_size"] == 32


class TestHandleFailure:
    def test_the_strategies_answer_whether_to_go_on(self, experiment):
        runner = ExperimentRunner(experiment)

        assert runner.handle_failure(RuntimeError("x"), "baseline", "abort") is False
        assert runner.handle_failure(RuntimeError("x"), "baseline", "skip") is True
        assert runner.handle_failure(RuntimeError("x")) is False

    def test_an_unknown_strategy_is_named_with_the_known_ones(self, experiment):
        with pytest.raises(ValueError, match="abort, retry, skip"):
            ExperimentRunner(experiment).handle_failure(RuntimeError("x"), "baseline", "pray")


class TestStatus:
    def test_it_can_be_asked_before_the_run(self, experiment):
        status = ExperimentRunner(experiment).get_status()

        assert status["status"] == "idle"
        assert status["execution_mode"] == "sequential"
        assert status["progress"]["overall"] == 0.0
        assert status["resource_usage"]["memory_mb"] > 0
        assert status["execution_time"] == 0.0


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    runner = ExperimentRunner(
        make_experiment(tmp_path_factory.mktemp("out")), checkpoint_frequency=128
    )
    assert runner.run()
    return runner


def journal(runner, run):
    """A run's journal without wall-clock times."""
    records = read_journal(runner.experiment.paths.run(run).journal)
    return [without_wall_clock(record) for record in records]


@pytest.mark.integration
class TestWholeExperiments:
    def test_both_arms_have_a_result(self, finished):
        assert finished.baseline_result.total_timesteps == 256
        assert finished.variant_result.success
        assert finished.status is RunnerStatus.COMPLETED
        assert finished.experiment.status is ExperimentStatus.COMPLETED

    def test_progress_ends_at_one_hundred(self, finished):
        assert finished.monitor_progress().overall_progress == 100.0

    def test_the_results_tell_every_run(self, finished):
        results = json.loads(finished.experiment.paths.results.read_text())

        assert [run["arm"] for run in results["runs"]] == ["baseline", "variant"]
        assert results["comparison"]["verdict"] == "insufficient_evidence"
        assert results["arms"]["baseline"]["final_return"] == results["runs"][0]["final_return"]

    def test_the_runners_checkpoint_stands_at_the_steps_of_all_runs(self, finished):
        step, state = next(finished._checkpoints.trusted())

        assert step == 512
        assert state["runs"]["variant_seed1"]["status"] == "completed"

    def test_parallel_training_gives_the_same_bits_and_the_same_journals(self, finished, tmp_path):
        runner = ExperimentRunner(make_experiment(tmp_path), ExecutionMode.PARALLEL, 2)
        runner.run()

        for arm in ("baseline_result", "variant_result"):
            expected = getattr(finished, arm).parameters_sha256
            assert getattr(runner, arm).parameters_sha256 == expected
        for run in finished.experiment.runs():
            assert journal(runner, run) == journal(finished, run)

    def test_in_process_gives_the_same_bits(self, finished, tmp_path):
        runner = ExperimentRunner(make_experiment(tmp_path), executor="in_process")
        runner.run()

        expected = finished.variant_result.parameters_sha256
        assert runner.variant_result.parameters_sha256 == expected

    def test_validation_estimates_and_leaves_nothing(self, experiment, tmp_path):
        runner = ExperimentRunner(experiment, ExecutionMode.VALIDATION)

        assert runner.run()
        assert {estimate.run.arm for estimate in runner.estimates} == {"baseline", "variant"}
        assert all(estimate.steps_per_second > 0 for estimate in runner.estimates)
        assert list(tmp_path.iterdir()) == []

    def test_an_interrupted_experiment_continues(self, tmp_path):
        experiment = make_experiment(tmp_path, baseline={**BASELINE, "training_steps": 200_000})
        runner = ExperimentRunner(experiment)
        thread = threading.Thread(target=runner.run)
        thread.start()
        wait_until(lambda: runner.monitor_progress().current_step, "it trains")
        runner.interrupt()
        thread.join(HANG_SECONDS)
        loaded = Experiment.load(experiment.experiment_dir)

        assert runner.status is RunnerStatus.INTERRUPTED
        assert loaded.status is ExperimentStatus.PAUSED
        assert len(loaded.unfinished_runs()) == 2

    def test_ctrl_c_in_a_program_of_ones_own_leaves_a_paused_experiment(self, experiment):
        class Impatient(ExperimentRunner):
            def _tick(self):
                super()._tick()
                raise KeyboardInterrupt

        runner = Impatient(experiment, executor="in_process")
        with pytest.raises(KeyboardInterrupt):
            runner.run()

        assert runner.status is RunnerStatus.INTERRUPTED
        assert Experiment.load(experiment.experiment_dir).status is ExperimentStatus.PAUSED
        assert experiment.paths.results.is_file()

    def test_a_complete_run_whose_model_was_lost_gets_it_back(self, finished):
        experiment = Experiment.load(finished.experiment.experiment_dir)
        model = experiment.paths.models / "baseline_model_final.zip"
        before = model.read_bytes()
        model.unlink()

        assert ExperimentRunner(experiment, executor="in_process").run()
        assert model.read_bytes() == before

    def test_a_runner_that_was_interrupted_goes_on_when_it_is_run_again(self, tmp_path):
        class Hasty(ExperimentRunner):
            """Interrupts itself once, as the first arm trains."""

            has_interrupted = False

            def _tick(self):
                super()._tick()
                if not self.has_interrupted:
                    self.has_interrupted = True
                    self.interrupt()

        runner = Hasty(make_experiment(tmp_path), executor="in_process")

        assert not runner.run()
        assert runner.status is RunnerStatus.INTERRUPTED
        assert runner.run()
        assert runner.status is RunnerStatus.COMPLETED
        assert runner.variant_result.attempts == 1  # it had not begun
        assert runner.experiment.paths.report_page.is_file()

    def test_what_could_not_be_set_up_is_set_up_later(self, experiment):
        experiment.save()
        runner = ExperimentRunner(Experiment.load(experiment.experiment_dir), executor="in_process")
        with FileLock(experiment.paths.lock), pytest.raises(ExperimentLockedError):
            runner.setup_environment()
        runner.setup_environment()
        runner.cleanup()

        assert Experiment.load(experiment.experiment_dir).status is ExperimentStatus.PAUSED

    def test_setting_up_a_complete_experiment_leaves_it_complete(self, finished):
        runner = ExperimentRunner(Experiment.load(finished.experiment.experiment_dir))
        runner.setup_environment()
        attempts = {run["attempt"] for run in runner.get_status()["runs"].values()}
        runner.cleanup()

        assert attempts == {1}
        loaded = Experiment.load(finished.experiment.experiment_dir)
        assert loaded.status is ExperimentStatus.COMPLETED

    @pytest.mark.slow
    def test_a_runner_that_is_done_runs_again_and_writes_what_is_missing(self, experiment):
        runner = ExperimentRunner(experiment)
        report = experiment.paths.report_page

        assert runner.run()
        report.unlink()
        assert runner.run()
        assert report.is_file()

    def test_the_result_of_an_arm_that_was_tried_alone_does_not_stay(self, experiment):
        runner = ExperimentRunner(experiment, executor="in_process")
        alone = runner.run_configuration("baseline", {**BASELINE, "training_steps": 64})

        assert runner.baseline_result is alone
        assert runner.run()
        assert runner.baseline_result.total_timesteps == 256

    def test_no_run_is_left_when_the_lock_is_given_back(self, tmp_path):
        experiment = make_experiment(tmp_path, baseline={**BASELINE, "training_steps": 200_000})
        lock, found = experiment.paths.lock, []

        class Broken(ExperimentRunner):
            def _tick(self):
                super()._tick()
                if self.run_progress()[0].step:
                    found.append(self._session.campaign.pids())
                    raise OSError("the disk is gone")

        runner = Broken(experiment)
        release = FileLock.__exit__

        def looking(self, *error):
            if self._path == lock and found:
                found.append([psutil.pid_exists(pid) for pid in found[0].values()])
            return release(self, *error)

        with patch.object(FileLock, "__exit__", looking), pytest.raises(OSError, match="gone"):
            runner.run()

        assert found[1] == [False]

    def test_its_frequency_of_checkpoints_is_that_of_runs_whose_file_names_none(self, tmp_path):
        def frequency_of(experiment):
            runner = ExperimentRunner(experiment, executor="in_process", checkpoint_frequency=128)
            runner.setup_environment()
            runner.cleanup()
            return Experiment.load(experiment.experiment_dir).config.checkpoint.frequency

        assert frequency_of(make_experiment(tmp_path / "silent")) == 128
        telling = make_experiment(tmp_path / "telling", checkpoint={"frequency": 192})
        assert frequency_of(telling) == 192


class TestWhatIsRefused:
    def test_a_mode_by_its_name_is_as_good_and_an_unknown_one_is_a_value_error(self, experiment):
        runner = ExperimentRunner(experiment, "validation")

        assert runner.execution_mode is ExecutionMode.VALIDATION
        with pytest.raises(ValueError, match="garbage"):
            ExperimentRunner(experiment, "garbage")

    @pytest.mark.parametrize("limits", [{"memory_mb": -5}, {"bogus": 1}])
    def test_limits_without_sense(self, experiment, limits):
        with pytest.raises(ConfigurationError, match="resource_limits"):
            ExperimentRunner(experiment, resource_limits=limits)

    @pytest.mark.parametrize("seeds", [0, []])
    def test_no_seeds_at_all(self, tmp_path, seeds):
        with pytest.raises(ConfigurationError, match="seeds"):
            make_experiment(tmp_path, seeds=seeds)

    def test_a_failed_result_is_never_taken_for_a_complete_one(self, experiment):
        experiment.add_result("baseline", {"success": False, "error": "boom"})

        assert len(experiment.unfinished_runs()) == 2
        assert experiment.compare_results()["failed_per_arm"] == {"baseline": 1, "variant": 0}

    @pytest.mark.parametrize(
        "change",
        [
            {"format_version": 99},
            {"status": "zzz"},
            {"results": []},
            {"results": {"q": {}}},
            {"config": None},
        ],
    )
    def test_a_saved_form_that_was_tampered_with(self, experiment, change):
        file = experiment.save()
        file.write_text(json.dumps({**json.loads(file.read_text()), **change}))

        with pytest.raises(ExperimentsError, match=r"experiment_.*\.json"):
            Experiment.load(file)
