"""What launchers leave in the environment changes nothing of a run, and comes back after it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import pytest

from src.experiments.domain.errors import TrainingError
from src.experiments.training.backend import create_backend
from src.experiments.training.floor import measure_floor
from tests.integration.test_grpo import Unobserved, run_config
from tests.language import needs_trl
from tests.waiting import HANG_SECONDS

if TYPE_CHECKING:
    from src.experiments.training.trl.backend import LanguageModels

pytestmark = [pytest.mark.integration, needs_trl]

TORCHRUN = {
    "RANK": "0",
    "LOCAL_RANK": "0",
    "WORLD_SIZE": "2",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29517",
    "TORCHELASTIC_RUN_ID": "none",
}
MPIRUN = {"PMI_SIZE": "2", "PMI_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2"}
ACCELERATE = {
    "ACCELERATE_MIXED_PRECISION": "bf16",
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "3",
    "ACCELERATE_DYNAMO_BACKEND": "eager",
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_CPU_RAM_EFFICIENT_LOADING": "true",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "true",
    "PARALLELISM_CONFIG_DP_REPLICATE_SIZE": "2",
}


class Outcome(NamedTuple):
    parameters_sha256: str
    precision: str
    processes: int


@contextmanager
def built(folder: Path, **settings: Any) -> Iterator[LanguageModels]:
    config = replace(run_config(folder, **settings), run_dir=None, checkpoints=None)
    with closing(create_backend("trl", replace(config, total_timesteps=4))) as backend:
        backend.build()
        yield cast("LanguageModels", backend)


def trained(folder: Path, **settings: Any) -> Outcome:
    """What two batches come to."""
    with built(folder, **settings) as backend:
        backend.train(Unobserved())
        learning = backend.learning
        return Outcome(backend.parameters_sha256(), learning.precision, learning.args.world_size)


def test_variables_of_launchers_are_out_of_the_way_and_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from src.experiments.training.trl.processes.variables import own_variables

    given = {**TORCHRUN, **MPIRUN, **ACCELERATE}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    with own_variables():
        without = set(before) - set(os.environ)
        with own_variables({"RANK": "1", "OMP_NUM_THREADS": "1"}):
            inside = os.environ["RANK"], os.environ["OMP_NUM_THREADS"]
            os.environ["ACCELERATE_USE_CPU"] = "true"  # as the libraries do
        assert set(before) - set(os.environ) == without

    assert without == set(given)
    assert inside == ("1", "1")
    assert dict(os.environ) == before


@pytest.mark.slow
@pytest.mark.parametrize("bf16", [False, None, True])
def test_what_accelerate_finds_changes_nothing_of_what_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bf16: bool | None
) -> None:
    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    # torch sets it once a process, to what it would be without
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    untouched = dict(os.environ)
    expected = trained(tmp_path, bf16=bf16)
    after = dict(os.environ)
    found = {**ACCELERATE, "ACCELERATE_MIXED_PRECISION": "no" if bf16 else "bf16"}
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)

    assert after == untouched
    assert trained(tmp_path, bf16=bf16) == expected
    assert expected.precision == ("bf16" if bf16 else "no")
    assert dict(os.environ) == before


@pytest.mark.parametrize("given", [None, "true"])
def test_what_random_tokens_earn_leaves_the_environment_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    if given is not None:
        monkeypatch.setenv("TOKENIZERS_PARALLELISM", given)
    config = run_config(tmp_path)
    before = dict(os.environ)
    measure_floor(config)

    assert dict(os.environ) == before


@pytest.mark.slow
def test_precisions_are_told_apart_by_what_they_train(tmp_path: Path) -> None:
    with_it, without = (trained(tmp_path, bf16=value) for value in (True, False))

    assert with_it.parameters_sha256 != without.parameters_sha256


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_does_not_wait_for_the_processes_of_another_launcher(
    tmp_path: Path, processes: int
) -> None:
    """In a process of its own: it would wait for half an hour."""
    code = (
        "from pathlib import Path\n"
        "from tests.integration.test_grpo_surroundings import trained\n"
        f"settings = dict(processes={processes}, per_device_train_batch_size={8 // processes})\n"
        "print(*trained(Path(), **settings))\n"
    )
    told = []
    for variables in ({}, {**TORCHRUN, **MPIRUN, **ACCELERATE}):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **variables},
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
        )
        assert done.returncode == 0, done.stderr
        told.append(done.stdout.split())

    assert told[0] == told[1]
    assert told[0][1:] == ["no", str(processes)]


def test_processes_that_accelerate_does_not_see_are_noticed(tmp_path: Path) -> None:
    from src.experiments.training.trl.backend import LanguageModels
    from src.experiments.training.trl.processes.ranks import Ranks

    config = replace(run_config(tmp_path), run_dir=None, checkpoints=None)
    with (
        closing(LanguageModels(config, Ranks(0, 2))) as backend,
        pytest.raises(TrainingError, match="2 processes were asked for, and Accelerate counts 1"),
    ):
        backend.build()


@pytest.mark.slow
def test_another_precision_than_was_asked_for_is_noticed(tmp_path: Path) -> None:
    with built(tmp_path, bf16=False) as backend:
        backend.learning.args.bf16 = True
        with pytest.raises(TrainingError, match="bf16 was asked for, and Accelerate has no"):
            backend.learning.check_precision()


@pytest.mark.slow
def test_the_libraries_speak_as_before_once_a_run_is_over(tmp_path: Path) -> None:
    from huggingface_hub.utils import are_progress_bars_disabled
    from transformers.utils.logging import is_progress_bar_enabled

    def heard() -> tuple[int, bool, bool]:
        level = logging.getLogger("transformers").level
        return level, is_progress_bar_enabled(), are_progress_bars_disabled()

    before = heard()
    with built(tmp_path):
        assert heard() == (logging.ERROR, False, True)

    assert heard() == before
