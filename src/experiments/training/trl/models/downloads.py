"""The files of a hub's model, brought into the cache."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import ModelInfo, constants, hf_hub_download
from huggingface_hub.utils import tqdm

from ....config.model_folder import WEIGHT_FILES, is_index, shards_of
from ....domain.errors import StorageError
from ...heartbeat import Tally

CONFIGURATION = "config.json"
TEXTS = (".json", ".txt", ".model", ".jinja", ".tiktoken", ".spm")
"""Ends of the names of the small files that a model or its tokenizer may have."""
TEMPLATES = "additional_chat_templates/"
OF_THE_DISK = frozenset({
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM,
    errno.ENOTDIR,
})  # fmt: skip
"""Numbers of errors of which no hub is to blame."""


def download(model_id: str, known: ModelInfo, tally: Tally, *, with_weights: bool) -> Path:
    """Have all files of a commit in the cache; what lies there already is not asked for.

    Args:
        model_id: as the hub knows it.
        known: of the commit.
        tally: counts files, and parts of files as they come in.
        with_weights: whether they are needed, too.

    Returns:
        the snapshot's folder.

    Raises:
        StorageError: when the disk refuses.
    """
    progress = counting(tally)

    def get(name: str) -> Path:
        with _telling_of_the_disk():
            path = hf_hub_download(model_id, name, revision=known.sha, tqdm_class=progress)
        tally.count += 1
        return Path(path).absolute()

    folder = get(CONFIGURATION).parent
    names = [each.rfilename for each in known.siblings or ()]
    for name in _texts(names):
        get(name)
    if with_weights:
        preferred = [name for name in WEIGHT_FILES if name in names][:1]
        for file in map(get, preferred):
            for shard in shards_of(file) if is_index(file.name) else ():
                get(shard)
    return folder


def counting(tally: Tally) -> type[tqdm]:
    """The library's progress bar, which is told what comes in also where it is not shown.

    A file may take longer than a run may be silent; a download that moves is no silence.
    """

    class Counting(tqdm):  # type: ignore[misc]
        def update(self, n: float | None = 1) -> bool | None:
            tally.count += 1
            shown: bool | None = super().update(n)
            return shown

    return Counting


def _texts(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        is_at_top = "/" not in name or name.startswith(TEMPLATES)
        if is_at_top and (name.endswith(TEXTS) or name.startswith("vocab.")):
            yield name


@contextmanager
def _telling_of_the_disk() -> Iterator[None]:
    """Tell what the disk refuses from what the hub does not give.

    Raises:
        StorageError: with the place.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in OF_THE_DISK:
            raise
        raise StorageError(
            f"{error.strerror}: a model could not be downloaded",
            where=str(error.filename or constants.HF_HUB_CACHE),
            remedy="free space or fix the permissions; or set HF_HOME to a folder that can be "
            "written and has room",
        ) from error
