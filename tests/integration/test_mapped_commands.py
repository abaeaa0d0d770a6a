"""The README's table of older scripts: each of their command lines, as it is given here."""

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from ..doubles.remotes import ClearmlRemote, WandbRemote
from ..language import needs_trl

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
SOURCES = ROOT.parent / "shared" / "sources"
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXPERIMENT = {
    "experiment_id": "experiment_name",
    "hypothesis": "the mapped command does what the script did",
    "baseline_config": {
        "algorithm": "A2C",
        "environment": "CartPole-v1",
        "training_steps": 400,
        "hyperparameters": {"n_steps": 100},
        "seed": 42,
    },
    "variant_config": {"extends": "baseline", "hyperparameters": {"learning_rate": 1e-3}},
    "evaluation": {"frequency": 200, "episodes": 1, "final_episodes": 2},
}
RUN = "run exp.json --output-dir outputs"
GRPO = (
    "grpo experiment_id=experiment_name baseline_config.training_steps=2"
    " evaluation.final_episodes=2 --output-dir outputs"
)


@dataclass(frozen=True)
class Mapped:
    """A command line of a source, and what is typed here instead."""

    script: str
    options: str
    here: str
    """None of it is left open: the words after `experiments`."""
    leaves: tuple[str, ...] = ()
    """Files below the experiment's directory, as patterns."""
    absent: tuple[str, ...] = ()
    before: str = ""
    """A command that must have been carried out."""


MAPPED = (
    Mapped("run_experiment_simple.py", "", RUN, ("results.json", "metrics/*.csv")),
    Mapped("run_experiment_simple.py", "--no-clearml", f"{RUN} --no-clearml", ("results.json",)),
    Mapped("run_experiment_simple.py", "--use-clearml", f"{RUN} --use-clearml"),
    Mapped(
        "upload_results_to_clearml.py",
        "DIR",
        "sync outputs/experiment_name/ --to clearml",
        before=RUN,
    ),
    Mapped(
        "upload_results_to_clearml.py",
        "DIR --project P --task-name N --tags a b",
        "sync outputs/experiment_name/ --to clearml --project slm-experiments"
        " --task-name my_experiment --tags model_name dataset_name",
        before=RUN,
    ),
    Mapped(
        "upload_results_to_clearml.py",
        "DIR --env-file .env",
        "sync outputs/experiment_name/ --to clearml --env-file .env",
        before=RUN,
    ),
    Mapped(
        "main.py",
        "--data D --dropout X --comment C",
        f"{RUN} --set baseline_config.environment=CartPole-v1"
        " --set variant_config.hyperparameters.ent_coef=0.3"
        ' --comment "Hypothesis: more entropy explores more"',
        ("results.json",),
    ),
    Mapped(
        "run_clean_training.py",
        "--loop_mode M --wandb_only --wandb_offline --n_epochs N --n_train_samples N",
        f"{RUN} --wandb_only --wandb_offline --set baseline_config.hyperparameters.gae_lambda=0.9"
        " --set baseline_config.training_steps=300",
        ("results.json", "elsewhere.json", "wandb/offline-run-*/run-*.wandb"),
        ("models/*", "report/*", "checkpoints/*/*", "runs/*/journal.jsonl", "metrics/*"),
    ),
    Mapped(
        "run_clean_training.py",
        "--loop_mode M --wandb_only --n_epochs N --n_train_samples N",
        f"{RUN} --wandb_only",
        ("results.json", "elsewhere.json"),
        ("models/*", "report/*", "wandb/*", "runs/*/journal.jsonl"),
    ),
    Mapped(
        "run_clean_training.py",
        "--loop_mode M --disable_local_files --n_epochs N",
        f"{RUN} --disable_local_files",
        ("models/*.zip", "report/index.html"),
        ("report/*.png", "report/*.svg"),
    ),
    Mapped(
        "src/training/train_cyclic_loop_comparison.py",
        "--loop_mode M --wandb_only --wandb_offline --disable_curvature_during_training"
        " --n_epochs N --n_train_samples N",
        f"{RUN} --wandb_only --wandb_offline --disable_curvature_during_training",
        ("elsewhere.json",),
        ("models/*",),
    ),
    Mapped("cleanup_training_files.py", "", "clean --workspace old --all --yes"),
    Mapped(
        "train_multiturn_qa.py",
        "--model-name M --max-prompts N --rollouts-per-step N --wandb-project P --run-name R"
        " --lr X --group-size N --train-batch-size N",
        f"{GRPO} --task multiturn_qa --max-prompts 100 --rollouts-per-step 2"
        " --wandb-project my_qa_experiment --run-name qa_test_run"
        " --lr 1e-5 --group-size 8 --train-batch-size 8 --model-name tiny",
        ("results.json",),
    ),
    Mapped("train_multiturn_qa.py", "--no-wandb", f"{GRPO} --no-wandb", ("results.json",)),
    Mapped(
        "train_multiturn_calc_tool_calling.py",
        "--model-name M --no-wandb --wandb-project P --temperature X --max-length N --run-name R"
        " --lr X --group-size N --rollouts-per-step N --max-prompts N",
        f"{GRPO} --task multiturn_calculator --no-wandb --log-dir logs --temperature 0.8"
        " --max-length 64",
        ("results.json",),
    ),
    Mapped("train.py", "", f"{GRPO} --wandb-project tiny_grpo", ("results.json",)),
    Mapped("train_accelerate.py", "", f"{GRPO} --no-wandb --device cpu", ("results.json",)),
    Mapped("train_accelerate_ddp.py", "", f"{GRPO} --no-wandb --processes 2", ("results.json",)),
)


