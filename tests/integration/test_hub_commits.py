"""One experiment trains from one commit of a hub's model, wherever its repository moves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from src.experiments.domain.errors import RunStoppedError, TrainingError
from src.experiments.domain.paths import RunPaths
from src.experiments.domain.records import TrainerConfig
from src.experiments.training import Trainer
from src.experiments.training.heartbeat import Tally
from tests.doubles.hub import FIRST, KNOWN, MODEL, SECOND, Hub, put
from tests.integration.test_grpo import asks_after, journal, run_config
from tests.language import needs_trl, newborn

pytestmark = [pytest.mark.integration, needs_trl]


def snapshot(commit: str | None = None) -> Path:
    from src.experiments.training.trl.models.hub import snapshot_of

    return snapshot_of(MODEL, Tally(), commit, with_weights=True)


def began(run_dir: Path, **starting_model: str) -> Path:
    """Have a run that began with a model."""
    record = {"kind": "started", "step": 0, "starting_model": starting_model}
    return wrote(run_dir, json.dumps(record) + "\n")


def wrote(run_dir: Path, text: str) -> Path:
    run_dir.mkdir(parents=True)
    (run_dir / "journal.jsonl").write_text(text)
    return run_dir


def commit_begun_with(run_dir: Path | None) -> str | None:
    from src.experiments.training.trl.models import commits

    return commits.commit_begun_with(MODEL, run_dir)


def test_a_run_goes_on_with_its_own_commit_and_begins_with_that_of_another(tmp_path: Path) -> None:
    began(tmp_path / "baseline_seed1", name=MODEL, commit=FIRST)
    own = began(tmp_path / "variant_seed1", name=MODEL, commit=SECOND)

    assert commit_begun_with(own) == SECOND
    assert commit_begun_with(tmp_path / "variant_seed2") == FIRST
    assert commit_begun_with(None) is None


def test_journals_that_tell_no_commit_of_the_model_are_passed_over(tmp_path: Path) -> None:
    began(tmp_path / "a", name="laboratory/other", commit=SECOND)
    began(tmp_path / "b", name=MODEL)
    began(tmp_path / "c", name=MODEL, commit="../../elsewhere")
    for name, text in {"d": "", "e": "{torn", "f": "[]\n", "g": "[" * 100_000}.items():
        wrote(tmp_path / name, text)
    (tmp_path / "h" / "journal.jsonl").mkdir(parents=True)
    before = commit_begun_with(tmp_path / "own")
    began(tmp_path / "i", name=MODEL, commit=FIRST)

    assert before is None
    assert commit_begun_with(tmp_path / "own") == FIRST


def test_a_commit_that_lies_in_the_cache_is_not_asked_for(hub: Hub, cache: Path) -> None:
    first = put(cache, FIRST)
    put(cache, SECOND)
    hub.move_on()

    assert snapshot(FIRST) == first
    assert hub.asked == []
    assert (cache / "models--laboratory--model" / "refs" / "main").read_text() == SECOND


def test_a_commit_that_is_not_in_the_cache_is_downloaded(hub: Hub, cache: Path) -> None:
    (put(cache, FIRST) / "model.safetensors").unlink()
    put(cache, SECOND)
    hub.move_on()
    folder = snapshot(FIRST)

    assert (folder.name, (folder / "model.safetensors").is_file()) == (FIRST, True)
    assert [each for each in hub.asked if KNOWN in each] == [f"{KNOWN}/revision/{FIRST}"]
    assert (cache / "models--laboratory--model" / "refs" / "main").read_text() == SECOND


def test_a_commit_that_nobody_has_any_more_is_told(hub: Hub, cache: Path) -> None:
    put(cache, SECOND)
    hub.move_on()
    hub.forget()
    told = rf"its commit {FIRST}, with which the experiment began, is not in .*cache, and .*'404 "
    with pytest.raises(TrainingError, match=told) as caught:
        snapshot(FIRST)

    assert f"hf download {MODEL} --revision {FIRST}" in str(caught.value.remedy)


def test_a_folder_has_a_commit_by_its_name_alone(tmp_path: Path) -> None:
    from src.experiments.training.trl.models.commits import commit_of

    names = [FIRST, "step-100", FIRST[1:], FIRST.upper()]
    found = [commit_of(tmp_path / "snapshots" / name) for name in names]
    assert found == [FIRST, None, None, None]
    assert commit_of(tmp_path / FIRST) is None


@pytest.fixture
def moving(hub: Hub) -> Hub:
    """Its model can be trained, and will be another one."""
    hub.files = {path.name: path.read_bytes() for path in Path(newborn()).iterdir()}
    return hub


def other_files() -> dict[str, bytes]:
    """Of a model whose tokenizer means something else by some numbers."""
    content = json.loads((Path(newborn()) / "tokenizer.json").read_text())
    words = content["model"]["vocab"]
    words["1"], words["2"] = words["2"], words["1"]
    return {"tokenizer.json": json.dumps(content).encode()}


def beginning(config: TrainerConfig) -> dict[str, Any]:
    found: dict[str, Any] = journal(config)[0]["starting_model"]
    return found


@pytest.mark.slow
def test_all_runs_of_an_experiment_begin_with_one_commit(moving: Hub, tmp_path: Path) -> None:
    first = run_config(tmp_path, model_name=MODEL)
    second = replace(first, seed=4, run_dir=tmp_path / "runs" / "variant_seed4", checkpoints=None)
    elsewhere = replace(second, run_dir=tmp_path / "other" / "variant_seed4")
    Trainer(first).train()
    moving.move_on(**other_files())
    for config in (second, elsewhere):
        Trainer(config).train()

    assert beginning(first)["name"] == MODEL
    assert beginning(second) == beginning(first)
    assert beginning(first)["commit"] == FIRST
    assert beginning(elsewhere)["commit"] == SECOND
    questions = [each for each in moving.asked if each.startswith(KNOWN)]
    assert questions == [KNOWN, KNOWN]  # one of each experiment


@pytest.mark.slow
def test_a_run_goes_on_with_the_commit_that_it_began_with(moving: Hub, tmp_path: Path) -> None:
    config = run_config(tmp_path, model_name=MODEL)
    undisturbed = Trainer(replace(config, run_dir=None, checkpoints=None)).train()
    with pytest.raises(RunStoppedError):
        Trainer(config, asked_to_stop=asks_after(4, config)).train()
    moving.move_on(**other_files())
    again = replace(config, attempt=2)
    result = Trainer(again).train()

    assert again.run_dir is not None
    start = json.loads(RunPaths(again.run_dir).attempt(2).start.read_text())
    assert start["why_inexact"] is None
    assert result.parameters_sha256 == undisturbed.parameters_sha256
