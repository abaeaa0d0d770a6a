"""The runner guide's snippets, run as they stand; only what they leave open is supplied."""

import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from unittest.mock import Mock, patch

import pytest

from src.experiments.config import Configuration
from src.experiments.experiment import Experiment
from src.experiments.runner import (
    ExecutionMode,
    ExperimentRunner,
    RunnerStatus,
    TrainerConfig,
    TrainingResult,
)
from tests.waiting import HANG_SECONDS

ROOT = Path(__file__).parents[2]
GUIDE = ROOT.parent / "shared" / "sources" / "002_experiment_runner.ru.md"

QUICK_START = """
from src.experiments.experiment import Experiment
from src.experiments.runner import ExperimentRunner, ExecutionMode

# Создание эксперимента (baseline + variant конфигурации)
experiment = Experiment(
    baseline_config=baseline_config,
    variant_config=variant_config,
    hypothesis="Variant покажет лучшие результаты"
)

# Создание и запуск runner'а
runner = ExperimentRunner(
    experiment=experiment,
    execution_mode=ExecutionMode.SEQUENTIAL
)

success = runner.run()
"""

SEQUENTIAL = """
from src.experiments.runner import ExperimentRunner, ExecutionMode

runner = ExperimentRunner(
    experiment=experiment,
    execution_mode=ExecutionMode.SEQUENTIAL,
    enable_monitoring=True
)

# Выполнение с отслеживанием прогресса
success = runner.run()

if success:
    print(f"Baseline: {runner.baseline_result.final_mean_reward:.2f}")
    print(f"Variant: {runner.variant_result.final_mean_reward:.2f}")
"""

PARALLEL = """
runner = ExperimentRunner(
    experiment=experiment,
    execution_mode=ExecutionMode.PARALLEL,
    max_workers=2,
    resource_limits={
        "memory_mb": 8192,
        "cpu_percent": 80.0
    }
)

success = runner.run()
"""

MONITORING_THREAD = """
import threading
import time

def monitor_progress(runner):
    while runner.status != RunnerStatus.COMPLETED:
        progress = runner.monitor_progress()
        status = runner.get_status()
        
        print(f"Phase: {progress.current_phase}")
        print(f"Baseline: {progress.baseline_progress:.1f}%")
        print(f"Variant: {progress.variant_progress:.1f}%")
        print(f"CPU: {status['resource_usage']['cpu_percent']:.1f}%")
        print(f"Memory: {status['resource_usage']['memory_mb']:.1f}MB")
        
        time.sleep(5)

# Запуск мониторинга в отдельном потоке
monitor_thread = threading.Thread(target=monitor_progress, args=(runner,))
monitor_thread.start()

# Выполнение эксперимента
success = runner.run()

monitor_thread.join()
"""

CUSTOM_RECOVERY = """
class CustomExperimentRunner(ExperimentRunner):
    def handle_failure(self, error, config_type=None, recovery_strategy="retry"):
        self.logger.error(f"Ошибка в {config_type}: {error}")
        
        if isinstance(error, MemoryError):
            # Уменьшаем batch_size и повторяем
            return self._retry_with_smaller_batch(config_type)
        elif isinstance(error, TimeoutError):
            # Увеличиваем timeout и повторяем
            return self._retry_with_longer_timeout(config_type)
        else:
            # Стандартная обработка
            return super().handle_failure(error, config_type, recovery_strategy)
"""

VALIDATION = """
# Быстрая проверка конфигураций без обучения
runner = ExperimentRunner(
    experiment=experiment,
    execution_mode=ExecutionMode.VALIDATION
)

is_valid = runner.run()

if is_valid:
    print("✅ Конфигурации валидны, можно запускать обучение")
else:
    print("❌ Найдены ошибки в конфигурациях")
"""

RESOURCE_LIMITS = """
resource_limits = {
    "memory_mb": 8192,      # Максимум 8GB памяти
    "cpu_percent": 90.0,    # Максимум 90% CPU
    "disk_gb": 10.0,        # Максимум 10GB диска
}

runner = ExperimentRunner(
    experiment=experiment,
    resource_limits=resource_limits
)
"""

