import io

import pytest
from rich.console import Console

from src.experiments.cli.snapshot import Snapshot
from src.experiments.cli.view import LiveView, fitting, render
from src.experiments.domain.records import RunKey, RunProgress, RunStatus
from src.experiments.monitoring import ResourceUsage

RESOURCES = ResourceUsage(cpu_percent=97.0, memory_percent=20.0, memory_mb=3174.0, gpu_usage=None)


def progress(status: RunStatus, seed: int = 42, **fields: object) -> RunProgress:
    known = {"step": 5120, "total_steps": 10_240, "steps_per_second": 1234.5}
    known |= {"returns_mean": 97.65, "seconds_left": 4.1}
    return RunProgress(RunKey("variant", seed), status, **(known | fields))  # type: ignore[arg-type]


def drawn(runs: list[RunProgress], width: int, height: int) -> list[str]:
    console = Console(width=width, height=height, file=io.StringIO(), markup=False)
    snapshot = Snapshot("running_variant", tuple(runs), RESOURCES, 51234.0, 11.0, 282.0)
    with console.capture() as capture:
        console.print(render(snapshot, width=width, height=height))
    return capture.get().splitlines()


def test_a_bar_shows_percent_speed_return_and_time_left() -> None:
    lines = drawn([progress(RunStatus.RUNNING)], 80, 24)

    assert lines[0].rstrip() == "running variant · 0/1 runs done · 0:11 · about 4:42 left"
    assert lines[1].split() == ["run", "done", "steps/s", "return", "left"]
    assert lines[2].startswith("variant_seed42 ━━━")
    assert lines[2].split()[2:] == ["50", "%", "1,234", "97.65", "0:04"]
    assert lines[3].rstrip() == "machine: CPU 97 % · memory 3.1 GiB (20 %) · disk 50.0 GiB free"


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
def test_the_view_never_exceeds_the_terminal(width: int) -> None:
    runs = [progress(status, seed=2**31 - 1 - i) for i, status in enumerate(RunStatus)]

    lines = drawn([*runs, *(progress(RunStatus.COMPLETED, seed=i) for i in range(40))], width, 15)

    assert len(lines) <= 14
    assert width >= max(map(len, lines))


def test_all_figures_are_there_at_sixty_columns() -> None:
    line = drawn([progress(RunStatus.RUNNING, steps_per_second=123_456.0)], 60, 24)[2]

    assert all(figure in line for figure in ("━", "50 %", "123.5k", "97.65", "0:04"))


def test_runs_that_do_not_fit_are_summed_up_the_finished_first() -> None:
    runs = [progress(RunStatus.COMPLETED, seed=i) for i in range(20)]
    runs += [progress(RunStatus.RUNNING, seed=20), progress(RunStatus.FAILED, seed=21)]
    runs += [progress(RunStatus.QUEUED, seed=i) for i in range(22, 30)]

    lines = drawn(runs, 80, 10)

    assert [line.split()[0] for line in lines[2:4]] == ["variant_seed20", "variant_seed21"]
    assert lines[-2].rstrip() == "and 5 queued, 20 completed"


def test_as_many_runs_as_fit_keep_their_order() -> None:
    runs = [progress(RunStatus.QUEUED, 1), progress(RunStatus.RUNNING, 2)]
    runs += [progress(RunStatus.COMPLETED, 3), progress(RunStatus.FAILED, 4)]

    assert [each.run.seed for each in fitting(runs, 3)] == [1, 2, 4]


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
