"""Two trainings of a run are the same, or the first thing in which they differ is named."""

import io
import json
import zipfile

import pytest
import torch

from src.experiments.domain.errors import StorageError
from src.experiments.domain.paths import ExperimentPaths
from src.experiments.domain.records import RunKey
from src.experiments.training.sb3.saved_tensors import first_difference
from src.experiments.verification.comparing import compare

RUN = RunKey("baseline", 3)
JOURNAL = [
    {"kind": "started", "step": 0, "time": 1.0},
    {"kind": "metrics", "step": 64, "metrics": {"train/loss": float("nan")}, "time": 2.0},
    {"kind": "metrics", "step": 128, "metrics": {"train/loss": 0.5}, "training_time": 2.0},
]
RESULT = {
    "arm": "baseline",
    "seed": 3,
    "final_return": 9.5,
    "training_time": 1.5,
    "attempts": 1,
    "resumed_from_steps": [],
    "parameters_sha256": "ab12",
}


def packed(**tensors):
    file = io.BytesIO()
    torch.save({"state": {0: tensors}, "param_groups": [{"lr": 0.1}]}, file)
    return file.getvalue()


class Written:
    """An experiment of one run on disk."""

    def __init__(self, folder):
        self.paths = ExperimentPaths.under(folder, "short")
        self.run = self.paths.run(RUN)
        self.attempts(None)
        self.journal(JOURNAL)
        self.result()
        self.model(packed(exp_avg=torch.ones(3)))
        self.predictions(9.5)

    def attempts(self, *reasons):
        for number, why_inexact in enumerate(reasons, 1):
            start = {"step": 64 * (number - 1), "why_inexact": why_inexact}
            self._write(self.run.attempt(number).start, json.dumps(start))

    def predictions(self, reward):
        number = self.run.attempts()[-1]
        episodes = [{"episode": 0, "return": reward}]
        self._write(self.run.attempt(number).predictions, json.dumps({"episodes": episodes}))

    def journal(self, records):
        self._write(self.run.journal, "".join(json.dumps(each) + "\n" for each in records))

    def result(self, **changed):
        self._write(self.paths.results, json.dumps({"runs": [{**RESULT, **changed}]}))

    def model(self, optimizer):
        path = self.paths.model(RUN, single_seed=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("policy.optimizer.pth", optimizer)
            archive.writestr("data", f"written at {id(archive)}")

    @staticmethod
    def _write(path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def undisturbed(tmp_path):
    return Written(tmp_path / "undisturbed")


@pytest.fixture
def continued(tmp_path):
    written = Written(tmp_path / "continued")
    written.attempts(None, None)
    written.predictions(9.5)
    written.result(attempts=2, resumed_from_steps=[64], training_time=7.0)
    written.journal([{**JOURNAL[0], "time": 5.0}, *JOURNAL[1:]])
    return written


def check_of(undisturbed, continued):
    return compare(undisturbed.paths, continued.paths, RUN)


def test_attempts_and_the_clock_may_differ(undisturbed, continued):
    check = check_of(undisturbed, continued)

    assert (check.is_exact, check.reason, check.mismatch) == (True, None, None)
    assert check.resumed_from_steps == (64,)
    assert check.parameters_sha256 == "ab12"
    names = ("3 journal records", "result", "predictions.json", "policy.optimizer.pth")
    assert check.compared == names
    assert check.to_dict()["resume"] == "exact"


def test_the_first_record_that_differs_is_named_by_step_and_field(undisturbed, continued):
    last = {**JOURNAL[2], "metrics": {"train/loss": 0.25}}
    continued.journal([*JOURNAL[:2], last])
    check = check_of(undisturbed, continued)

    assert not check.is_exact
    assert check.reason == (
        "journal.jsonl differs at step 128: metrics.train/loss is 0.5 undisturbed,"
        " 0.25 when killed and continued"
    )
    difference = check.to_dict()["difference"]
    assert (difference["file"], difference["step"], difference["continued"]) == (
        *("journal.jsonl", 128),
        0.25,
    )


def test_a_difference_before_the_first_kill_is_not_the_kills(undisturbed, continued):
    continued.journal([JOURNAL[0], {**JOURNAL[1], "metrics": {"train/loss": 1.0}}, JOURNAL[2]])
    check = check_of(undisturbed, continued)

    assert check.reason.endswith("before the first kill: this training is never the same twice")


def test_a_journal_that_lacks_its_end_differs(undisturbed, continued):
    continued.journal(JOURNAL[:2])

    mismatch = check_of(undisturbed, continued).mismatch
    assert (mismatch.file, mismatch.field, mismatch.step) == ("journal.jsonl", "a record", 128)


def test_what_the_run_says_of_itself_comes_first(undisturbed, continued):
    continued.attempts(None, "the environment hides something")
    check = check_of(undisturbed, continued)

    assert (check.is_exact, check.mismatch) == (False, None)
    assert check.reason == "the environment hides something"


def test_a_result_differs(undisturbed, continued):
    continued.result(resumed_from_steps=[64], parameters_sha256="cd34")

    mismatch = check_of(undisturbed, continued).mismatch
    assert (mismatch.file, mismatch.field) == ("results.json", "parameters_sha256")
    assert (mismatch.undisturbed, mismatch.continued) == ("ab12", "cd34")


def test_a_final_episode_differs(undisturbed, continued):
    continued.predictions(8.0)

    mismatch = check_of(undisturbed, continued).mismatch
    assert (mismatch.file, mismatch.field) == ("predictions.json", "episodes[0].return")


def test_a_moment_of_the_optimiser_differs_in_its_last_bit(undisturbed, continued):
    ones = torch.ones(3)
    ones[1] = torch.nextafter(ones[1], torch.tensor(2.0))
    continued.model(packed(exp_avg=ones))

    mismatch = check_of(undisturbed, continued).mismatch
    assert (mismatch.file, mismatch.field) == ("model: policy.optimizer.pth", "state.0.exp_avg")


def test_a_missing_run_is_an_error_that_names_the_file(undisturbed, continued):
    continued.result(seed=4)

    with pytest.raises(StorageError, match=r"results.json: baseline_seed3 is missing"):
        check_of(undisturbed, continued)


def test_tensors_count_and_not_how_they_are_packed():
    first, second = torch.zeros(2), torch.full((2,), float("nan"))
    file = io.BytesIO()
    torch.save({"param_groups": [{"lr": 0.1}], "state": {0: {"b": second, "a": first}}}, file)

    assert file.getvalue() != packed(a=first, b=second)
    assert first_difference(file.getvalue(), packed(a=first, b=second)) is None
    assert first_difference(file.getvalue(), packed(a=first)) == "state.0.b"
    assert first_difference(packed(a=first), packed(a=-first)) == "state.0.a"
    assert first_difference(packed(a=first), packed(a=first.double())) == "state.0.a"
    assert first_difference(packed(a=torch.tensor(1)), packed(a=torch.tensor(2))) == "state.0.a"
