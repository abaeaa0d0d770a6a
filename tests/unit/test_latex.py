"""The LaTeX row: what it says, and that nothing in it is taken for a command."""

from __future__ import annotations

from typing import Any

import pytest

from src.experiments.analysis.latex import escaped, latex_row, latex_table


def document(**comparison: Any) -> dict[str, Any]:
    runs = [
        {"arm": arm, "seed": seed, "status": "completed", "final_return": value, "auc": value / 2}
        for arm, values in (("baseline", (1000.0, 1200.0)), ("variant", (1500.0, 1700.0, 1600.0)))
        for seed, value in enumerate(values)
    ]
    failed = {"arm": "baseline", "seed": 2, "status": "failed", "final_return": 9e9}
    told = {
        "metric": "final_return",
        "effect": 500.0,
        "interval": [-12.345, 1012.3],
        "alpha": 0.05,
        "p_value": 0.0286,
        **comparison,
    }
    return {
        "experiment_id": "ppo_gamma",
        "runs": [*runs, failed],
        "arms": {arm: {"environment": "CartPole-v1"} for arm in ("baseline", "variant")},
        "comparison": told,
    }


def test_the_row_tells_means_deviations_effect_interval_and_p() -> None:
    assert latex_row(document()) == (
        r"ppo\_gamma & CartPole-v1 & 2/3 & $1{,}100 \pm 141$ & $1{,}600 \pm 100$ & $+500.0$ & "
        r"$[-12,\, 1{,}012]$ & $0.029$ \\"
    )


def test_the_row_counts_the_runs_that_the_verdict_counts() -> None:
    told = document()
    baseline, variant = told["runs"][0], told["runs"][2]
    spent = {**variant, "seed": 8, "final_return": 9e9, "analysed": False}
    skipped = {**baseline, "seed": 3, "status": "skipped", "final_return": None, "imputed": 800.0}
    not_finite = {**variant, "seed": 9, "final_return": float("nan"), "imputed": 1600.0}
    told["runs"] += [spent, skipped, not_finite]

    cells = latex_row(told).split(" & ")

    assert cells[2:5] == ["3/4", r"$1{,}000 \pm 200$", r"$1{,}600 \pm 82$"]


def test_the_table_is_whole_and_of_booktabs() -> None:
    lines = latex_table(document(alpha=0.01)).splitlines()

    assert lines[0] == r"% \usepackage{booktabs}"
    rules = [r"\begin{tabular}{llrrrrrr}", r"\toprule", r"\midrule", r"\bottomrule"]
    assert [line for line in lines if line in rules] == rules
    assert lines[-1] == r"\end{tabular}"
    head, row = (line for line in lines if line.endswith(r"\\"))
    assert head.count("&") == row.count("&") == 7
    assert r"99\,\% interval" in head


def test_the_interval_of_a_look_has_the_looks_own_level() -> None:
    table = latex_table(document(looks=[{"level": 0.9937}, {"level": 0.9762}]))

    assert r"97.62\,\% interval" in table


def test_what_is_not_known_is_a_dash() -> None:
    bare = document(effect=None, interval=None, p_value=None) | {"runs": []}

    assert latex_row(bare) == r"ppo\_gamma & CartPole-v1 & 0 & -- & -- & -- & -- & -- \\"
    assert latex_row({}) == r" &  & 0 & -- & -- & -- & -- & -- \\"


def test_another_metric_is_the_one_that_is_told() -> None:
    assert r"$550.0 \pm 70.7$" in latex_row(document(metric="auc"))


def test_a_tiny_p_is_not_zero() -> None:
    assert latex_row(document(p_value=1.1e-5)).endswith(r"$< 0.0001$ \\")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b & 5% #1 $x$", r"a\_b \& 5\% \#1 \$x\$"),
        (r"\input{/etc/passwd}", r"\textbackslash{}input\{/etc/passwd\}"),
        ("~^", r"\textasciitilde{}\textasciicircum{}"),
        ("a--b---c-d", r"a-{}-b-{}-{}-c-d"),
        ("<|>", r"\textless{}\textbar{}\textgreater{}"),
        ("one\n\ntwo\t% three", r"one two \% three"),
        ("\x1b[2J\u202egnp", r"\textbackslash{}u001b[2J\textbackslash{}u202egnp"),
        ("γ = 0,9", "γ = 0,9"),
    ],
)
def test_text_is_set_as_it_stands(text: str, expected: str) -> None:
    assert escaped(text) == expected
