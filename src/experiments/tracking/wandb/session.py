"""The SDK of Weights & Biases, kept to itself: its environment, its files, its service process."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...domain.redaction import redact, secrets_of
from ..temporary_root import TemporaryRoot
from ..tracker import Connection, TrackerError, TrackerSettings

if TYPE_CHECKING:
    import wandb
    from wandb.apis.public.service_api import ServiceApi

WHERE = "Weights & Biases"
ANSWER_SECONDS = 10.0
"""How long an answer is waited for, repetitions included."""
STORED_SECONDS = 15.0
"""How long rows may be on their way before the server counts as out of reach."""
SERVICE = "wandb-core"
"""The process that the SDK starts, in a session of its own."""

PASSED_ON = (
    "WANDB_API_KEY",
    "WANDB_APP_URL",
    "WANDB_BASE_URL",
    "WANDB_CREDENTIALS_FILE",
    "WANDB_HTTPS_PROXY",
    "WANDB_HTTP_PROXY",
    "WANDB_IDENTITY_TOKEN_FILE",
    "WANDB_INSECURE_DISABLE_SSL",
    "WANDB_X_EXTRA_HTTP_HEADERS",
)
"""Who tells, and whom; others, such as a sweep's, would change what is told."""

_QUIET = {
    "WANDB_DOCKER": "",  # else Kubernetes is asked for the image
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_HTTP_TIMEOUT": f"{ANSWER_SECONDS:g}",
    "WANDB_SILENT": "true",
}
ROOT_PREFIX = "exp-wandb-"
LONGEST_PARENT = 48
"""Characters of a path below which the service's socket, of 108 at most, still fits."""
_FOLDERS = ("ARTIFACT_DIR", "CACHE_DIR", "CONFIG_DIR", "DATA_DIR")

_COMMON: dict[str, Any] = {
    # nothing is printed, captured, detected or measured
    "silent": True,
    "console": "off",
    "disable_code": True,
    "disable_git": True,
    "label_disable": True,
    "sagemaker_disable": True,
    "save_code": False,
    "symlink": False,
    "use_dot_wandb": False,
    "x_disable_machine_info": True,
    "x_disable_meta": True,
    "x_disable_stats": True,
    "x_disable_viewer": True,
    "x_save_requirements": False,
    # nobody waits for ever; what was told is on its way at once (in whole seconds, all of them)
    "init_timeout": 10.0,
    "finish_timeout": 100.0,
    "finish_timeout_raises": True,
    "x_file_stream_retry_wait_max_seconds": 5.0,
    "x_file_stream_retry_wait_min_seconds": 1.0,
    "x_file_stream_timeout_seconds": 20.0,
    "x_file_stream_transmit_interval": 1.0,
    "x_transaction_log_flush_interval": 1.0,
}

_ROWS = """
query RunRows($entity: String!, $project: String!, $run: String!) {
  project(name: $project, entityName: $entity) { run(name: $run) { historyLineCount } }
}
"""


