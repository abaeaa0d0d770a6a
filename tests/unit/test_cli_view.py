import io
import math
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from src.experiments.cli.snapshot import Snapshot
from src.experiments.cli.view import LiveView, fitting, render
from src.experiments.domain.records import RunKey, RunProgress, RunStatus
from src.experiments.monitoring import ResourceUsage, Usage

RESOURCES = ResourceUsage(cpu_percent=97.0, memory_percent=20.0, memory_mb=3174.0, gpu_usage=None)


def progress(
    status: RunStatus, seed: int = 42, arm: str = "variant", **fields: object
) -> RunProgress:
    known: dict[str, object] = {"step": 5120, "total_steps": 10_240, "steps_per_second": 1234.5}
    known |= {"returns_mean": 97.65, "seconds_left": 4.1}
    return RunProgress(RunKey(arm, seed), status, **(known | fields))  # type: ignore[arg-type]


def drawn(runs: list[RunProgress], width: int, height: int, **fields: Any) -> list[str]:
    console = Console(width=width, height=height, file=io.StringIO(), markup=False)
    told = {"resources": RESOURCES, "disk_free_mb": 51234.0} | fields
    snapshot = Snapshot(
        "running_variant", tuple(runs), elapsed_seconds=11.0, seconds_left=282.0, **told
    )
    with console.capture() as capture:
        console.print(render(snapshot, width=width, height=height), end="")
    return [line.rstrip() for line in capture.get().splitlines()]


def figures(line: str) -> list[str]:
    """What stands behind the bar."""
    return line[max(line.rfind("━"), line.rfind("╸")) + 1 :].split()


def of_both_arms(seeds: int, **fields: object) -> list[RunProgress]:
    """Of each arm: four running, one failed, half of the others completed, half queued."""
    statuses = [*[RunStatus.RUNNING] * 4, RunStatus.FAILED]
    statuses += [RunStatus.COMPLETED, RunStatus.QUEUED] * seeds
    return [
        progress(status, seed, arm, **fields)
        for arm in ("baseline", "variant")
        for seed, status in enumerate(statuses[:seeds])
    ]


def test_a_bar_shows_percent_speed_return_and_time_left() -> None:
    lines = drawn([progress(RunStatus.RUNNING)], 80, 24)

    assert lines[0].rstrip() == "running variant · 0/1 runs done · 0:11 · about 4:42 left"
    assert lines[1].split() == ["run", "done", "steps/s", "return", "left"]
    assert lines[2].startswith("variant_seed42 ━━━")
    assert lines[2].split()[2:] == ["50", "%", "1,234", "97.65", "0:04"]
    assert lines[3].rstrip() == "machine: CPU 97 % · memory 3.1 GiB (20 %) · disk 50.0 GiB free"


@pytest.mark.parametrize("seeds", [1, 10, 500])
@pytest.mark.parametrize("size", [(40, 10), (80, 24), (200, 60), (20, 5), (7, 3), (1, 1)])
def test_the_view_never_exceeds_the_terminal(seeds: int, size: tuple[int, int]) -> None:
    width, height = size
    runs = of_both_arms(seeds, error="ValueError: " + "x" * 300)
    admission = "8 at a time: about 310 MiB and 1,150 steps/s each"

    lines = drawn(runs, width, height, admission=admission)

    assert 1 <= len(lines) <= max(1, height - 1)  # the cursor has a line of its own
    assert max(map(cell_len, lines)) <= width
    assert lines[0]


def test_names_that_take_two_columns_a_letter_are_cut_to_fit() -> None:
    lines = drawn([progress(RunStatus.RUNNING, arm="変種" * 20)] * 2, 40, 10)

    assert max(map(cell_len, lines)) <= 40


def test_one_run_an_arm_needs_no_summary() -> None:
    runs = [progress(RunStatus.RUNNING, arm=arm) for arm in ("baseline", "variant")]

    lines = drawn(runs, 80, 24)

    assert [line.split()[0] for line in lines] == [
        "running",
        "run",
        "baseline_seed42",
        "variant_seed42",
        "machine:",
    ]


def test_each_arm_is_summed_up_with_the_spread_of_its_returns() -> None:
    returns = {"baseline": [10.0, 20.0, 30.0], "variant": [40.0, None, None]}
    statuses = [RunStatus.COMPLETED, RunStatus.RUNNING, RunStatus.RUNNING]
    runs = [
        progress(status, seed, arm, returns_mean=mean)
        for arm, means in returns.items()
        for seed, (status, mean) in enumerate(zip(statuses, means, strict=True))
    ]

    lines = drawn([*runs, progress(RunStatus.QUEUED, 9, returns_mean=None)], 100, 24)

    assert lines[1].split() == ["arm", "queued", "running", "done", "failed", "mean", "return"]
    assert figures(lines[2]) == ["0", "2", "1/3", "0", "20.00", "±", "10.00", "(3)"]
    assert figures(lines[3]) == ["1", "2", "1/4", "0", "40.00", "(1)"]
    assert lines[2].startswith("baseline ")
    assert lines[2].index("━") == lines[5].index("━")  # the bars stand below each other


