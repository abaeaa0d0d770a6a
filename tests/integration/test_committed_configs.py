"""The committed experiment files run, and leave the whole directory behind."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from src.experiments.domain.redaction import SECRET_VALUE
from src.experiments.durability.journal import read_journal
from tests.waiting import HANG_SECONDS

ROOT = Path(__file__).parents[2]
SHORTER = {
    "quickstart": ("training_steps=1024", "hyperparameters.n_steps=128"),
    "lunarlander_ppo": ("training_steps=256", "hyperparameters.n_steps=128"),
    "dqn_cartpole": ("training_steps=1500", "hyperparameters.learning_starts=500"),
    "sac_pendulum": ("training_steps=300", "hyperparameters.learning_starts=100"),
}
TOO_SHORT = re.compile("warning: .* is far below what random actions get, .*")
"""A true warning, where so short a training has got nowhere yet."""
WITH_ONE_SEED = """
    metadata.json results.json predictions.json memory_usage.json runner_final_state.yaml
    config/experiment_config.json logs/experiment.log logs/runner.log logs/baseline_training.log
    logs/variant_training.log logs/text_logs.json models/baseline_model_final.zip
    models/variant_model_final.zip metrics/scalar_metrics.json metrics/single_values.json
    metrics/tables.json artifacts/artifacts_metadata.json report/index.html report/report.md
    report/learning_curves.png report/learning_curves.svg provenance/provenance.json
    provenance/uncommitted.diff provenance/command.txt provenance/packages.txt
    provenance/hardware.json tracking/ledger.json manifest.json .lock
"""
PATTERNS = """
    experiment_*.json checkpoints/runner_checkpoint_*.pkl metrics/*.csv
    artifacts/experiment_results_*.json artifacts/model_predictions_*.json
    artifacts/memory_usage_*.json runs/*/journal.jsonl runs/*/events.jsonl runs/*/attempt-1
"""

pytestmark = pytest.mark.integration


def run(name, folder):
    arms = ("baseline_config", "variant_config")
    settings = [f"{arm}.{setting}" for arm in arms for setting in SHORTER[name]]
    settings += ["seeds=1"] if name == "quickstart" else []
    settings += ["evaluation.frequency=128", "evaluation.episodes=1", "evaluation.final_episodes=2"]
    command = [sys.executable, "-m", "src.experiments.runner"]
    command += ["--config", f"configs/{name}.json", "--output-dir", str(folder)]
    for setting in settings:
        command += ["--set", setting]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=HANG_SECONDS)
    complaints = [line for line in done.stderr.splitlines() if not TOO_SHORT.fullmatch(line)]
    assert (done.returncode, complaints) == (0, [])
    (root,) = folder.iterdir()
    return root


def check(root):
    missing = [name for name in WITH_ONE_SEED.split() if not (root / name).exists()]
    assert missing == []
    assert [pattern for pattern in PATTERNS.split() if not list(root.glob(pattern))] == []
    results = json.loads((root / "results.json").read_text())
    assert [run["status"] for run in results["runs"]] == ["completed", "completed"]
    check_numbers(root, results)
    for path in root.rglob("*"):
        if path.is_file() and path.suffix in {".json", ".jsonl", ".log", ".txt", ".html"}:
            assert not SECRET_VALUE.search(path.read_text(errors="replace")), path


def check_numbers(root, results):
    """The journal, the CSV file, the JSON file and the results agree on the evaluations."""
    scalars = json.loads((root / "metrics" / "scalar_metrics.json").read_text())
    with (root / "metrics" / "eval__return_mean.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for told in results["runs"]:
        name = f"{told['arm']}_seed{told['seed']}"
        records = read_journal(root / "runs" / name / "journal.jsonl")
        evaluations = [record for record in records if record["kind"] == "evaluation"]
        points = [
            {"step": record["step"], "value": record["metrics"]["eval/return_mean"]}
            for record in evaluations
        ]
        in_csv = [
            row for row in rows if (row["arm"], row["seed"]) == (told["arm"], str(told["seed"]))
        ]

        assert scalars["eval/return_mean"][name] == points
        assert [float(row["value"]) for row in in_csv] == [point["value"] for point in points]
        assert told["final_mean_reward"] == points[-1]["value"]
        assert told["parameters_sha256"] == records[-1]["parameters_sha256"]


@pytest.mark.slow
def test_the_runner_guides_file_runs_as_it_stands(tmp_path):
    root = run("lunarlander_ppo", tmp_path)

    check(root)
    assert root.name == "ppo_learning_rate_comparison"
    started = read_journal(root / "runs" / "baseline_seed42" / "journal.jsonl")[0]
    assert started["environment"] == "LunarLander-v3"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["quickstart", "dqn_cartpole", "sac_pendulum"])
def test_a_committed_file_runs(name, tmp_path):
    check(run(name, tmp_path))