class WandbSession:
    """The SDK in this process; nothing is started before `start`."""

    def __init__(self, settings: TrackerSettings) -> None:
        self._settings = settings
        self._online = settings.connection is Connection.ONLINE
        self._root: TemporaryRoot | None = None
        self._replaced: dict[str, str | None] = {}
        self._api: ServiceApi | None = None

    @property
    def is_started(self) -> bool:
        """Whether there is a service that can be told something."""
        return self._root is not None

    def start(self) -> None:
        """Set the SDK up, and online see that the server answers and knows the key; once.

        Raises:
            TrackerError: when it does not.
        """
        if self._root is not None:
            return
        self._root = TemporaryRoot(ROOT_PREFIX, LONGEST_PARENT)
        self._set_environment(self._root.path)
        import wandb

        setup = wandb.setup(wandb.Settings(mode=self._settings.connection.value, **_COMMON))
        if self._online:
            self._api = _log_in(setup.settings)
            self._ask(self._api.authenticate)

    def init(
        self, run_id: str, settings: Mapping[str, Any], *, is_known: bool, **arguments: Any
    ) -> wandb.Run:
        """Open a run: an existing one where there is one online, else a new one.

        `is_known`: the server must have it, or the half that is told now would be all.
        """
        import wandb

        kept = self._settings.directory if self._keeps_here() else self._temporary("runs")
        return wandb.init(
            id=run_id,
            entity=self._settings.environment.get("WANDB_ENTITY") or None,
            reinit="create_new",
            resume=("must" if is_known else "allow") if self._online else None,
            settings=wandb.Settings(root_dir=str(kept), **_COMMON, **settings),
            **arguments,
        )

    def stage(self, run: wandb.Run) -> Path:
        """A folder for what is to be uploaded; an offline run's is its own, to last until then."""
        if self._online:
            return self._temporary(f"staged-{run.id}")
        staged = Path(run.settings.sync_dir) / "staged"
        os.environ["WANDB_DATA_DIR"] = str(staged)
        return staged

    def stored_rows(self, run: wandb.Run) -> int:
        """How many rows of a run's history the server has.

        Raises:
            TrackerError: when it does not answer.
        """
        assert self._api is not None  # noqa: S101 - an online run is open
        path = {"entity": run.entity, "project": run.project, "run": run.id}
        found = self._ask(self._api.execute_graphql, _ROWS, path)
        count = ((found.get("project") or {}).get("run") or {}).get("historyLineCount")
        return int(count or 0)

    def wait_for_rows(self, run: wandb.Run, rows: int) -> None:
        """Wait until the server has so many rows; offline it is the disk that has them.

        Raises:
            TrackerError: when it has not, after a while.
        """
        deadline, most = time.monotonic() + STORED_SECONDS, -1
        pause = 0.5  # what was told goes out once a second
        while self._online and (stored := self.stored_rows(run)) < rows:
            if stored > most:  # it gets on
                deadline, most = time.monotonic() + STORED_SECONDS, stored
                self._settings.gets_on()
            if time.monotonic() > deadline:
                raise TrackerError(
                    f"after {STORED_SECONDS:g} s the server has {stored} of {rows} rows",
                    where=f"{WHERE}, run {run.id}",
                    remedy="what was not uploaded stays here, to be uploaded later",
                )
            time.sleep(pause)
            pause = min(2 * pause, 2.0)

    @contextmanager
    def guarded(self, doing: str) -> Iterator[None]:
        """Say what went wrong in one error, and give the SDK up where something did.

        What it still holds back would be told a second time by the next process.
        """
        try:
            yield
        except TrackerError:
            self.abandon()
            raise
        except Exception as error:
            self.abandon()
            cause = self._shortened(error)
            raise TrackerError(f"{doing}: {cause}", where=WHERE, remedy=_LATER) from error

    def abandon(self) -> None:
        """End the service by force, and leave nothing of it."""
        _kill_service()
        self._tear_down()

    def close(self) -> None:
        """End the service once it has nothing more to do, and leave nothing of it."""
        self._tear_down()
        _kill_service()

    def _tear_down(self) -> None:
        root, self._root = self._root, None
        if root is None:
            return
        import wandb

        with suppress(Exception):  # where the service was killed, its connection is lost
            wandb.teardown()
        root.remove()
        tempfile.tempdir = None
        for name, value in self._replaced.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value

    def _ask(self, question: Any, *arguments: Any) -> Any:
        from wandb.sdk.lib.service.service_connection import WandbApiFailedError

        try:
            return question(*arguments, timeout=ANSWER_SECONDS)
        except WandbApiFailedError as error:
            status = getattr(error.response, "http_status", 0)
            cause = self._shortened(error)
            if status in (401, 403):
                remedy = "check WANDB_API_KEY, or log in again with `wandb login --relogin`"
                raise TrackerError(f"refused: {cause}", where=WHERE, remedy=remedy) from error
            raise TrackerError(f"no answer: {cause}", where=WHERE, remedy=_REACH) from error

    def _keeps_here(self) -> bool:
        return self._settings.keeps_files or not self._online

    def _temporary(self, name: str) -> Path:
        assert self._root is not None  # noqa: S101 - `start` was called
        return self._root.path / name

    def _shortened(self, error: Exception) -> str:
        secrets = self._settings.secrets | secrets_of(self._settings.environment)
        lines = str(error).splitlines() or [type(error).__name__]
        return redact(lines[0], secrets)[:300]

    def _set_environment(self, root: Path) -> None:
        given = self._settings.environment
        settings_file = Path(given.get("WANDB_CONFIG_DIR") or "~/.config/wandb") / "settings"
        wanted = {name: given[name] for name in PASSED_ON if name in given}
        wanted |= {f"WANDB_{name}": str(root / name.lower()) for name in _FOLDERS}
        wanted |= {**_QUIET, "TMPDIR": str(root)}
        foreign = {name for name in os.environ if name.startswith("WANDB_")} - wanted.keys()
        self._replaced = {name: os.environ.get(name) for name in (*wanted, *foreign)}
        for name in foreign:
            del os.environ[name]
        os.environ.update(wanted)
        tempfile.tempdir = str(root)  # `TMPDIR` alone comes too late for this process
        (root / "config_dir").mkdir()
        with suppress(OSError):  # which server `wandb login` was told of
            shutil.copyfile(settings_file.expanduser(), root / "config_dir" / "settings")


_LATER = "what was not uploaded stays here, to be uploaded later"
_REACH = "check the network and WANDB_BASE_URL, or use --wandb-offline"


def _log_in(settings: wandb.Settings) -> ServiceApi:
    """A connection with the credentials of the environment or of `wandb login`; never asks."""
    from wandb.apis.public.service_api import ServiceApi
    from wandb.sdk.lib import wbauth

    if wbauth.authenticate_session(host=settings.base_url, source="", prompt=False) is None:
        raise TrackerError(
            f"no API key for {settings.base_url}",
            where=WHERE,
            remedy="log in with `wandb login`, set WANDB_API_KEY (in .env too), "
            "or use --wandb-offline",
        )
    hasty = {
        "x_graphql_retry_max": 2,
        "x_graphql_retry_wait_min_seconds": 1.0,
        "x_graphql_retry_wait_max_seconds": 1.0,
        "x_graphql_timeout_seconds": ANSWER_SECONDS,
    }
    return ServiceApi(settings=settings.model_copy(update=hasty))


def _kill_service() -> None:
    import psutil

    with suppress(psutil.Error):
        for child in psutil.Process().children():
            with suppress(psutil.Error):
                if child.name() == SERVICE:
                    child.kill()
                    child.wait(timeout=5)
