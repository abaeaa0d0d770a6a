"""Models of a hub: asked for once and for a bounded time, then loaded from a folder of the cache.

The libraries ask again for each file, and some of their requests wait without end. Of a folder they
ask nothing.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from huggingface_hub import (
    HfApi,
    ModelInfo,
    constants,
    hf_hub_download,
    try_to_load_from_cache,
)

from ...config.model_folder import INDICES, WEIGHTS, ModelFolderError, check_model_folder, shards_of
from ...domain.errors import StorageError, TrainingError, described
from ...durability.files import write_atomically
from ..heartbeat import Tally

logger = logging.getLogger(__name__)

CONFIGURATION = "config.json"
TEXTS = (".json", ".txt", ".model", ".jinja", ".tiktoken", ".spm")
"""Ends of the names of the small files that a model or its tokenizer may have."""
TEMPLATES = "additional_chat_templates/"
WEIGHT_FILES = (WEIGHTS[0], INDICES[0], WEIGHTS[1], INDICES[1])
"""In the order in which transformers prefers them."""
LONGEST_REASON = 300


def snapshot_of(model_id: str, tally: Tally, *, with_weights: bool) -> Path:
    """The folder of the cache with a model, brought up to date where the hub answers.

    The hub is what `HF_ENDPOINT` says, and answers within `HF_HUB_ETAG_TIMEOUT` seconds or not at
    all; with `HF_HUB_OFFLINE` it is not asked.

    Args:
        model_id: as the hub knows it.
        tally: counts files.
        with_weights: whether they are needed, too.

    Raises:
        TrainingError: when the hub does not give it, and it does not lie in the cache.
    """
    cached = cached_snapshot(model_id)
    try:
        folder = _downloaded(model_id, _asked(model_id), tally, with_weights=with_weights)
    except Exception as error:  # the libraries raise anything
        reason = in_a_line(described(error))
        if cached is None:
            raise _is_nowhere(model_id, reason) from error
        level = logging.INFO if constants.is_offline_mode() else logging.WARNING
        logger.log(level, "%s is taken from the hub's cache as it is: %s", model_id, reason)
        folder = cached
    if with_weights:
        _check(folder, model_id)
        _note_newest(folder)
    return folder


def cached_snapshot(model_id: str) -> Path | None:
    """The folder with a model as the hub had it last; None where there is none."""
    try:
        found = try_to_load_from_cache(model_id, CONFIGURATION)
    except ValueError:  # no name that a hub could know
        return None
    return Path(found).absolute().parent if isinstance(found, str) else None


def in_a_line(text: str) -> str:
    """What the libraries say, on one line and not too long."""
    return " ".join(text.split())[:LONGEST_REASON]


def commit_of(folder: Path) -> str | None:
    """The commit that a folder of the cache is named by; None of any other folder."""
    return folder.name if folder.parent.name == "snapshots" else None


def _asked(model_id: str) -> ModelInfo:
    """What the hub knows of a model.

    In a thread, because no time-out of a request bounds how long a name is looked up, or how many
    addresses are tried in turn.

    Raises:
        TimeoutError: when there is no answer in time.
    """
    seconds = constants.HF_HUB_ETAG_TIMEOUT
    answers: queue.Queue[ModelInfo | Exception] = queue.Queue()

    def ask() -> None:
        try:
            answers.put(HfApi().model_info(model_id, timeout=seconds))
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


def _downloaded(model_id: str, known: ModelInfo, tally: Tally, *, with_weights: bool) -> Path:
    """Have all files of a commit in the cache; what lies there already is not asked for."""

    def get(name: str) -> Path:
        path = hf_hub_download(model_id, name, revision=known.sha)
        tally.count += 1
        return Path(path).absolute()

    folder = get(CONFIGURATION).parent
    names = [each.rfilename for each in known.siblings or ()]
    for name in _texts(names):
        get(name)
    if with_weights:
        preferred = [name for name in WEIGHT_FILES if name in names][:1]
        for file in map(get, preferred):
            for shard in shards_of(file) if file.name in INDICES else ():
                get(shard)
    return folder


def _texts(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        is_at_top = "/" not in name or name.startswith(TEMPLATES)
        if is_at_top and (name.endswith(TEXTS) or name.startswith("vocab.")):
            yield name


def _note_newest(folder: Path) -> None:
    """Once it is whole, have the snapshot be what is taken where the hub does not answer.

    https://huggingface.co/docs/huggingface_hub/guides/manage-cache: refs/main holds the commit.
    """
    reference = folder.parent.parent / "refs" / constants.DEFAULT_REVISION
    try:
        if not reference.is_file() or reference.read_text() != folder.name:
            write_atomically(reference, folder.name)
    except (OSError, StorageError) as error:  # a cache may be shared, and not ours to write to
        logger.warning("%s cannot be written: %s", reference, error)


def _check(folder: Path, model_id: str) -> None:
    try:
        check_model_folder(folder)
    except ModelFolderError as error:
        raise TrainingError(
            f"the model {model_id!a} cannot be loaded: {error}",
            where=str(folder),
            remedy="give another model (/hyperparameters/model_name), or where the hub can be "
            f"reached fetch it whole: hf download {model_id}",
        ) from error


def _is_nowhere(model_id: str, reason: str) -> TrainingError:
    return TrainingError(
        f"the model {model_id!a} cannot be loaded: it is not in the hub's cache, and the hub "
        f"{constants.ENDPOINT} does not give it: {reason}",
        remedy=f"fetch it where the hub can be reached (hf download {model_id}) and give the "
        "folder (/hyperparameters/model_name); HF_ENDPOINT names another hub, and HF_HUB_OFFLINE=1 "
        'takes models from the cache without asking any; "tiny" needs none',
    )
