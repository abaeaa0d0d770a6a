"""What Weights & Biases is told holds no secret, and nothing that UTF-8 has not."""

from src.experiments.domain.records import RunKey, RunStatus
from src.experiments.tracking.cleaned import (
    cleaned_conclusion,
    cleaned_description,
    cleaned_record,
)
from src.experiments.tracking.tracker import CodeState, RunConclusion, RunDescription, Table

SECRET = "s3cr3t-canary"
SECRETS = {SECRET}


def test_no_text_of_a_description_holds_a_secret():
    said = f"with {SECRET}"
    told = cleaned_description(
        RunDescription(
            experiment_id="gamma",
            run=RunKey("variant", 7),
            name=said,
            project="cartpole",
            uid="0123456789abcdef",
            parameters={"url": said, "api_key": "another", "nested": [said, {"deep": said}]},
            differences={"url": (said, 1)},
            tags=(said,),
            comment=said,
            hypothesis=said,
            code=CodeState("abc", "main", said, said, said),
            packages=said,
            command=said,
        ),
        SECRETS,
    )

    assert SECRET not in repr(told)
    assert told.parameters["api_key"] == "[redacted]"
    assert told.differences["url"][1] == 1
    assert (told.code.commit, told.run) == ("abc", RunKey("variant", 7))


def test_no_text_of_a_conclusion_holds_a_secret(tmp_path):
    table = Table(("name", "value"), ((SECRET, 1.5), (None, 2)))
    ended = RunConclusion(
        RunStatus.FAILED, {"loss": 1.0}, {"arms": table}, verdict=SECRET, error=SECRET
    )
    told = cleaned_conclusion(ended, SECRETS, tmp_path)

    assert SECRET not in repr(told)
    assert told.tables["arms"].rows == (("[redacted]", 1.5), (None, 2))
    assert told.single_values == {"loss": 1.0}


def test_a_file_with_a_secret_is_told_as_a_copy_without_or_not_at_all(tmp_path):
    files = {}
    for place, content in {
        "a": SECRET.encode(),
        "b": b"nothing",
        "c": b"\xff" + SECRET.encode(),
    }.items():
        files[place] = tmp_path / place / "file.json"
        files[place].parent.mkdir()
        files[place].write_bytes(content)
    ended = RunConclusion(RunStatus.COMPLETED, artifacts=files, model=files["c"])
    told = cleaned_conclusion(ended, SECRETS, tmp_path / "copies")

    assert told.artifacts.keys() == {"a", "b"}
    assert told.artifacts["a"].read_text() == "[redacted]"
    assert told.artifacts["b"] == files["b"]
    assert told.model is None
    assert files["a"].read_text() == SECRET


def test_files_of_one_name_stay_apart(tmp_path):
    files = {}
    for place in ("a", "b"):
        files[place] = tmp_path / place / "file.txt"
        files[place].parent.mkdir()
        files[place].write_text(f"{place} {SECRET}")
    told = cleaned_conclusion(
        RunConclusion(RunStatus.COMPLETED, artifacts=files), SECRETS, tmp_path / "copies"
    )

    assert [path.read_text() for path in told.artifacts.values()] == [
        "a [redacted]",
        "b [redacted]",
    ]


def test_texts_of_records_are_cleaned_and_numbers_left_as_they_are():
    text = {"kind": "text", "step": 1, "name": "examples/a", "text": f"\ud800 {SECRET}"}
    row = {"kind": "metrics", "step": 1, "metrics": {"loss": 1.0}}

    assert cleaned_record(text, SECRETS)["text"] == "\\ud800 [redacted]"
    assert cleaned_record(row, SECRETS) is row
