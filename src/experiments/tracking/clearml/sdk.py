"""ClearML's SDK behind calls that return when the server has answered, or raise.

The SDK's `Task` and `Logger` report from threads, try a dead server for ever, and tell errors to
standard output; its sessions and request classes, which those are built on, do neither. The SDK is
configured once a process, which is why a tracker has one of its own.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from ...domain.redaction import redact
from ..temporary_root import TemporaryRoot
from ..tracker import TrackerError
from .settings import (
    API_HOST,
    API_KEYS,
    VERIFY_CERTIFICATE,
    ClearmlSettings,
    sdk_configuration,
)

LATER = "what is not uploaded yet is kept, and `experiments sync` uploads it later"
EVENTS_A_REQUEST = 500
_OWN_VARIABLES = ("CLEARML_", "TRAINS_", "AWS_PROFILE", "AWS_DEFAULT_PROFILE")
_LOGGERS = ("clearml", "urllib3", "botocore", "boto3", "s3transfer", "py.warnings")
_UNAUTHORIZED = (401, 403)
_PLACES = frozenset({"uri", "output_dest"})
"""Fields whose values are URLs that were made here: what looks like a key there is none."""


class ClearmlSdk:
    """A session with a ClearML server, in an environment of its own."""

    def __init__(
        self, settings: ClearmlSettings, secrets: frozenset[str], gets_on: Callable[[], None]
    ) -> None:
        """Nothing is opened yet, and the SDK is not imported; `gets_on`: after each request."""
        self.gets_on = gets_on
        self.settings = settings
        self.secrets = secrets | settings.secrets
        self._session: Any = None
        self._open = ExitStack()
        self._said: deque[str] = deque(maxlen=20)
        self.folder = Path()
        """A private folder that is removed in the end."""

    def connect(self) -> None:
        """Configure the SDK and log in.

        Raises:
            TrackerError: when the server is out of reach or refuses the keys.
        """
        with ExitStack() as stack:
            root = TemporaryRoot("exp-clearml-")
            stack.callback(root.remove)
            self.folder = root.path
            file = self.folder / "clearml.conf"
            _write_private(file, sdk_configuration(self.settings, str(self.folder / "cache")))
            stack.enter_context(_environment(_variables(self.settings, self.folder)))
            stack.enter_context(_listening(self._said))
            self._session = self._log_in()
            file.unlink()  # it is read, and a kill must not leave keys behind
            self._open = stack.pop_all()

    def close(self) -> None:
        """Forget the session and remove what it left on the disk."""
        self._session = None
        self._open.close()

    def call(self, action: str, **fields: Any) -> Mapping[str, Any]:
        """Carry a request out, such as ``tasks.create``, and return the answer's data.

        Raises:
            TrackerError: when the server refuses it, or is out of reach.
        """
        return self._data(action, self._send(action, self._request(action, fields)))

    def call_or_none(
        self, action: str, refused_by: tuple[int, int], **fields: Any
    ) -> Mapping[str, Any] | None:
        """As `call`; None where the server refuses it by this code and subcode."""
        result = self._send(action, self._request(action, fields))
        if (result.meta.result_code, result.meta.result_subcode) == refused_by:
            return None
        return self._data(action, result)

    def add_events(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Have scalars, texts, plots and images stored; secrets are not looked for here.

        Raises:
            TrackerError: when the server does not take them all.
        """
        action = "events.add_batch"
        kind = import_module("clearml.backend_api.services").events.AddBatchRequest
        for start in range(0, len(events), EVENTS_A_REQUEST):
            batch = list(events[start : start + EVENTS_A_REQUEST])
            told = self._data(action, self._send(action, kind(requests=batch)))
            self.gets_on()
            if told.get("errors"):
                raise self._refusal(action, f"{told['errors']} of it: {told.get('errors_info')}")

    def places(self) -> tuple[str, str | None]:
        """Where the SDK would put files, and where people look at tasks, if it can tell.

        Raises:
            TrackerError: when nothing says where files go.
        """
        session, bucket = self._session, self.settings.bucket
        files = self.settings.files_host or _derived(session.get_files_server_host)
        web = self.settings.web_host or _derived(session.get_app_server_host)
        if bucket is not None:
            files = bucket.url
        if not files:
            raise TrackerError(
                "nothing says where files for ClearML go",
                remedy="set CLEARML_FILES_HOST, or a bucket by CLEARML_S3_*, in .env",
            )
        return files, web

    def said(self, error: BaseException) -> str:
        """Why something failed: the innermost cause, and what the SDK logged of it."""
        cause: BaseException | None = error
        while cause is not None:
            innermost, cause = cause, cause.__cause__ or cause.__context__
        reason = getattr(innermost, "strerror", None) or str(innermost) or type(innermost).__name__
        logged = [line for line in self._said if str(reason) not in line]
        self._said.clear()
        return redact("; ".join([str(reason), *logged[-1:]]), self.secrets)[:1000]

    def _log_in(self) -> Any:
        session_class = import_module("clearml.backend_api.session").Session
        import_module("clearml.debugging.log").LoggerRoot.get_base_logger()
        vars(import_module("clearml.storage.callbacks"))["tqdm"] = None  # a bar on standard error
        _only_ours(self._said)
        try:
            session = session_class()
        except Exception as error:  # bare exceptions of many kinds
            raise self._not_logged_in(error) from error
        if session.host != self.settings.api_host:
            raise TrackerError(
                f"ClearML's SDK was set up for {session.host} in this process before",
                where=self.settings.api_host,
                remedy="use one server in one process",
            )
        return session

    def _not_logged_in(self, error: Exception) -> TrackerError:
        host, text = self.settings.api_host, str(error)
        if any(f"(error {code} " in text for code in _UNAUTHORIZED):
            return TrackerError(
                f"ClearML refuses the keys: {redact(text.rpartition('): ')[2], self.secrets)}",
                where=host,
                remedy=f"correct {' and '.join(API_KEYS)} in .env; {LATER}",
            )
        if isinstance(error, ValueError):
            reason = "it answers, but not as ClearML's API server does"
        else:
            reason = f"ClearML's API server cannot be reached: {self.said(error)}"
        remedy = f"correct {API_HOST} in .env, or start the server; {LATER}"
        return TrackerError(reason, where=host, remedy=remedy)

    def _request(self, action: str, fields: Mapping[str, Any]) -> Any:
        service, _, name = action.partition(".")
        requests = getattr(import_module("clearml.backend_api.services"), service)
        kind = getattr(requests, f"{name.title().replace('_', '')}Request")
        return kind(**self._clean(fields))

    def _send(self, action: str, request: Any) -> Any:
        try:
            return self._session.send(request)
        except import_module("clearml.backend_api.session.session").LoginError as error:
            raise self._not_logged_in(error) from error
        except OSError as error:
            raise TrackerError(
                f"ClearML did not answer {action}: {self.said(error)}",
                where=self.settings.api_host,
                remedy=LATER,
            ) from error

    def _data(self, action: str, result: Any) -> Mapping[str, Any]:
        meta = result.meta
        if not result.ok():
            codes = f"{meta.result_code}/{meta.result_subcode or 0}"
            raise self._refusal(action, f"{meta.result_msg or 'it did not say why'} ({codes})")
        return result.response_data or {}

    def _clean(self, value: Any, name: str = "") -> Any:
        """Plain data without secrets."""
        match value:
            case str():
                return value if name in _PLACES else redact(value, self.secrets)
            case Mapping():
                return {
                    redact(str(key), self.secrets): self._clean(item, key)
                    for key, item in value.items()
                }
            case list() | tuple():
                return [self._clean(item) for item in value]
        return value

    def _refusal(self, action: str, why: str) -> TrackerError:
        what = redact(" ".join(why.split()), self.secrets)[:500]
        host = self.settings.api_host
        return TrackerError(f"ClearML refused {action}: {what}", where=host, remedy=LATER)


