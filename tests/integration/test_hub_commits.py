"""One experiment trains from one commit of a hub's model, wherever its repository moves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from src.experiments.config import parse_experiment
from src.experiments.domain.errors import RunStoppedError, StorageError, TrainingError
from src.experiments.domain.paths import ExperimentPaths, RunPaths
from src.experiments.domain.records import TrainerConfig
from src.experiments.training import Trainer
from src.experiments.training.heartbeat import Tally
from src.experiments.verification import Audience, Plan, verify
from tests.doubles.hub import FIRST, KNOWN, MODEL, SECOND, Hub, put
from tests.integration.test_grpo import asks_after, journal, run_config
from tests.language import needs_trl, newborn, quick_pair

pytestmark = [pytest.mark.integration, needs_trl]


def snapshot(commit: str | None = None) -> Path:
    from src.experiments.training.trl.models.hub import snapshot_of

    return snapshot_of(MODEL, Tally(), commit, with_weights=True)


def run_of(folder: Path, name: str = "baseline_seed1") -> Path:
    return folder / "experiment" / "runs" / name


def commit_begun_with(run_dir: Path | None, model: str = MODEL) -> str | None:
    from src.experiments.training.trl.models import commits

    return commits.commit_begun_with(model, run_dir)


def begin_with(commit: str | None, run_dir: Path | None, model: str = MODEL) -> str | None:
    from src.experiments.training.trl.models import commits

    return commits.begin_with(commit, model, run_dir)


def test_the_first_commit_is_that_of_all_runs(tmp_path: Path) -> None:
    one, other = run_of(tmp_path), run_of(tmp_path, "variant_seed2")
    before = commit_begun_with(one)

    assert before is None
    assert [begin_with(FIRST, one), begin_with(SECOND, other)] == [FIRST, FIRST]
    assert [commit_begun_with(one), commit_begun_with(other)] == [FIRST, FIRST]
    assert begin_with(SECOND, one, "laboratory/other") == SECOND


def test_of_many_runs_at_the_same_moment_one_is_first(tmp_path: Path) -> None:
    commits = [character * 40 for character in "0123456789abcdef"]
    together = threading.Barrier(len(commits))

    def begin(commit: str) -> str | None:
        together.wait()
        return begin_with(commit, run_of(tmp_path, f"variant_seed{int(commit[0], 16)}"))

    with ThreadPoolExecutor(len(commits)) as threads:
        agreed = set(threads.map(begin, commits))

    assert agreed == {commit_begun_with(run_of(tmp_path))}
    assert agreed < set(commits)
    models = tmp_path / "experiment" / "provenance" / "models"
    assert [path.name for path in models.rglob("*")] == ["laboratory--model", "commit.json"]


def test_a_run_that_was_killed_while_it_recorded_its_commit_stops_nobody(tmp_path: Path) -> None:
    torn = tmp_path / "experiment" / "provenance" / "models" / ".laboratory--model.abcd.new"
    torn.mkdir(parents=True)
    (torn / "commit.json").write_text('{"na')

    assert commit_begun_with(run_of(tmp_path)) is None
    assert begin_with(FIRST, run_of(tmp_path)) == FIRST


@pytest.mark.parametrize(
    "model", ["tiny", "./tiny", "/x" * 3000, "../..", "x" * 3000, "a--b", "\0"]
)
def test_nothing_is_recorded_of_what_is_no_model_of_a_hub(tmp_path: Path, model: str) -> None:
    told = None if model == "tiny" else FIRST
    found = begin_with(told, run_of(tmp_path), model)

    assert (found, commit_begun_with(run_of(tmp_path), model)) == (told, None)
    assert begin_with(FIRST, None) == FIRST
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"commit": "../../elsewhere"}'])
def test_a_record_that_was_damaged_is_told(tmp_path: Path, text: str) -> None:
    begin_with(FIRST, run_of(tmp_path))
    record = RunPaths(run_of(tmp_path)).experiment.model_commit(MODEL)
    record.write_text(text)
    with pytest.raises(StorageError, match=r"not valid JSON|names no commit") as caught:
        commit_begun_with(run_of(tmp_path))

    assert caught.value.where == str(record)


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


def lesson_of(config: TrainerConfig) -> Any:
    from src.experiments.training.trl import learning

    return learning.lesson_of(config, prompts=8, tally=Tally())


def test_runs_that_start_together_learn_from_one_commit(moving: Hub, tmp_path: Path) -> None:
    moving.waver(**other_files())
    moving.questions_at_once = 2
    one = run_config(tmp_path, model_name=MODEL)
    other = replace(one, run_dir=tmp_path / "runs" / "variant_seed3")
    with ThreadPoolExecutor(2) as threads:
        lessons = list(threads.map(lesson_of, [one, other]))

    assert [each for each in moving.asked if each == KNOWN] == [KNOWN, KNOWN]
    assert lessons[0].source.folder == lessons[1].source.folder
    assert lessons[0].source.tokenizer.get_vocab() == lessons[1].source.tokenizer.get_vocab()


def test_a_model_that_is_of_no_use_can_be_mended_on_its_hub(moving: Hub, tmp_path: Path) -> None:
    whole = moving.files["tokenizer_config.json"]
    without_end = {**json.loads(whole), "eos_token": None}
    moving.files["tokenizer_config.json"] = json.dumps(without_end).encode()
    config = run_config(tmp_path, model_name=MODEL)
    with pytest.raises(TrainingError, match="no token for the end of a turn"):
        lesson_of(config)
    moving.move_on(**{"tokenizer_config.json": whole})

    assert lesson_of(config).source.commit == SECOND


@pytest.mark.slow
def test_all_runs_of_an_experiment_begin_with_one_commit(moving: Hub, tmp_path: Path) -> None:
    first = run_config(tmp_path, model_name=MODEL)
    second = replace(first, seed=4, run_dir=tmp_path / "runs" / "variant_seed4", checkpoints=None)
    elsewhere = replace(second, run_dir=tmp_path / "other" / "runs" / "variant_seed4")
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


@pytest.mark.slow
def test_arms_that_train_at_the_same_time_train_from_one_commit(
    moving: Hub, tmp_path: Path
) -> None:
    moving.waver(**other_files())
    file = tmp_path / "exp.json"
    file.write_text(json.dumps({"experiment_id": "pair", **quick_pair(MODEL)}))
    command = [sys.executable, "-m", "src.experiments", "run", str(file), "--mode", "parallel"]
    done = subprocess.run(
        [*command, "--output-dir", str(tmp_path / "results")],
        env={**os.environ, **moving.environment(tmp_path / "hf")},
        capture_output=True,
        text=True,
        timeout=200,
    )

    assert done.returncode == 0, done.stderr
    paths = ExperimentPaths.under(tmp_path / "results", "pair")
    journals = sorted(paths.root.glob("runs/*/journal.jsonl"))
    models = [json.loads(each.read_text().splitlines()[0])["starting_model"] for each in journals]
    assert len(models) == 2
    assert models[0] == models[1]
    record = json.loads(paths.model_commit(MODEL).read_text())
    assert record == {"name": MODEL, "commit": models[0]["commit"]}
    assert str(paths.model_commit(MODEL).relative_to(paths.root)) in paths.manifest.read_text()


@pytest.mark.slow
def test_what_is_told_of_resuming_is_not_about_a_repository_that_moved(
    moving: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in moving.environment(tmp_path / "hf").items():
        monkeypatch.setenv(name, value)

    def move_after_the_first(doing: str) -> None:
        if doing.startswith("training the same again"):
            moving.move_on(**other_files())

    config = parse_experiment({"hypothesis": "it is exact", **quick_pair(MODEL)})
    found = verify(Plan(config, tmp_path, kills=1), Audience(doing=move_after_the_first))

    assert moving.commit == SECOND
    assert [check.reason for check in found.checks] == [None, None]
