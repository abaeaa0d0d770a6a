"""Every bad experiment file is refused with the message that lies beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from src.experiments.config import audit, experiment_schema, load_experiment_file
from src.experiments.domain.errors import ConfigurationError
from tests.bad_configs.builders import AWKWARD, FOLDER, expected_message

FILES = sorted(FOLDER.glob("*.json"))
ACCEPTED = sorted((FOLDER / "accepted").glob("*.json"))


def refusal(path: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_experiment_file(path)
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_bad_file_is_refused_with_its_message(path: Path) -> None:
    assert refusal(path) == expected_message(path.stem, path)


@pytest.mark.parametrize("name", AWKWARD)
def test_a_file_that_is_no_plain_text_is_refused_with_its_message(
    name: str, tmp_path: Path
) -> None:
    path = tmp_path / f"{name}.json"
    AWKWARD[name](path)

    assert refusal(path) == expected_message(name, path)


@pytest.mark.parametrize("path", ACCEPTED, ids=lambda path: path.stem)
def test_an_odd_but_right_file_is_accepted_and_inert(path: Path) -> None:
    config = load_experiment_file(path)

    given = json.loads(path.read_text(encoding="utf-8-sig"))
    assert config.hypothesis == given["hypothesis"]
    audit(config)


def test_every_case_has_its_message_and_every_message_its_case() -> None:
    messages = {path.stem for path in FOLDER.glob("*.expected")}

    assert {path.stem for path in FILES} | set(AWKWARD) == messages
    assert len(messages) >= 66


def test_no_message_is_a_traceback_or_shows_a_control_character() -> None:
    for path in FOLDER.glob("*.expected"):
        text = path.read_text(encoding="utf-8")
        assert "Traceback" not in text
        assert all(char == "\n" or char.isprintable() for char in text)


def test_secrets_are_not_echoed() -> None:
    secrets = {
        "secret_by_name": "correct-horse-battery",
        "secret_by_form": "AKIAIOSFODNN7EXAMPLE",
        "secret_in_key": "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    }
    for name, secret in secrets.items():
        assert secret in (FOLDER / f"{name}.json").read_text(encoding="utf-8")
        assert secret not in (FOLDER / f"{name}.expected").read_text(encoding="utf-8")


def test_the_schema_is_committed_as_it_is_generated() -> None:
    committed = json.loads(Path("configs/experiment.schema.json").read_text(encoding="utf-8"))

    assert committed == experiment_schema()
