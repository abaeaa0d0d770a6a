"""``experiments compare``: what differs, what came of it, where curves cross."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from src.experiments.cli.app import main
from src.experiments.domain.records import RunKey
from src.experiments.durability.lock import FileLock
from src.experiments.experiment import Experiment
from tests.unit.compared_experiments import LATE, RISING, finished, new, train, write_journal

ROOT = Path(__file__).parents[2]
OVERFITTING = (10, 20, 30, 50, 70, 80, 85, 80, 75, 70, 64, 61)
TRAINING = tuple(range(10, 130, 10))
COMPARISON_KEYS = {
    "verdict",
    "sentence",
    "metric",
    "effect",
    "interval",
    "alpha",
    "p_value",
    "looks",
    "n_per_arm",
    "failed_per_arm",
}


def told(
    output_dir: Path, capsys: pytest.CaptureFixture[str], *ids: str, code: int = 0
) -> dict[str, Any]:
    assert main(["compare", *ids, "--json", "--output-dir", str(output_dir)]) == code
    (line,) = capsys.readouterr().out.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def printed(output_dir: Path, capsys: pytest.CaptureFixture[str], *ids: str) -> str:
    assert main(["compare", *ids, "--output-dir", str(output_dir)]) == 0
    return capsys.readouterr().out


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``first``, and ``second`` with another learning rate and an arm that overfits."""
    folder = tmp_path_factory.mktemp("pair")
    finished(folder, "first", {"baseline": RISING, "variant": LATE})
    finished(
        folder,
        "second",
        {"baseline": [2 * value for value in RISING], "variant": OVERFITTING},
        {"variant": TRAINING},
        arm={"hyperparameters": {"learning_rate": 1e-3}},
    )
    return folder


# ---- several experiments