STATUS = """
# Получение детальных метрик
status = runner.get_status()

print(f"Статус: {status['status']}")
print(f"Режим: {status['execution_mode']}")
print(f"Прогресс: {status['progress']['overall']:.1f}%")
print(f"CPU: {status['resource_usage']['cpu_percent']:.1f}%")
print(f"Память: {status['resource_usage']['memory_mb']:.1f}MB")
print(f"Время выполнения: {status['execution_time']:.1f}с")
"""

CUSTOM_STRATEGY = """
class CustomRecoveryRunner(ExperimentRunner):
    def handle_failure(self, error, config_type=None, recovery_strategy="custom"):
        if recovery_strategy == "custom":
            # Кастомная логика восстановления
            return self._custom_recovery(error, config_type)
        return super().handle_failure(error, config_type, recovery_strategy)
    
    def _custom_recovery(self, error, config_type):
        # Анализ ошибки и принятие решения
        if "memory" in str(error).lower():
            return self._reduce_memory_usage(config_type)
        elif "timeout" in str(error).lower():
            return self._extend_timeout(config_type)
        return False
"""

CUSTOM_MONITORING = """
class EnhancedRunner(ExperimentRunner):
    def _start_monitoring(self):
        super()._start_monitoring()
        # Добавление кастомных метрик
        self._start_gpu_monitoring()
        self._start_network_monitoring()
    
    def _start_gpu_monitoring(self):
        # Мониторинг GPU если доступен
        try:
            import GPUtil
            # Логика мониторинга GPU
        except ImportError:
            pass
"""

MOCKING = """
@patch('src.experiments.runner.Trainer')
def test_custom_scenario(mock_trainer_class):
    # Настройка мока
    mock_trainer = Mock()
    mock_trainer.train.return_value = mock_training_result
    mock_trainer_class.return_value = mock_trainer
    
    # Тестирование
    runner = ExperimentRunner(experiment)
    result = runner.run_configuration("baseline", config)
    
    assert result.success
"""

SNIPPETS = [
    QUICK_START,
    SEQUENTIAL,
    PARALLEL,
    MONITORING_THREAD,
    CUSTOM_RECOVERY,
    VALIDATION,
    RESOURCE_LIMITS,
    STATUS,
    CUSTOM_STRATEGY,
    CUSTOM_MONITORING,
    MOCKING,
]

CONFIGURATION = {
    "algorithm": "PPO",
    "environment": "CartPole-v1",
    "hyperparameters": {"n_steps": 64, "batch_size": 64, "n_epochs": 1},
    "training_steps": 128,
    "seed": 1,
}
CONFIGURATIONS = {
    "baseline_config": CONFIGURATION,
    "variant_config": {
        **CONFIGURATION,
        "hyperparameters": {**CONFIGURATION["hyperparameters"], "learning_rate": 1e-3},
    },
}
EVALUATION = {"frequency": 64, "episodes": 1, "final_episodes": 2}

pytestmark = pytest.mark.integration


@pytest.fixture
def names(tmp_path):
    """What the snippets take as given."""
    experiment = Experiment(
        **CONFIGURATIONS, hypothesis="…", output_dir=tmp_path / "results", evaluation=EVALUATION
    )
    return {
        "ExecutionMode": ExecutionMode,
        "ExperimentRunner": ExperimentRunner,
        "Mock": Mock,
        "RunnerStatus": RunnerStatus,
        "config": experiment.baseline_config,
        "experiment": experiment,
        "patch": patch,
    }


def run(snippet, names):
    exec(compile(snippet, "<snippet>", "exec"), names)
    return names


@pytest.mark.skipif(not GUIDE.exists(), reason="the guide is not beside this checkout")
@pytest.mark.parametrize("snippet", SNIPPETS)
def test_the_snippets_are_the_guides_to_the_letter(snippet):
    assert snippet in GUIDE.read_text(encoding="utf-8")


