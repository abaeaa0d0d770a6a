"""Models of a hub: asked for once and for a bounded time, then loaded from a folder of the cache.

The libraries ask again for each file, and some of their requests wait without end. Of a folder they
ask nothing.
"""

from __future__ import annotations

import logging
import queue
import threading
from pathlib import Path

from huggingface_hub import HfApi, ModelInfo, constants, try_to_load_from_cache

from ....config.model_folder import ModelFolderError, check_model_folder
from ....domain.errors import StorageError, TrainingError, described
from ....durability.files import write_atomically
from ...heartbeat import Tally
from .downloads import CONFIGURATION, download

logger = logging.getLogger(__name__)

LONGEST_REASON = 300
GIVE_ANOTHER = (
    'give a folder with a model, the id of another one on a hub, or "tiny" '
    "(/hyperparameters/model_name)"
)


def snapshot_of(
    model_id: str, tally: Tally, commit: str | None = None, *, with_weights: bool
) -> Path:
    """The folder of the cache with a model, downloaded where something of it is missing.

    The hub is what `HF_ENDPOINT` says, and answers within `HF_HUB_ETAG_TIMEOUT` seconds or not at
    all; with `HF_HUB_OFFLINE` it is not asked.

    Args:
        model_id: as the hub knows it.
        tally: counts what comes in.
        commit: the one to have, of which nothing is asked where it lies in the cache whole; None
            for the newest, or where the hub does not give it, the one that lies there.
        with_weights: whether they are needed, too.

    Raises:
        TrainingError: when the hub does not give it, and it does not lie in the cache.
        StorageError: when it cannot be written to the cache, and does not lie there.
    """
    cached = cached_snapshot(model_id, commit)
    if commit is not None and cached is not None and not _lacking(cached, with_weights):
        return cached
    try:
        folder = download(model_id, _asked(model_id, commit), tally, with_weights=with_weights)
    except Exception as error:  # the libraries raise anything
        lacking = _not_cached(commit) if cached is None else _lacking(cached, with_weights)
        if cached is None or lacking is not None:
            if isinstance(error, StorageError):
                raise
            raise _is_nowhere(model_id, commit, str(lacking), cached, error) from error
        _warn(model_id, error)
        return cached
    if lacking := _lacking(folder, with_weights):
        raise unloadable(model_id, lacking, GIVE_ANOTHER, where=str(folder))
    if with_weights and commit is None:
        _note_newest(folder)
    return folder


def cached_snapshot(model_id: str, commit: str | None = None) -> Path | None:
    """The folder with a model's commit, or as the hub had it last; None where there is none."""
    try:
        found = try_to_load_from_cache(model_id, CONFIGURATION, revision=commit)
    except ValueError:  # no name that a hub could know
        return None
    return Path(found).absolute().parent if isinstance(found, str) else None


def _asked(model_id: str, commit: str | None) -> ModelInfo:
    """What the hub knows of a model.

    In a thread, because no time-out of a request bounds how long a name is looked up, or how many
    addresses are tried in turn.

    Raises:
        TimeoutError: when there is no answer in time.
    """
    seconds = constants.HF_HUB_ETAG_TIMEOUT
    answers: queue.Queue[ModelInfo | Exception] = queue.Queue()

    def ask() -> None:
        # a request that gives up later: whoever waits tells it, however busy the machine is
        later = 2 * seconds
        try:
            answers.put(HfApi().model_info(model_id, revision=commit, timeout=later))
        except Exception as error:  # noqa: BLE001 - told where it is waited for
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"{constants.ENDPOINT} has not answered in {seconds} s") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _note_newest(folder: Path) -> None:
    """Once it is whole, have the snapshot be what is taken where the hub does not answer.

    https://huggingface.co/docs/huggingface_hub/guides/manage-cache: refs/main holds the commit.
    """
    reference = folder.parent.parent / "refs" / constants.DEFAULT_REVISION
    try:
        if not reference.is_file() or reference.read_text() != folder.name:
            reference.parent.mkdir(parents=True, exist_ok=True)  # others may share the cache
            write_atomically(reference, folder.name)
    except (OSError, StorageError) as error:  # a cache may be shared, and not ours to write to
        logger.warning("%s cannot be written: %s", reference, error)


def _warn(model_id: str, error: Exception) -> None:
    level = logging.INFO if constants.is_offline_mode() else logging.WARNING
    reason = in_a_line(described(error))
    logger.log(level, "%s is taken from the hub's cache as it is: %s", model_id, reason)


def _lacking(folder: Path, with_weights: bool) -> str | None:
    """What keeps a snapshot from being loaded, where its weights are needed."""
    try:
        if with_weights:
            check_model_folder(folder)
    except ModelFolderError as error:
        return str(error)
    return None


def _not_cached(commit: str | None) -> str:
    what = "it" if commit is None else f"its commit {commit}, with which the experiment began,"
    return f"{what} is not in the hub's cache"


def _is_nowhere(
    model_id: str, commit: str | None, lacking: str, cached: Path | None, error: Exception
) -> TrainingError:
    fetch = f"fetch it where the hub can be reached (hf download {model_id}"
    if commit is None:
        remedy = (
            f"{fetch}) and give the folder (/hyperparameters/model_name); HF_ENDPOINT names "
            "another hub, and HF_HUB_OFFLINE=1 takes models from the cache without asking any; "
            '"tiny" needs none'
        )
    else:
        remedy = f"{fetch} --revision {commit}), or begin a new experiment"
    reason = in_a_line(described(error))
    told = f"{lacking}, and the hub {constants.ENDPOINT} does not provide it: {reason}"
    return unloadable(model_id, told, remedy, where=None if cached is None else str(cached))


def unloadable(
    model_name: str, reason: str, remedy: str, *, where: str | None = None
) -> TrainingError:
    """What is told of a model that cannot be loaded.

    Args:
        model_name: as the experiment file has it.
        reason: why.
        remedy: what to do.
        where: the folder, where there is one.
    """
    what = f"the model {model_name!a} cannot be loaded: {reason}"
    return TrainingError(what, where=where, remedy=remedy)


def in_a_line(text: str) -> str:
    """What the libraries say, on one line and not too long."""
    return " ".join(text.split())[:LONGEST_REASON]