def test_settings_that_differ_have_a_value_of_each_experiment(
    pair: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(pair, capsys, "first", "second")["differences"] == [
        {
            "pointer": f"/{arm}_config/hyperparameters/learning_rate",
            "arm": arm,
            "values": {"first": 3e-4, "second": 1e-3},
            "defaults": ["first"],
        }
        for arm in ("baseline", "variant")
    ]


def test_scores_are_means_over_seeds_with_their_deviation(
    pair: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = told(pair, capsys, "first", "second")["experiments"]

    variant = first["arms"]["variant"]
    # the two seeds lie 1 below and 1 above: the deviation is the root of 2
    assert variant["final_return"] == {
        "mean": 120.0,
        "std": pytest.approx(2**0.5),
        "n": 2,
        "imputed": 0,
    }
    assert variant["auc"]["mean"] == pytest.approx(sum(LATE) / len(LATE))
    assert (variant["total_timesteps"], variant["training_time"]) == (16_384, 60.0)
    assert (variant["runs_planned"], variant["runs_completed"], variant["runs_failed"]) == (2, 2, 0)
    assert second["arms"]["variant"]["final_mean_reward"]["mean"] == 61.0


def test_each_experiment_keeps_its_verdict_and_there_is_none_across(
    pair: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = told(pair, capsys, "first", "second")

    assert found.keys() >= COMPARISON_KEYS
    assert found["verdict"] is None
    assert "none is drawn across" in found["sentence"]
    for each in found["experiments"]:
        results = json.loads((pair / each["experiment_id"] / "results.json").read_text())
        assert each["comparison"] == results["comparison"]


def test_curves_cross_within_each_experiment_and_between_same_named_arms(
    pair: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {
        tuple(
            f"{crossing[end]['experiment_id']} {crossing[end]['arm']}" for end in ("curve", "other")
        ): (
            crossing["stays_ahead"],
            crossing["from_step"],
            crossing["other_stays_ahead"],
        )
        for crossing in told(pair, capsys, "first", "second")["crossovers"]
    }

    assert found == {
        # 70 to 80 at 5000, 95 to 85 at 6000: from -10 to +10
        ("first variant", "first baseline"): ("from_a_step", 5500.0, "never"),
        ("second variant", "second baseline"): ("never", None, "from_the_start"),
        ("second baseline", "first baseline"): ("from_the_start", 1000.0, "never"),
        # 85 - 95 at 6000 … level at 5000 with 70 each: behind for good from there
        ("second variant", "first variant"): ("never", None, "from_a_step"),
    }


def test_an_arm_that_seems_to_overfit_is_hinted_at_with_the_rule(
    pair: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (hint,) = told(pair, capsys, "first", "second")["overfitting_hints"]
    text = " ".join(printed(pair, capsys, "first", "second").split())

    assert (hint["experiment_id"], hint["arm"]) == ("second", "variant")
    assert hint["training"]["change"] == pytest.approx(40.0)
    assert "hint: [2] variant may overfit" in text
    assert "over the last third of training, least-squares lines" in text
    assert "a hint, not a verdict" in text


def test_what_is_printed_fits_eighty_columns(
    pair: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = printed(pair, capsys, "first", "second").splitlines()

    assert max(map(len, lines)) <= 80
    assert lines[0] == "[1] first"
    texts = [" ".join(line.split()) for line in lines]
    assert "hyperparameters/learning_rate 0.0003 (default) 0.001" in texts
    assert "final return 90.00 ± 1.41 180.0 ± 1.4" in texts
    assert "[1] variant [1] baseline from step 5,500 on never" in texts
    assert "[2] insufficient evidence" in texts


def test_many_experiments_have_their_columns_in_several_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ids = [f"gamma-{number}" for number in range(6)]
    for number, experiment_id in enumerate(ids):
        rate = {"hyperparameters": {"learning_rate": 1e-3 + number / 1000}}
        new(tmp_path, experiment_id, arm=rate).publish()

    lines = printed(tmp_path, capsys, *ids).splitlines()

    headings = [line for line in lines if line.startswith("difference")]
    assert len(headings) > 1
    assert re.findall(r"\[\d\]", "".join(headings)) == [f"[{number}]" for number in range(1, 7)]
    assert max(map(len, lines)) <= 80


# ---- one experiment


def test_a_single_experiments_arms_are_compared_under_its_verdict(
    pair: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = told(pair, capsys, "first")
    results = json.loads((pair / "first" / "results.json").read_text())

    assert {key: found[key] for key in COMPARISON_KEYS} == results["comparison"]
    assert found["differences"] == [
        {
            "pointer": "/hyperparameters/gamma",
            "arm": None,
            "values": {"baseline": 0.99, "variant": 0.9},
            "defaults": ["baseline"],
        }
    ]
    assert [each["from_step"] for each in found["crossovers"]] == [5500.0]


def test_a_single_experiment_is_printed_with_a_column_for_each_arm(
    pair: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [" ".join(line.split()) for line in printed(pair, capsys, "first").splitlines()]

    assert "hyperparameters/gamma 0.99 (default) 0.9" in texts
    assert "result baseline variant" in texts
    assert "final return 90.00 ± 1.41 120.0 ± 1.4" in texts
    assert "variant baseline from step 5,500 on never" in texts


# ---- what is not whole


@pytest.fixture
def under_way(tmp_path: Path) -> Experiment:
    """One baseline run is complete, one has begun, the variant's first is at its fourth."""
    experiment = new(tmp_path, "under-way", seeds=[1, 2])
    experiment.begin()
    train(experiment, "baseline", RISING, seeds=[1])
    experiment.save()
    write_journal(experiment, RunKey("baseline", 2), [0.0])
    write_journal(experiment, RunKey("variant", 1), LATE[:4])
    return experiment


def test_an_unfinished_experiment_is_compared_with_what_is_there_and_says_so(
    under_way: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    with FileLock(under_way.paths.lock):
        found = told(under_way.output_dir, capsys, "under-way")
    stopped = told(under_way.output_dir, capsys, "under-way")

    (experiment,) = found["experiments"]
    baseline, variant = experiment["arms"]["baseline"], experiment["arms"]["variant"]
    assert (experiment["status"], experiment["is_complete"]) == ("running", False)
    assert found["sentence"] == "no verdict yet: the experiment is running"
    assert baseline["final_return"] == {"mean": 90.0, "std": None, "n": 1, "imputed": 0}
    assert (baseline["runs_planned"], baseline["runs_completed"]) == (2, 1)
    assert (variant["runs_completed"], variant["total_timesteps"]) == (0, 4000)
    # the curve of the complete run, not one of the two that ends where the second has come to
    (crossing,) = found["crossovers"]
    assert crossing["compared_steps"] == [1000.0, 4000.0]
    assert (crossing["curve"]["runs"], crossing["other"]["runs"]) == (1, 1)
    (warning,) = found["warnings"]
    assert warning.startswith("[1] is running: 1 of 4 runs complete, and scores cover only these; ")
    assert warning.endswith("the curves of the variant are those of runs under way")
    assert stopped["experiments"][0]["status"] == "stopped"


def test_an_experiment_without_any_run_is_compared_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new(tmp_path, "created").publish()

    found = told(tmp_path, capsys, "created")
    text = printed(tmp_path, capsys, "created")

    assert found["crossovers"][0]["stays_ahead"] == "unknown"
    assert found["experiments"][0]["arms"]["baseline"]["final_return"]["mean"] is None
    assert "unknown: no step in common" in text


def test_failed_runs_are_counted_and_their_scores_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = new(tmp_path, "failing")
    experiment.begin()
    train(experiment, "baseline", RISING)
    train(experiment, "variant", LATE, seeds=[1])
    experiment.add_result("variant", experiment.failed_result(RunKey("variant", 2), "NaN", 512))
    experiment.stop(failed=True, error_message="one run failed")
    experiment.save()

    variant = told(tmp_path, capsys, "failing")["experiments"][0]["arms"]["variant"]

    assert (variant["runs_completed"], variant["runs_failed"]) == (1, 1)
    assert variant["final_return"] == {"mean": 120.0, "std": None, "n": 1, "imputed": 0}


def test_the_result_counts_the_runs_that_the_verdict_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = finished(tmp_path, "counted", {"baseline": RISING, "variant": LATE}).paths.results
    document = json.loads(file.read_text())
    for run in document["runs"]:
        if run["arm"] == "variant" and run["seed"] == 2:
            run |= {"status": "skipped", "final_return": None, "imputed": 9.0}
    spent = {**document["runs"][0], "seed": 3, "final_return": 1e6, "analysed": False}
    file.write_text(json.dumps({**document, "runs": [*document["runs"], spent]}))

    arms = told(tmp_path, capsys, "counted")["experiments"][0]["arms"]

    assert arms["variant"]["final_return"]["mean"] == (119.0 + 9.0) / 2
    assert (arms["variant"]["final_return"]["n"], arms["variant"]["final_return"]["imputed"]) == (
        (2, 1)
    )
    assert arms["variant"]["auc"]["n"] == 1
    assert arms["baseline"]["final_return"]["mean"] == 90.0
    assert "64.00 ± 77.78 *" in printed(tmp_path, capsys, "counted")


# ---- what makes a comparison doubtful


def test_different_environments_are_warned_of(
    pair: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for source in ("first", "second"):
        (tmp_path / source).symlink_to(pair / source)
    finished(tmp_path, "other", {"baseline": RISING}, arm={"environment": "Acrobot-v1"})
    finished(tmp_path, "older", {"baseline": RISING}, arm={"environment": "CartPole-v0"})

    different = told(tmp_path, capsys, "first", "other")["warnings"]
    same = told(tmp_path, capsys, "first", "older")["warnings"]

    returns = "the experiments train on different environments: their returns may not be comparable"
    assert returns in different
    assert returns not in same
    assert f"warning: {returns[:60]}" in printed(tmp_path, capsys, "first", "other")


def test_different_evaluations_and_directions_are_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    curves = {"baseline": RISING, "variant": LATE}
    finished(tmp_path, "more", curves)
    less = {
        "comparison": {"direction": "minimize"},
        "evaluation": {"frequency": 1000, "episodes": 3},
    }
    finished(tmp_path, "less", curves, **less)

    found = told(tmp_path, capsys, "less", "more")

    assert "the experiments evaluate differently (/evaluation/episodes)" in found["warnings"]
    assert any("as [1] has it: less is better" in warning for warning in found["warnings"])
    assert found["crossovers"][0]["stays_ahead"] == "never"
    assert "stays below" in printed(tmp_path, capsys, "less")


def test_a_damaged_journal_costs_its_curve_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = finished(tmp_path, "pair", {"baseline": RISING, "variant": LATE})
    journal = experiment.paths.run(RunKey("variant", 2)).journal
    journal.write_text("not a record\n" + journal.read_text())

    found = told(tmp_path, capsys, "pair")

    assert any(str(journal) in warning for warning in found["warnings"])
    assert found["crossovers"][0]["curve"]["runs"] == 1
    assert found["experiments"][0]["arms"]["variant"]["final_return"]["n"] == 2


def test_damaged_results_are_made_up_for_from_the_runs_own_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = finished(tmp_path, "pair", {"baseline": RISING, "variant": LATE})
    experiment.paths.results.write_text("{")

    found = told(tmp_path, capsys, "pair")

    assert found["experiments"][0]["arms"]["variant"]["final_return"]["n"] == 2
    assert any("results.json" in warning for warning in found["warnings"])


def test_a_damaged_result_of_a_run_is_told_among_the_warnings(
    under_way: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = under_way.paths.run(RunKey("baseline", 1)).result
    damaged.write_text("{")

    assert main(["compare", "under-way", "--output-dir", str(under_way.output_dir)]) == 0

    output = capsys.readouterr()
    assert str(damaged) in output.out.replace("\n", "")
    assert "0 of 4 runs complete" in output.out
    assert not output.err


def test_text_that_would_steer_a_terminal_is_escaped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = finished(tmp_path, "pair", {"baseline": RISING, "variant": LATE})
    hostile = "\x1b[31m\u202e"
    results = json.loads(experiment.paths.results.read_text())
    results["comparison"] |= {"sentence": hostile, "verdict": hostile}
    results["arms"]["variant"]["environment"] = hostile
    experiment.paths.results.write_text(json.dumps(results))
    saved = json.loads(experiment.paths.experiment.read_text())
    saved["audit"]["differences"] = [{"pointer": f"/{hostile}", "baseline": hostile}]
    saved["config"]["variant_config"]["algorithm"] = hostile
    experiment.paths.experiment.write_text(json.dumps(saved))

    text = printed(tmp_path, capsys, "pair")

    assert "\\x1b[31m\\u202e" in text
    assert not {"\x1b", "\u202e"} & set(text)


# ---- errors


@pytest.mark.parametrize(
    ("ids", "what"),
    [
        ([], "no experiment named"),
        (["first", "second", "first"], "first named twice"),
        (["first", "secnd"], "no experiment secnd exists"),
        (["../first"], "experiment id '../first' is not allowed"),
        (["\x1b[2J"], "experiment id '\\x1b[2J' is not allowed"),
    ],
)
def test_ids_that_cannot_be_compared_are_one_clear_error(
    pair: Path, ids: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *ids, "--output-dir", str(pair)]) == 2

    output = capsys.readouterr()
    assert output.err.startswith(f"error: {what}\n")
    assert "  remedy: " in output.err
    assert not output.out


def test_an_unknown_id_names_the_nearest(pair: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(pair, capsys, "secnd", code=2)["error"]["remedy"].startswith("did you mean second?")


def test_an_experiment_whose_file_is_damaged_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = new(tmp_path, "pair")
    experiment.publish()
    experiment.paths.experiment.write_text("{")

    found = told(tmp_path, capsys, "pair", code=1)

    assert found["error"]["where"] == str(experiment.paths.experiment)


def test_nothing_is_written(pair: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def state() -> dict[Path, tuple[int, int]]:
        return {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in sorted(pair.rglob("*"))}

    before = state()
    printed(pair, capsys, "first", "second")

    assert state() == before


@pytest.mark.integration
@pytest.mark.slow
def test_experiments_that_were_really_trained_are_compared(tmp_path: Path) -> None:
    def carry_out(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "src.experiments", *words, "--output-dir", tmp_path],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    for experiment_id, rate in (("slow", 1e-4), ("fast", 5e-4)):
        carry_out(
            *("run", "configs/quickstart.json", "--mode", "parallel"),
            *(f"experiment_id={json.dumps(experiment_id)}", "seeds=[1,2]"),
            *("baseline_config.training_steps=4096", "evaluation.frequency=1024"),
            *("baseline_config.hyperparameters.n_steps=512", "evaluation.final_episodes=5"),
            f"baseline_config.hyperparameters.learning_rate={rate}",
        )
    found = json.loads(carry_out("compare", "slow", "fast", "--json"))

    rate = found["differences"][0]
    assert rate["pointer"] == "/baseline_config/hyperparameters/learning_rate"
    assert rate["values"] == {"slow": 1e-4, "fast": 5e-4}
    assert found["warnings"] == []
    assert len(found["crossovers"]) == 4
    for crossing in found["crossovers"]:
        assert crossing["compared_steps"] == [1024.0, 4096.0]
        assert crossing["stays_ahead"] != "unknown"
    for each in found["experiments"]:
        results = json.loads((tmp_path / each["experiment_id"] / "results.json").read_text())
        for arm, figures in each["arms"].items():
            assert figures["final_return"]["mean"] == results["arms"][arm]["final_return"]
            assert figures["final_return"]["std"] == results["arms"][arm]["final_return_std"]
            assert figures["environment"] == "CartPole-v1"


# ---- what no verdict rests on


def test_the_other_metrics_stand_under_a_key_of_their_own(
    pair: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    single = told(pair, capsys, "first")

    assert [metric["metric"] for metric in single["secondary"]] == ["final_mean_reward", "auc"]
    evaluation, auc = single["secondary"]
    assert evaluation["effect"] == pytest.approx(LATE[-1] - RISING[-1])
    assert auc["effect"] == pytest.approx(sum(LATE) / 8 - sum(RISING) / 8)
    assert evaluation["adjusted_p"] >= evaluation["p_value"]
    assert single["experiments"][0]["secondary"] == single["secondary"]


def test_of_several_experiments_each_has_its_own(
    pair: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    several = told(pair, capsys, "first", "second")

    assert several["secondary"] == []
    assert [len(each["secondary"]) for each in several["experiments"]] == [2, 2]


def test_a_person_reads_them_below_the_verdict(
    pair: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [" ".join(line.split()) for line in printed(pair, capsys, "first").splitlines()]

    assert "secondary metric difference interval p, Holm" in lines
    assert any(
        line.startswith("mean return of the final evaluation +30.00 23.") for line in lines
    ), lines


def test_without_a_verdict_there_are_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = new(tmp_path, "half")
    experiment.begin()
    train(experiment, "baseline", RISING)
    experiment.save()

    assert told(tmp_path, capsys, "half")["secondary"] == []
    assert "secondary" not in printed(tmp_path, capsys, "half")
