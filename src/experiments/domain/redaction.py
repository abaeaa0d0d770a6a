"""Secrets: how they are recognised, and how they are kept out of everything that is written."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, quote_plus

REDACTED = "[redacted]"

SECRET_NAME = re.compile(
    r"(?:^|[_\-.])(?:api[_-]?key|access[_-]?key|secret|secret[_-]?key|token|password|passwd|"
    r"credentials?|private[_-]?key)(?:$|[_\-.])",
    re.IGNORECASE,
)
SECRET_VALUE = re.compile(
    r"""(?x)
    AKIA[0-9A-Z]{16}                                  # AWS access key id
    | \bgh[pousr]_[A-Za-z0-9]{30,}                    # GitHub token
    | \bhf_[A-Za-z0-9]{30,}                           # Hugging Face token
    | \bsk-[A-Za-z0-9_-]{20,}                         # OpenAI-style key
    | \bwandb_v1_[A-Za-z0-9_]{20,}                    # Weights & Biases key
    | -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----
    | \beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}  # JSON web token
    | (?<=://)[^/\s:@]+:[^/\s:@]+(?=@)                # user:password@ in a URL
    """
)
_SHORTEST_SECRET = 6


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


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without the given secrets (raw, URL-encoded, base64) or what looks like one."""
    for secret in sorted(secrets, key=len, reverse=True):
        encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
        for form in {secret, quote(secret, safe=""), quote_plus(secret), encoded}:
            text = text.replace(form, REDACTED)
    return SECRET_VALUE.sub(REDACTED, text)