def _derived(host: Callable[[], str]) -> str | None:
    """What the SDK makes of the API's host; None where it cannot."""
    try:
        return host()
    except ValueError:
        return None


def _variables(settings: ClearmlSettings, folder: Path) -> dict[str, str]:
    variables = {
        "CLEARML_CONFIG_FILE": str(folder / "clearml.conf"),
        "CLEARML_CACHE_DIR": str(folder / "cache"),
        "CLEARML_DISABLE_VAULT_SUPPORT": "1",
        "CLEARML_NO_DEFAULT_SERVER": "1",
    }
    if settings.verify_certificate is not None:
        variables[VERIFY_CERTIFICATE] = settings.verify_certificate
    if settings.bucket is not None:
        file = folder / "aws.conf"
        file.write_text(settings.bucket.aws_configuration)
        variables["AWS_CONFIG_FILE"] = str(file)
    return variables


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Variables outrank the SDK's configuration file: no others of its own may be there."""
    before = dict(os.environ)
    for name in before:
        if name.startswith(_OWN_VARIABLES):
            del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            os.environ.pop(name, None)
        os.environ.update(before)


class _Listener(logging.Handler):
    """Keeps what is logged for an error's message; nothing of it is printed."""

    def __init__(self, said: deque[str]) -> None:
        super().__init__(logging.WARNING)
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        self._said.append(record.getMessage())


@contextmanager
def _listening(said: deque[str]) -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(logger.handlers[:], logger.propagate) for logger in loggers]
    logging.captureWarnings(True)  # of certificates that are not verified
    _only_ours(said)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        for logger, (handlers, propagate) in zip(loggers, before, strict=True):
            logger.handlers[:], logger.propagate = handlers, propagate


def _only_ours(said: deque[str]) -> None:
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers[:], logger.propagate = [_Listener(said)], False


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(text, encoding="utf-8")
