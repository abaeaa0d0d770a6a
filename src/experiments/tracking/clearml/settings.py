"""How ClearML is reached, read from `CLEARML_*` variables; and as a configuration of its SDK."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ...config.environment_file import FALSE_WORDS, TRUE_WORDS
from ..tracker import TrackerError

API_HOST = "CLEARML_API_HOST"
WEB_HOST = "CLEARML_WEB_HOST"
FILES_HOST = "CLEARML_FILES_HOST"
API_KEYS = ("CLEARML_API_ACCESS_KEY", "CLEARML_API_SECRET_KEY")
VERIFY_CERTIFICATE = "CLEARML_API_HOST_VERIFY_CERT"
BUCKET = (
    "CLEARML_S3_ENDPOINT",
    "CLEARML_S3_BUCKET",
    "CLEARML_S3_ACCESS_KEY",
    "CLEARML_S3_SECRET_KEY",
)
"""All four make a bucket; without any of them, files go to ClearML's own file server."""

_PORTS = {"http": 80, "https": 443}
_BUCKET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_LONGEST_SHOWN = 80
_SHORTEST_SECRET = 6
_DEVELOPMENT = {
    "report_use_subprocess": False,
    "vcs_repo_detect_async": False,
    "store_uncommitted_code_diff": False,
    "suppress_update_message": True,
    "log_os_environments": [],
    "worker": {"log_stdout": False},
}
"""What the SDK would do by itself, and does not."""


@dataclass(frozen=True)
class Bucket:
    """A bucket of S3, or of something that speaks like it, such as MinIO."""

    endpoint: str
    """URL of the service, its port included."""
    name: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    region: str = ""
    path_style: bool = True
    """Whether the bucket's name stands in the path of a URL, not before the host's."""
    verify_ssl: bool = True

    @property
    def host(self) -> str:
        """Host and port."""
        return urlsplit(self.endpoint).netloc

    @property
    def url(self) -> str:
        """The bucket, as ClearML names places."""
        return f"s3://{self.host}/{self.name}"

    @property
    def aws_configuration(self) -> str:
        """What boto3 reads from a file of its own: the SDK cannot pass it on."""
        style = "path" if self.path_style else "virtual"
        # checksums in a trailer are what many servers that speak S3 do not understand
        checksums = "request_checksum_calculation = when_required"
        return f"[default]\n{checksums}\ns3 =\n    addressing_style = {style}\n"


@dataclass(frozen=True)
class ClearmlSettings:
    """A ClearML server, the keys for it, and where files go."""

    api_host: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    web_host: str | None = None
    files_host: str | None = None
    """None lets the SDK derive it from the API's host."""
    bucket: Bucket | None = None
    verify_certificate: str | None = None
    """A truth value or the path of a certificate, passed on to the SDK as it is."""

    @property
    def secrets(self) -> frozenset[str]:
        """Values that are shown nowhere; shorter ones are words of which texts are full."""
        keys = {self.access_key, self.secret_key}
        if self.bucket is not None:
            keys |= {self.bucket.access_key, self.bucket.secret_key}
        return frozenset(key for key in keys if len(key) >= _SHORTEST_SECRET)

    @property
    def verify(self) -> bool | str:
        """As the library `requests` wants it."""
        word = (self.verify_certificate or "true").lower()
        return (
            word in TRUE_WORDS if word in TRUE_WORDS | FALSE_WORDS else str(self.verify_certificate)
        )


def read_settings(environment: Mapping[str, str]) -> ClearmlSettings:
    """Read them from variables.

    Raises:
        TrackerError: when something is missing or makes no sense; it names all such variables.
    """
    reading = _Reading(environment)
    settings = ClearmlSettings(
        api_host=reading.url(API_HOST) or reading.missing(API_HOST),
        access_key=reading.text(API_KEYS[0]) or reading.missing(API_KEYS[0]),
        secret_key=reading.text(API_KEYS[1]) or reading.missing(API_KEYS[1]),
        web_host=reading.url(WEB_HOST),
        files_host=reading.url(FILES_HOST),
        bucket=_bucket(reading),
        verify_certificate=reading.text(VERIFY_CERTIFICATE),
    )
    if reading.problems:
        raise TrackerError(
            f"ClearML cannot be reached as it is set up: {'; '.join(reading.problems)}",
            remedy="correct these variables in .env or in the environment",
        )
    return settings


