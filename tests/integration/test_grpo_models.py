"""Models that cannot be loaded, and caches that cannot be written: one line, with the remedy."""

from __future__ import annotations

import json
import shutil
import sys
from contextlib import closing
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from src.experiments.cli.app import main
from src.experiments.domain.errors import ExperimentsError, StorageError, TrainingError, UsageError
from src.experiments.domain.records import TrainerConfig
from src.experiments.training.backend import create_backend
from tests.language import EASY, QUICK, needs_trl, newborn, quick_pair

if TYPE_CHECKING:
    from src.experiments.training.trl.backend import LanguageModels

pytestmark = [pytest.mark.integration, needs_trl]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(newborn(), tmp_path / "model"))


def refusal(model_name: str) -> ExperimentsError:
    settings = {**QUICK, "model_name": model_name}
    config = TrainerConfig("GRPO", "arithmetic", 2, seed=1, hyperparameters=settings, device="cpu")
    with (
        closing(create_backend("trl", config)) as backend,
        pytest.raises(ExperimentsError) as caught,
    ):
        backend.build()
    assert "\n" not in str(caught.value)
    return caught.value


def change(path: Path, *left_out: str, **changed: Any) -> None:
    content = {**json.loads(path.read_text()), **changed}
    path.write_text(json.dumps({name: content[name] for name in content if name not in left_out}))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tokenizer.json", "cannot be loaded"),
        ("tokenizer_config.json", "cannot be loaded"),
        ("model.safetensors", "model.safetensors is damaged"),
        ("config.json", "config.json is not JSON"),
    ],
)
def test_files_that_are_damaged_are_told_at_the_start(
    folder: Path, name: str, message: str
) -> None:
    (folder / name).write_text("{torn")

    error = refusal(str(folder))
    assert isinstance(error, TrainingError)
    assert message in str(error)
    assert "model_name" in str(error)


def test_a_tokenizer_without_an_end_of_turn_is_told(folder: Path) -> None:
    change(folder / "tokenizer_config.json", eos_token=None, pad_token=None)

    assert "no token for the end of a turn (eos_token)" in str(refusal(str(folder)))


def test_an_end_of_turn_that_the_model_does_not_know_is_told(folder: Path) -> None:
    change(folder / "tokenizer_config.json", "eos_token", "pad_token")

    told = str(refusal(str(folder)))
    assert "eos_token of its tokenizer is number 18, and the model knows 18 tokens" in told


@pytest.mark.parametrize("where", ["generation_config.json", "config.json"])
def test_a_model_that_ends_turns_otherwise_than_its_tokenizer_is_heard(
    folder: Path, where: str
) -> None:
    change(folder / "tokenizer_config.json", eos_token="<pad>")  # as of Gemma and Phi-3
    change(folder / "generation_config.json", eos_token_id=[1, 0])
    if where == "config.json":
        (folder / "generation_config.json").unlink()
        change(folder / "config.json", eos_token_id=[1, 0])
    settings = {**QUICK, "model_name": str(folder), "max_completion_length": 30}
    config = TrainerConfig("GRPO", "arithmetic", 2, seed=1, hyperparameters=settings, device="cpu")
    config = replace(config, environment_kwargs=EASY)
    with closing(create_backend("trl", config)) as backend:
        backend.build()
        episodes = backend.evaluate(range(40), deterministic=False)
        stops = cast("LanguageModels", backend).learning.eos_token_ids

    assert set(stops) == {0, 1}
    assert sum(each.reward_sum for each in episodes) > 0
    for each in episodes[:3]:
        assert each.text is not None
        assert each.text.count("<end>") <= 1


def test_a_model_that_cannot_look_at_prompt_and_completion_is_told(folder: Path) -> None:
    change(folder / "config.json", max_position_embeddings=9)  # sums are of four tokens

    told = refusal(str(folder))
    assert isinstance(told, TrainingError)
    assert "a prompt of 4 tokens and a completion of 6 do not fit" in str(told)
    assert "context is 9 tokens" in str(told)
    assert "set max_completion_length to 5 at most (/hyperparameters/max_com" in str(told.remedy)


def test_a_kind_of_model_that_nobody_knows_is_told(folder: Path) -> None:
    change(folder / "config.json", model_type="riddles")

    assert "cannot be loaded" in str(refusal(str(folder)))


@pytest.mark.parametrize(
    ("file", "auto_map"),
    [
        ("config.json", {"AutoConfig": "conf.Conf"}),
        ("tokenizer_config.json", {"AutoTokenizer": ["conf.Conf", None]}),
    ],
)
def test_code_that_comes_with_a_model_is_not_executed_and_nobody_is_asked(
    folder: Path, monkeypatch: pytest.MonkeyPatch, file: str, auto_map: dict[str, Any]
) -> None:
    executed = folder / "executed"
    (folder / "conf.py").write_text(f"open({str(executed)!r}, 'w').close()\n")
    change(folder / file, auto_map=auto_map)
    if file == "config.json":
        change(folder / file, model_type="riddles")
    else:
        change(folder / file, tokenizer_class="Conf")
        change(folder / "config.json", model_type="helium")  # whose tokenizers have no class
    answers = StringIO("y\n" * 9)
    monkeypatch.setattr(sys, "stdin", answers)
    error = refusal(str(folder))

    assert isinstance(error, TrainingError)
    assert "needs code of its own to be executed (auto_map), which is never done" in str(error)
    assert "trust_remote_code" not in str(error)
    assert (answers.tell(), executed.exists()) == (0, False)


def test_code_that_a_model_can_do_without_is_not_executed_either(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executed = folder / "executed"
    code = f"open({str(executed)!r}, 'w').close()\ndef generate(*_, **__): raise AssertionError\n"
    (folder / "custom_generate").mkdir()
    for name in ("conf.py", "custom_generate/generate.py"):
        (folder / name).write_text(code)
    parts = ("AutoConfig", "AutoModelForCausalLM")
    change(folder / "config.json", auto_map=dict.fromkeys(parts, "conf.Conf"))
    answers = StringIO("y\n" * 9)
    monkeypatch.setattr(sys, "stdin", answers)
    settings = {**QUICK, "model_name": str(folder)}
    config = TrainerConfig("GRPO", "arithmetic", 2, seed=1, hyperparameters=settings, device="cpu")
    with closing(create_backend("trl", config)) as backend:
        backend.build()
        backend.evaluate([0], deterministic=False)

    assert (answers.tell(), executed.exists()) == (0, False)


def test_a_cache_that_cannot_be_written_is_told_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    error = refusal("tiny")
    assert isinstance(error, StorageError)
    assert "set XDG_CACHE_HOME to a folder that can be written" in str(error)


def test_without_a_home_the_remedy_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)

    error = refusal("tiny")
    assert isinstance(error, UsageError)
    assert "set XDG_CACHE_HOME" in str(error)


@pytest.mark.slow
def test_a_rehearsal_tells_of_the_model_that_it_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exp.json").write_text(json.dumps(quick_pair("tiny")))

    assert main(["validate", "exp.json"]) == 0
    told = capsys.readouterr().out.replace("\n", "")
    (made,) = (tmp_path / "cache" / "rl-experiments" / "models").glob("tiny-*/")
    assert f"nothing was written except a model made for its runs, {made}" in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "exp.json"]
    assert main(["validate", "exp.json"]) == 0
    assert "valid: nothing was written" in capsys.readouterr().out.splitlines()