def test_quick_start_is_a_whole_script_without_a_main_guard(tmp_path):
    script = tmp_path / "quick_start.py"
    given = "".join(f"{name} = {value!r}\n" for name, value in CONFIGURATIONS.items())
    script.write_text(f"{given}{QUICK_START}\nprint('success', success)\n", encoding="utf-8")
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )

    assert done.stdout == "success True\n"
    (results,) = (tmp_path / "results" / "experiments").iterdir()
    assert (results / "report" / "index.html").is_file()


@pytest.mark.slow
def test_sequential_with_status_and_a_monitoring_thread(names, capsys):
    given = textwrap.dedent("""
        class Impatient(ExperimentRunner):
            pass
        runner = Impatient(experiment)
    """)
    run(given, names)
    run(MONITORING_THREAD.replace("time.sleep(5)", "time.sleep(0.1)"), names)
    run(STATUS, names)

    assert names["success"] is True
    printed = capsys.readouterr().out
    assert "Phase: running_baseline" in printed
    assert "Статус: completed" in printed
    assert "Прогресс: 100.0%" in printed


@pytest.mark.slow
def test_parallel_then_sequential_prints_both_rewards(names, capsys):
    run(PARALLEL, names)
    assert names["success"] is True
    run(SEQUENTIAL, names)

    printed = capsys.readouterr().out
    assert names["runner"].baseline_result.success
    assert "Baseline: " in printed
    assert "Variant: " in printed


def test_validation(names, capsys, tmp_path):
    run(VALIDATION, names)

    assert "✅" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_resource_limits(names):
    assert run(RESOURCE_LIMITS, names)["runner"].resource_limits["memory_mb"] == 8192


def test_custom_monitoring(names):
    run(CUSTOM_MONITORING, names)
    runner = names["EnhancedRunner"](names["experiment"], executor="in_process")
    runner.setup_environment()
    threads = {thread.name for thread in threading.enumerate()}
    runner._start_monitoring()
    started = {thread.name for thread in threading.enumerate()} - threads
    runner.cleanup()

    assert started == {"resources"}


def test_mocking(names):
    first_nine = (True, 128, 0.1, 1.0, 0.0, "mock", "PPO", "CartPole-v1", 1)
    names["mock_training_result"] = TrainingResult(*first_nine)
    run(MOCKING, names)["test_custom_scenario"]()


def failing(error):
    """A trainer whose first attempt fails; it keeps the configurations that it was given."""
    trainer = Mock()
    result = TrainingResult(True, 128, 0.1, 1.0, 0.0, "mock", "PPO", "CartPole-v1", 1)
    trainer.return_value.train.side_effect = [error, result]
    return trainer


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize(
    ("snippet", "name", "error", "second_batch_size"),
    [
        (CUSTOM_RECOVERY, "CustomExperimentRunner", MemoryError("no room"), 32),
        (CUSTOM_RECOVERY, "CustomExperimentRunner", TimeoutError("too slow"), 64),
        (CUSTOM_RECOVERY, "CustomExperimentRunner", RuntimeError("bad luck"), 64),
        (CUSTOM_STRATEGY, "CustomRecoveryRunner", RuntimeError("out of memory"), 32),
        (CUSTOM_STRATEGY, "CustomRecoveryRunner", RuntimeError("timeout"), 64),
    ],
)
def test_custom_recovery_tries_again(names, snippet, name, error, second_batch_size):
    runner = run(snippet, names)[name](names["experiment"])
    with patch("src.experiments.runner.Trainer", failing(error)) as trainer:
        runner.run_configuration("baseline", names["config"])

    configs = [call.args[0] for call in trainer.call_args_list]
    assert all(isinstance(config, TrainerConfig) for config in configs)
    assert configs[1].hyperparameters["batch_size"] == second_batch_size
    assert runner.baseline_result.success


def test_custom_recovery_gives_up_on_what_it_does_not_know(names):
    runner = run(CUSTOM_STRATEGY, names)["CustomRecoveryRunner"](names["experiment"])
    with patch("src.experiments.runner.Trainer", failing(RuntimeError("bad luck"))) as trainer:
        assert runner.run_configuration("baseline", names["config"]) is None

    assert trainer.call_count == 1


def test_configurations_are_built_by_keyword():
    assert Configuration(**CONFIGURATION).experiment_name is None
