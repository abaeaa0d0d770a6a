import io
from typing import Any

from rich.console import Console

from src.experiments.cli import tables


def printed(table: object) -> str:
    console = Console(file=io.StringIO(), width=100, markup=False, highlight=False)
    console.print(table)
    return console.file.getvalue()  # type: ignore[attr-defined]


def run(arm: str, seed: int, final_return: float | None, **fields: Any) -> dict[str, Any]:
    known = {"status": "completed", "total_timesteps": 1000, "training_time": 2.0}
    return {"arm": arm, "seed": seed, "final_return": final_return, **known, **fields}


def test_several_seeds_are_shown_as_mean_and_deviation_over_seeds() -> None:
    runs = [run("baseline", seed, value) for seed, value in enumerate([10.0, 20.0, 30.0])]

    assert "baseline    3/3   20.00 ± 10.00   3,000       0:06       500" in printed(
        tables.arms_table(runs)
    )
    assert tables.spread_caption(runs) == "±: standard deviation over seeds"


def test_failed_runs_are_counted_and_their_return_is_not() -> None:
    runs = [run("variant", 1, 10.0), run("variant", 2, None, status="failed")]

    line = printed(tables.arms_table(runs)).splitlines()[2]
    assert line.split()[:3] == ["variant", "1/2", "10.00"]


def test_a_figure_in_which_failed_runs_count_is_marked() -> None:
    runs = [
        run("baseline", 1, 10.0, imputed=None),
        run("baseline", 2, 30.0, imputed=None),
        run("variant", 1, 10.0),
        run("variant", 2, None, status="skipped", imputed=30.0),
        run("variant", 3, 900.0, analysed=False),
    ]

    baseline, variant = printed(tables.arms_table(runs)).splitlines()[2:4]
    assert baseline.split()[1:6] == ["2/2", "20.00", "±", "14.14", "2,000"]
    assert variant.split()[1:6] == ["1/2", "20.00", "±", "14.14", "*"]
    assert "* failed runs count with what a failure is worth" in tables.spread_caption(runs)
    assert "*" not in tables.spread_caption(runs[:2])


def test_records_with_missing_or_odd_fields_are_shown_all_the_same() -> None:
    odd = {"arm": "variant", "seed": "x", "final_return": "high", "attempts": None, "status": None}

    assert "variant_seedx" in printed(tables.runs_table([odd, {}]))
    assert "variant" in printed(tables.arms_table([odd]))


def test_differences_mark_what_is_a_default() -> None:
    difference = {
        "pointer": "/hyperparameters/learning_rate",
        "baseline": 3e-4,
        "variant": 1e-3,
        "baseline_is_default": True,
    }

    line = printed(tables.differences_table([difference])).splitlines()[2]
    assert line.split() == ["hyperparameters/learning_rate", "0.0003", "(default)", "0.001"]


def test_the_makespan_gives_each_run_to_the_first_free_worker() -> None:
    assert tables.makespan([4.0, 2.0, 3.0, 2.0], 2) == 6.0
    assert tables.makespan([4.0, 2.0, 3.0, 2.0], 1) == 11.0
    assert tables.makespan([4.0, 2.0, 3.0, 2.0], 9) == 4.0
    assert tables.makespan([], 2) == 0.0
