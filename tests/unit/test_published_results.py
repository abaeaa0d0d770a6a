"""Published per-seed results, judged again: tables to their printed digits, and decisions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from src.experiments.analysis import compare, statistics
from src.experiments.analysis.looks import plan_looks
from src.experiments.analysis.sequential import Decision, follow
from src.experiments.analysis.sequential_verdict import compare_in_looks
from src.experiments.domain.records import TrainingResult
from src.experiments.domain.verdicts import DecisionRule, Verdict

from .published import PUBLISHED, half_a_digit, needs_published_data, rows

BATCHES_OF_FIVE = plan_looks(5, 5, 30)
pytestmark = needs_published_data


@pytest.fixture(scope="module")
def walkers():
    """Scores by agent, in the order in which the authors' batches gave them."""
    scores: dict[str, list[float]] = {}
    for batch in sorted((PUBLISHED / "adastop_walker").glob("walker*.csv")):
        for row in rows(f"adastop_walker/{batch.name}"):
            for agent in {"SAC", "PPO", "TRPO", "DDPG"} & row.keys():
                scores.setdefault(agent, []).append(float(row[agent]))
    return {agent: np.array(values) for agent, values in scores.items()}


def test_the_authors_means_are_reproduced(walkers):
    told = {agent: (len(scores), f"{scores.mean():.3f}") for agent, scores in walkers.items()}

    assert told == {
        "SAC": (10, "4543.398"),
        "PPO": (10, "2901.528"),
        "TRPO": (30, "1192.751"),
        "DDPG": (30, "893.229"),
    }


@pytest.mark.parametrize("use_futility", [True, False])
def test_six_batches_of_ddpg_and_trpo_show_no_difference_where_a_fixed_test_would(
    walkers, use_futility
):
    ddpg, trpo = walkers["DDPG"], walkers["TRPO"]
    low, _ = statistics.welch_interval(ddpg, trpo)
    assert low > 0, "the trap: all thirty seeds at once reject"

    taken = follow(ddpg, trpo, BATCHES_OF_FIVE, 1, use_futility=use_futility)
    assert all(look.decision is not Decision.REJECT for look in taken)
    assert taken[-1].decision.ends
    if not use_futility:
        assert [look.n_per_arm for look in taken] == [5, 10, 15, 20, 25, 30]
        # at the very end p would have passed for a single look at five per cent
        assert taken[-1].nominal_level < taken[-1].p_value < 0.05


def test_the_trap_ends_in_no_difference_shown(walkers):
    def runs(arm):
        blank = TrainingResult(True, 1, 1.0, 0.0, 0.0, "x", arm, "Walker2d", 0, arm=arm)
        scored = enumerate(walkers[arm])
        return [replace(blank, seed=seed, final_return=float(value)) for seed, value in scored]

    results = {"DDPG": runs("DDPG"), "TRPO": runs("TRPO")}
    found = compare_in_looks(results, DecisionRule(), BATCHES_OF_FIVE)

    assert found.verdict is Verdict.NO_DIFFERENCE_SHOWN
    assert compare(results, DecisionRule()).verdict is Verdict.VARIANT_BETTER


@pytest.mark.parametrize(
    ("lower", "higher"),
    [("PPO", "SAC"), ("DDPG", "SAC"), ("TRPO", "SAC"), ("DDPG", "PPO"), ("TRPO", "PPO")],
)
def test_the_agents_that_the_authors_tell_apart_are_told_apart_by_ten_seeds(walkers, lower, higher):
    decisions = {
        (row["agent_a"], row["agent_b"]): row["decision_a_vs_b"]
        for row in rows("adastop_walker/published_decisions.csv")
    }
    published = decisions.get((higher, lower)), decisions.get((lower, higher))
    assert published in {("larger", None), (None, "smaller")}

    taken = follow(walkers[lower], walkers[higher], BATCHES_OF_FIVE, 1)
    assert taken[-1].decision is Decision.REJECT
    assert taken[-1].n_per_arm == 10
    assert taken[-1].effect > 0


def test_td3s_table_is_reproduced_to_its_printed_digits():
    table = rows("td3_curves/published.csv")
    assert len(table) == 7
    for row in table:
        folder = PUBLISHED / "td3_curves" / row["env"].partition("-")[0].replace("2d", "")
        curves = np.array([np.load(path) for path in sorted(folder.glob("*.npy"))])
        assert len(curves) == 10
        best = curves.mean(axis=0).argmax()
        scores = curves[:, best]

        for column, value in (
            ("reproduced_mean", scores.mean()),
            ("reproduced_sd_ddof0", scores.std()),
        ):
            half = half_a_digit(row[column])
            assert value == pytest.approx(float(row[column]), abs=1.01 * half)


def test_td3s_own_table_agrees_but_for_reacher_where_these_runs_differ():
    for row in rows("td3_curves/published.csv"):
        agrees = row["env"] != "Reacher-v1"
        for published, reproduced in (
            ("published_mean", "reproduced_mean"),
            ("published_sd", "reproduced_sd_ddof0"),
        ):
            gap = abs(float(row[published]) - float(row[reproduced]))
            assert (gap <= half_a_digit(row[published]) + half_a_digit(row[reproduced])) is agrees
