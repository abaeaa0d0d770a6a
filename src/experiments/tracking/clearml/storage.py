"""Files on their way to ClearML's file server or to a bucket."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ...domain.redaction import redact
from ..files_without_secrets import without_secrets
from ..tracker import TrackerError
from .sdk import LATER, ClearmlSdk
from .settings import BUCKET, FILES_HOST, Bucket

_CONNECT_SECONDS, _READ_SECONDS = 5, 10
_TRIES = 2
_MAY_WRITE_ALL_THE_SAME = frozenset({"AccessDenied", "403"})
"""What a bucket answers to a listing by somebody who may only upload."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_PART = 100


@dataclass(frozen=True)
class Stored:
    """A file that was uploaded, as it lies there."""

    name: str
    url: str
    size: int
    """Bytes."""
    sha256: str


class ClearmlStorage:
    """Uploads to one place; what it returns from is stored there."""

    def __init__(self, sdk: ClearmlSdk, place: str) -> None:
        self._sdk = sdk
        self.place = place
        """URL of the file server or the bucket."""

    def check(self) -> None:
        """Find out early whether files could be uploaded.

        Raises:
            TrackerError: when the place is out of reach or refuses the keys.
        """
        bucket = self._sdk.settings.bucket
        if bucket is not None:
            self._check_bucket(bucket)
        else:
            self._check_file_server()

    def upload(self, file: Path, *parts: str) -> Stored | None:
        """Store a file under a path, in the place of what is there.

        A text is uploaded without secrets; None where other content holds one, and stays here.

        Raises:
            TrackerError: when it cannot be stored.
        """
        content = without_secrets(file, self._sdk.folder, self._sdk.secrets)
        if content is None:
            return None
        url = "/".join((self.place, *map(_path_part, (*parts, file.name))))
        try:
            self._put(content, url)
            with content.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            return Stored(file.name, url, content.stat().st_size, digest)
        finally:
            if content != file:
                content.unlink()

    def _put(self, file: Path, url: str) -> None:
        helper = import_module("clearml.storage.helper").StorageHelper.get(url, retries=_TRIES)
        try:
            if helper is None:
                raise ValueError("it is not a place that ClearML's SDK can write to")  # noqa: TRY301
            helper.upload(str(file), url, retries=_TRIES)
        except Exception as error:  # bare exceptions of many kinds
            raise TrackerError(
                f"{file.name} could not be uploaded: {self._sdk.said(error)}",
                where=self.place,
                remedy=f"{self._remedy()}; {LATER}",
            ) from error

    def _check_file_server(self) -> None:
        timeout, verify = (_CONNECT_SECONDS, _READ_SECONDS), self._sdk.settings.verify
        try:
            import_module("requests").head(self.place, timeout=timeout, verify=verify)
        except OSError as error:  # any answer at all will do: it has no page of its own
            raise TrackerError(
                f"ClearML's file server cannot be reached: {self._sdk.said(error)}",
                where=self.place,
                remedy=f"{self._remedy()}; {LATER}",
            ) from error

    def _check_bucket(self, bucket: Bucket) -> None:
        exceptions = import_module("botocore.exceptions")
        try:
            _client(bucket).list_objects_v2(Bucket=bucket.name, MaxKeys=1)
        except exceptions.ClientError as error:
            told = error.response.get("Error", {})
            if told.get("Code") in _MAY_WRITE_ALL_THE_SAME:
                return
            what = f"the bucket refuses: {told.get('Message') or ''} ({told.get('Code')})"
            raise self._no_bucket(redact(what, self._sdk.secrets)) from error
        except (exceptions.BotoCoreError, ValueError) as error:
            what = f"the bucket cannot be reached: {self._sdk.said(error)}"
            raise self._no_bucket(what) from error

    def _no_bucket(self, what: str) -> TrackerError:
        return TrackerError(what, where=self.place, remedy=f"{self._remedy()}; {LATER}")

    def _remedy(self) -> str:
        names = FILES_HOST if self._sdk.settings.bucket is None else ", ".join(BUCKET)
        return f"check {names} in .env"


def _client(bucket: Bucket) -> Any:
    config = import_module("botocore.config").Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"total_max_attempts": 1},
    )
    return import_module("boto3").client(
        "s3",
        endpoint_url=bucket.endpoint,
        aws_access_key_id=bucket.access_key,
        aws_secret_access_key=bucket.secret_key,
        region_name=bucket.region or None,
        verify=bucket.verify_ssl,
        config=config,
    )


def _path_part(text: str) -> str:
    """A part of a path that is the same in each URL, quoted or not."""
    return _UNSAFE.sub("_", text)[:_LONGEST_PART].strip(".") or "_"
