"""Secrets: how they are recognised, and how they are kept out of everything that is written."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

REDACTED = "[redacted]"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

SECRET_NAME = re.compile(
    r"(?:^|[_\-.])(?:api[_-]?key|access[_-]?key|secret|secret[_-]?key|token|(?:pg)?password|"
    r"passwd|passphrase|credentials?|private[_-]?key)(?:$|[_\-.])",
    re.IGNORECASE,
)
SECRET_VALUE = re.compile(
    r"""(?x)
    AKIA[0-9A-Z]{16}                                  # AWS access key id
    | \bgh[pousr]_[A-Za-z0-9]{30,}                    # GitHub token
    | \bhf_[A-Za-z0-9]{30,}                           # Hugging Face token
    | \bsk-[A-Za-z0-9_-]{20,}                         # OpenAI-style key
    | \bwandb_v1_[A-Za-z0-9_]{20,}                    # Weights & Biases key
    | -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----(?:[\s\S]*?-----END\ [A-Z ]*PRIVATE\ KEY-----|[\s\S]*)
    | \beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}  # JSON web token
    | (?<=://)[^/\s:@"',]*:[^/\s"',]+(?=@)            # user:password@ in a URL
    """
)
_SHORTEST_SECRET = 6
_kept: set[str] = set()
"""Secrets that this process knows from elsewhere than its environment, which others inherit."""


def looks_secret(name: str, value: str) -> bool:
    """Whether a name or a value gives a setting away as a secret."""
    return bool(SECRET_NAME.search(name) or SECRET_VALUE.search(value))


def secrets_of(environment: Mapping[str, str]) -> set[str]:
    """The values of an environment that its variables' names give away as secrets."""
    return {
        value
        for name, value in environment.items()
        if SECRET_NAME.search(name) and len(value) >= _SHORTEST_SECRET
    }


def keep_secret(values: Iterable[str]) -> None:
    """Have whatever this process writes from now on leave these out.

    They stay in this process: a variable would be inherited by all that it starts.
    """
    _kept.update(values)


def known_secrets() -> set[str]:
    """The secrets that this process must not write: of its environment, and those it was told."""
    return secrets_of(os.environ) | _kept


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without the given secrets (raw, escaped, encoded) or what looks like one."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        for form in sorted(set(forms_of(secret)), key=len, reverse=True):
            text = text.replace(form, REDACTED)
    return SECRET_VALUE.sub(REDACTED, text)


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` as a file may hold it: no secret in it, and no character that steers a terminal."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", redact(text, secrets))


def redact_data(value: Any, secrets: Iterable[str] = ()) -> Any:
    """Plain data without secrets: in its texts and keys, and under names that give one away."""
    secrets = tuple(secrets)
    if isinstance(value, str):
        return redact(value, secrets)
    if isinstance(value, Mapping):
        return {
            redact(str(name), secrets): (
                REDACTED
                if isinstance(item, str) and item and SECRET_NAME.search(str(name))
                else redact_data(item, secrets)
            )
            for name, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact_data(item, secrets) for item in value]
    return value


def forms_of(secret: str) -> Iterator[str]:
    """A secret raw, URL-encoded, escaped as in JSON, and in both base64 alphabets."""
    lenient = "backslashreplace"  # an environment can hold what UTF-8 has not
    yield from (secret, quote(secret, safe="", errors=lenient), quote_plus(secret, errors=lenient))
    yield from (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
    content = secret.encode(errors=lenient)
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(content).decode().rstrip("=")