def test_failed_and_skipped_runs_count_as_failed_and_their_returns_do_not() -> None:
    runs = [progress(RunStatus.FAILED, 1), progress(RunStatus.SKIPPED, 2)]
    runs += [progress(RunStatus.INTERRUPTED, 3, returns_mean=1.0), progress(RunStatus.RUNNING, 4)]
    runs += [progress(RunStatus.RUNNING, 5, returns_mean=math.nan)]
    runs += [progress(RunStatus.QUEUED, 6, returns_mean=None)]

    (arm,) = Snapshot("", tuple(runs)).arms

    assert arm.returns == (1.0, 97.65)
    assert figures(drawn(runs, 100, 24)[2])[:4] == ["2", "2", "0/6", "2"]


def test_the_spread_of_enormous_returns_is_a_number() -> None:
    runs = [progress(RunStatus.RUNNING, i, returns_mean=m) for i, m in enumerate([1e200, 3e200])]

    (arm,) = Snapshot("", tuple(runs)).arms

    assert arm.return_deviation == pytest.approx(2**0.5 * 1e200)


def test_an_arm_before_its_first_return_claims_none() -> None:
    runs = [progress(RunStatus.QUEUED, seed, returns_mean=None) for seed in range(2)]

    assert figures(drawn(runs, 100, 24)[2]) == ["2", "0", "0/2", "0", "–"]


def test_what_is_known_of_the_slots_stands_below_the_heading() -> None:
    text = "2 runs at a time: each takes about 310 MiB and makes about 1,150 steps/s"

    assert drawn(of_both_arms(10), 80, 24, admission=text)[1] == text


def test_a_view_from_elsewhere_tells_what_the_runs_use() -> None:
    used = Usage(cores_busy=1.97, memory_mb=620.0, disk_usage_mb=12.0, disk_free_mb=51234.0)

    lines = drawn(of_both_arms(1), 80, 24, resources=None, used=used)

    assert lines[-1] == "runs: CPU 2.0 cores · memory 620 MiB · disk 12 MiB · 50.0 GiB free"


def test_a_narrow_terminal_leaves_out_figures_not_parts_of_them() -> None:
    lines = drawn(of_both_arms(10), 42, 12)

    assert lines[0] == "running variant · 6/20 · 0:11 · 4:42 left"
    assert lines[1].split() == ["arm", "done", "failed", "mean", "return"]
    assert lines[4].split() == ["run", "done", "return", "left"]
    assert lines[-1] == "machine: CPU 97 % · memory 3.1 GiB (20 %)"


def test_what_made_a_run_fail_stands_in_the_place_of_its_bar() -> None:
    failed = progress(RunStatus.FAILED, error="MemoryError: \x1b[2J no memory")

    line = drawn([failed], 100, 24)[2]

    assert line.split("  ")[0] == "variant_seed42 MemoryError: \\x1b[2J no memory"
    assert line.endswith("failed")


def test_all_figures_are_there_at_sixty_columns() -> None:
    line = drawn([progress(RunStatus.RUNNING, steps_per_second=123_456.0)], 60, 24)[2]

    assert all(figure in line for figure in ("━", "50 %", "123.5k", "97.65", "0:04"))


def test_runs_that_do_not_fit_are_summed_up_and_those_that_train_come_first() -> None:
    runs = [progress(RunStatus.COMPLETED, seed=i) for i in range(20)]
    runs += [progress(RunStatus.FAILED, seed=20), progress(RunStatus.RUNNING, seed=21)]
    runs += [progress(RunStatus.QUEUED, seed=i) for i in range(22, 30)]

    lines = drawn(runs, 80, 11)

    names = [line.split()[0] for line in lines[4:-2]]
    assert names == ["variant_seed21", "variant_seed20", "variant_seed18", "variant_seed19"]
    assert lines[-2] == "and 18 completed, 8 queued"


def test_all_runs_are_shown_in_their_own_order_where_they_fit() -> None:
    runs = [progress(RunStatus.QUEUED, 1), progress(RunStatus.RUNNING, 2)]
    runs += [progress(RunStatus.COMPLETED, 3), progress(RunStatus.FAILED, 4)]

    assert [each.run.seed for each in fitting(runs, 4)] == [1, 2, 3, 4]
    assert [each.run.seed for each in fitting(runs, 3)] == [2, 4]
    assert fitting(runs, 0) == []


def test_a_later_attempt_is_numbered() -> None:
    assert drawn([progress(RunStatus.RUNNING, attempt=2)], 80, 24)[2].startswith(
        "variant_seed42 #2"
    )


def test_notices_stand_above_the_bars_as_they_are() -> None:
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=True, width=80, height=24, markup=False)
    view = LiveView(console)
    snapshot = Snapshot("running", (progress(RunStatus.RUNNING),))

    view.open()
    view.update(snapshot, [])
    terminal.truncate(0)
    view.update(snapshot, ["warning: [bold]slow"])
    redrawn = terminal.getvalue()
    view.close()

    assert redrawn.index("warning: [bold]slow") < redrawn.index("variant_seed42")
    assert "\x1b[?25h" in terminal.getvalue()  # the cursor is shown again


def test_nothing_is_drawn_twice_and_a_new_size_is_noticed() -> None:
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=True, width=80, height=24, markup=False)
    view = LiveView(console)
    snapshot = Snapshot("running", (progress(RunStatus.RUNNING),))
    view.open()
    view.update(snapshot, [])
    drawn_once = len(terminal.getvalue())

    view.update(snapshot, [])
    unchanged = len(terminal.getvalue())
    console.width = 60
    view.update(snapshot, [])
    narrower = len(terminal.getvalue())
    view.close()

    assert drawn_once == unchanged < narrower
