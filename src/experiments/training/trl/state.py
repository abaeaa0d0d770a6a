"""Everything that training needs to go on between two batches, as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import TrainerState

from ...domain.errors import described
from ..backend import NotRestoredError
from ..sb3.state.generators import capture_process_generators, restore_process_generators
from ..sb3.state.plain import from_tensor_bytes, tensor_bytes
from .learning import Learning
from .recorder import MetricsRecorder


def device_of(learning: Learning) -> str:
    """Where it trains; of several processes each calls its share of the processor another name."""
    device = learning.args.device
    return "cpu" if device.type == "cpu" else str(device)


def generators() -> Any:
    """The generators of this process, as plain data."""
    return capture_process_generators()


def capture(
    learning: Learning, recorder: MetricsRecorder, generators_of_all: Sequence[Any]
) -> dict[str, Any]:
    """The state of parameters, optimiser, schedule, generators, and all that is counted."""
    return {
        "step": learning.state.global_step,
        "tokens": learning.state.num_input_tokens_seen,
        "device": device_of(learning),
        "model": tensor_bytes(learning.model.state_dict()),
        "optimizer": tensor_bytes(learning.optimizer.state_dict()),
        "schedule": tensor_bytes(learning.lr_scheduler.state_dict()),
        "generators": list(generators_of_all),
        "recorder": recorder.capture(),
    }


def restore(
    state: Mapping[str, Any], learning: Learning, recorder: MetricsRecorder, rank: int
) -> str | None:
    """Take it over, once training is set up; why that was not exact, None where it was."""
    device = device_of(learning)
    learning.model.load_state_dict(from_tensor_bytes(state["model"], device))
    learning.optimizer.load_state_dict(from_tensor_bytes(state["optimizer"], device))
    learning.lr_scheduler.load_state_dict(from_tensor_bytes(state["schedule"]))
    recorder.restore(state["recorder"])
    restore_process_generators(state["generators"][rank])
    before = state["device"]
    return None if before == device else f"it was saved on {before} and continues on {device}"


def write_progress(state: Mapping[str, Any], learning: Learning, folder: Path) -> str:
    """Tell the library's loop how far training is, in a file as it reads one; returns its folder.

    Nothing else of the library's own checkpoints is used.
    """
    progress = TrainerState()
    progress.compute_steps(learning.args, learning.args.max_steps)
    progress.train_batch_size = learning.args.per_device_train_batch_size
    progress.global_step = int(state["step"])
    progress.num_input_tokens_seen = int(state["tokens"])
    folder.mkdir(parents=True, exist_ok=True)
    progress.save_to_json(str(folder / "trainer_state.json"))
    return str(folder)


@contextmanager
def restoring() -> Iterator[None]:
    """What goes wrong inside says that the state is of no use.

    Raises:
        NotRestoredError: then.
    """
    try:
        yield
    except (MemoryError, OSError):
        raise  # which says nothing of the state
    except Exception as error:
        raise NotRestoredError(described(error)) from error
