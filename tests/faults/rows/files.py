"""Experiment files that cannot be carried out."""

import shutil
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.bad_configs.builders import AWKWARD, FOLDER, expected_message

from ..command import Command
from ..figures import Bench, Trial
from ..pair import RUNNER

USAGE = 2
MOST_SECONDS_UNTIL_REFUSED = 2.0
CASES = (
    "everything_at_once",
    "fifo",
    "environment_misspelt",
    "deeply_nested_object",
    "sparse",
    "environment_loads_code",
    "buffer_too_large",
    "absent",
    "duplicate_key",
    "discrete_algorithm_on_continuous_actions",
)
"""Some of the bad files of the tests: of each stage of reading that refuses one."""


def bad_files(bench: Bench, count: int) -> Iterator[Trial]:
    """Each is refused with its message and exit code 2, and nothing is written."""
    for name in CASES[:count]:
        yield Trial(partial(_is_refused, bench, name))


def _is_refused(bench: Bench, name: str, folder: Path) -> None:
    file, results = folder / f"{name}.json", folder / "results"
    if name in AWKWARD:
        AWKWARD[name](file)
    else:
        shutil.copy(FOLDER / file.name, file)
    words = ["--config", str(file), "--output-dir", str(results)]
    command = Command([sys.executable, "-m", RUNNER, *words], folder / "command")
    done = command.done()
    seconds = time.monotonic() - command.began
    first, *_ = expected_message(name, file).splitlines()
    assert (done.code, done.stdout) == (USAGE, ""), done
    assert done.stderr.splitlines()[0] == f"error: {first.removeprefix(f'{file}: ')} in {file}"
    assert not results.exists()
    bench.saw("s until it is refused", seconds, MOST_SECONDS_UNTIL_REFUSED)