def sdk_configuration(settings: ClearmlSettings, cache: str) -> str:
    """The SDK's configuration file: JSON is a part of its format.

    Args:
        settings: hosts and keys.
        cache: a folder that the SDK may write to.
    """
    # reading is not tried again: a request that was carried out unanswered would be made twice
    retries = {"total": 3, "connect": 2, "read": 0, "status": 2, "backoff_factor": 0.5}
    bucket = settings.bucket
    api = {
        "api_server": settings.api_host,
        "web_server": settings.web_host or "",
        "files_server": settings.files_host or "",
        "credentials": {"access_key": settings.access_key, "secret_key": settings.secret_key},
        "http": {"retries": retries, "wait_on_maintenance_forever": False},
    }
    sdk = {
        "storage": {"cache": {"default_base_dir": cache}},
        "development": _DEVELOPMENT,
        "aws": {} if bucket is None else _aws(bucket),
    }
    return json.dumps({"api": api, "sdk": sdk}, indent=1, ensure_ascii=False)


def _aws(bucket: Bucket) -> dict[str, object]:
    credentials = {
        "host": bucket.host,
        "bucket": bucket.name,
        "key": bucket.access_key,
        "secret": bucket.secret_key,
        "region": bucket.region,
        "secure": bucket.endpoint.startswith("https://"),
        "verify": bucket.verify_ssl,
        "multipart": False,
    }
    timeouts = {"connect_timeout": 10, "read_timeout": 60}
    return {"s3": {"credentials": [credentials]}, "boto3": timeouts}


def _bucket(reading: _Reading) -> Bucket | None:
    """The bucket, where one is named; a part of one is a problem."""
    endpoint = reading.url(BUCKET[0], with_path=False)
    name, access_key, secret_key = (reading.text(variable) for variable in BUCKET[1:])
    if not any(reading.text(variable) for variable in BUCKET):
        return None
    for variable in BUCKET:
        if reading.text(variable) is None:
            reading.problems.append(f"{variable} is missing: a bucket needs {_listed(BUCKET)}")
    if name and not _BUCKET_NAME.fullmatch(name):
        reading.problems.append(f"{BUCKET[1]} is {_shown(name)}, which is not a bucket's name")
    return Bucket(
        endpoint=_with_port(endpoint) if endpoint else "",
        name=name or "",
        access_key=access_key or "",
        secret_key=secret_key or "",
        region=reading.text("CLEARML_S3_REGION") or "",
        path_style=reading.truth("CLEARML_S3_PATH_STYLE", default=True),
        verify_ssl=reading.truth("CLEARML_S3_VERIFY_SSL", default=True),
    )


class _Reading:
    """Variables, and what is wrong with them."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.problems: list[str] = []

    def missing(self, variable: str) -> str:
        """Note that a variable has no value, unless a worse problem with it is noted."""
        if not any(variable in problem for problem in self.problems):
            self.problems.append(f"{variable} is missing")
        return ""

    def text(self, variable: str) -> str | None:
        """The value; None for an empty one."""
        return self._environment.get(variable, "").strip() or None

    def truth(self, variable: str, *, default: bool) -> bool:
        """The value as a truth value."""
        word = (self.text(variable) or str(default)).lower()
        if word not in TRUE_WORDS | FALSE_WORDS:
            self.problems.append(f"{variable} is {_shown(word)}; use true or false")
        return word in TRUE_WORDS

    def url(self, variable: str, *, with_path: bool = True) -> str | None:
        """The value as a URL without a slash at its end; None where there is none."""
        text = self.text(variable)
        if text is None:
            return None
        try:
            parts = urlsplit(text)
            is_url = parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_url = False
        if not is_url:
            self.problems.append(f"{variable} is not a URL such as http://clearml.example:8008")
        elif "@" in parts.netloc or parts.query or parts.fragment:
            self.problems.append(f"{variable} holds more than a host, a port and a path")
        elif parts.path.strip("/") and not with_path:
            self.problems.append(f"{variable} has a path, which a bucket's endpoint cannot have")
        else:
            return text.rstrip("/")
        return None


def _with_port(url: str) -> str:
    """The SDK tells host and bucket apart by the port."""
    parts = urlsplit(url)
    port = "" if parts.port else f":{_PORTS[parts.scheme]}"
    return f"{parts.scheme}://{parts.netloc}{port}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _shown(value: str) -> str:
    return ascii(value[:_LONGEST_SHOWN])