def source_lines() -> list[list[str]]:
    """Every command line of the sources that calls a Python script: its words from the script."""
    found = []
    for page in sorted(SOURCES.glob("00[0134]_*.md")):
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL):
            for line in block.splitlines():
                words = shlex.split(line, comments=True)
                scripts = [n for n, word in enumerate(words) if word.endswith(".py")]
                found += [words[scripts[0] :]] if scripts else []
    return found


@pytest.mark.skipif(not SOURCES.is_dir(), reason="the documents of the older scripts are not here")
def test_every_command_line_of_the_older_documents_is_mapped() -> None:
    lines = source_lines()
    assert len(lines) > 20
    for script, *words in lines:
        options = {word for word in words if word.startswith("--")}
        mapped = [each for each in MAPPED if each.script == script]
        known = {word for each in mapped for word in each.options.split() if word[:2] == "--"}
        assert mapped, script
        assert options <= known, (script, options - known)


@pytest.mark.parametrize("script", sorted({each.script for each in MAPPED}))
def test_the_readme_says_where_each_script_went(script: str) -> None:
    _, _, section = README.partition("\n## Where the older scripts went\n")
    rows = [line for line in section.partition("\n## ")[0].splitlines() if line.startswith("|")]
    assert any(f"`{script}" in row or f" {script}" in row for row in rows)
    options = {
        word
        for each in MAPPED
        if each.script == script
        for word in each.options.split()
        if word.startswith("--")
    }
    for option in options:
        assert any(re.search(rf"`(?:[^`]* )?{option}[ `]", row) for row in rows), option


def experiments(folder: Path, words: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "src.experiments", *shlex.split(words)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def clutter(folder: Path) -> tuple[list[Path], list[Path]]:
    """A workspace as trainings leave it: what the script removed, and what it kept."""
    removed = ["curve.png", "loop.html", "epoch_3.pt", "wandb/run-20250101_000000-abc/files/x"]
    removed += ["__pycache__/train.cpython-311.pyc"]
    kept = ["train.py", "data.csv", "config.yaml"]
    for name in (*removed, *kept):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    return [folder / name for name in removed], [folder / name for name in kept]


RUNNABLE = [
    pytest.param(each, id=each.here, marks=[needs_trl] * each.here.startswith("grpo"))
    for each in MAPPED
]


@pytest.mark.slow
@pytest.mark.parametrize("mapped", RUNNABLE)
def test_the_mapped_command_does_what_the_script_did(
    mapped: Mapped, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (tmp_path / "exp.json").write_text(json.dumps(EXPERIMENT))
    root = tmp_path / "outputs" / "experiment_name"
    with ClearmlRemote(tmp_path) as clearml, WandbRemote(tmp_path) as wandb:
        settings = {"USE_CLEARML": "false", **clearml.environment}
        lines = [f"{name}={value}\n" for name, value in settings.items()]
        (tmp_path / ".env").write_text("".join(lines))
        removed, kept = clutter(tmp_path / "old")
        if mapped.before:
            experiments(tmp_path, mapped.before, wandb.environment)
        # the tiny models are made once for all
        models = {"XDG_CACHE_HOME": str(tmp_path_factory.getbasetemp() / "models")}
        experiments(tmp_path, mapped.here, {**wandb.environment, **models})

        for pattern in mapped.leaves:
            assert list(root.glob(pattern)), pattern
        for pattern in mapped.absent:
            assert not list(root.glob(pattern)), pattern
        assert all(path.exists() for path in kept)
        assert any(path.exists() for path in removed) is ("clean" not in mapped.here)
        told = clearml.statuses()
        if "clearml" in mapped.here.replace("--no-clearml", ""):
            assert [status for _, status in told] == ["completed", "completed"]
        else:
            assert not told
        assert bool(wandb.statuses()) is is_told_wandb(mapped.here)
        if "--task-name" in mapped.here:
            assert [name for name, _ in told] == [
                "my_experiment baseline_seed42",
                "my_experiment variant_seed42",
            ]
        if "--log-dir" in mapped.here:
            assert list((tmp_path / "logs").glob("experiment_name/*/events.out.tfevents.*"))


def is_told_wandb(words: str) -> bool:
    """Whether a server of Weights & Biases hears of it."""
    asks = any(option in words for option in ("--wandb_only", "--wandb-project"))
    return asks and "--wandb_offline" not in words
