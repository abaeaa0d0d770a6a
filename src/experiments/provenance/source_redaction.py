"""Secrets in source text: known values, what looks like one, and literals given to their names."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..domain.redaction import REDACTED, SECRET_NAME, redact

_LITERAL = re.compile(
    r"""(?x)
    (?P<before> (?<!\w)
        (?P<name> \w[\w.-]{0,80} ) ["']? \]?             # api_key   "api_key"   environ["API_KEY"]
        (?: \ {0,9} : \ {0,9} [\w.\[\]|\ ]{1,60}? )?    # an annotation
        \ {0,9} [:=,] \s{0,99} [A-Za-z]{0,2} ["']
    )
    (?P<secret> (?!-) [^\s"'<>{}()\[\]]{6,} ) (?= ["'] )
    """
)
_BARE = re.compile(
    r"""(?xm)
    ^ (?P<before> [+\-\ ]? [\ \t]{0,99} (?: export \ + )? (?P<name> [A-Za-z][\w.-]{0,80} )
        (?: = | \ ? : \ + | \ = \  )                    # API_KEY=…   api_key: …   api_key = …
    )
    (?P<secret> (?= \S*\d ) [^\s"'<>{}()\[\],;]{6,} ) (?= [\ \t]* $ )
    """
)
_WORD = re.compile(
    r"""(?xm)
    ^ (?P<before> [+\-\ ]? [\ \t]{0,99} (?: export \ + )?
        (?: (?P<upper> [A-Z][A-Z0-9_]{0,80} ) = | (?P<lower> [a-z][\w.-]{0,80} ) \ ? : \ + )
    )
    (?P<secret> (?! (?:string|object|optional) \b ) [a-z!?.@#%&*+~^-]{6,200} ) (?= [\ \t]* $ )
    """
)
"""A password without a digit, as settings hold it; a type after a colon begins with a capital."""
# all is bounded: a line of a patch can be a megabyte long


def redact_source(text: str, secrets: Iterable[str] = ()) -> str:
    """Source text or a patch without secrets: the given ones, and those that its names give away.

    Of names like ``api_key`` or ``WANDB_API_KEY``, literals of six and more characters go.
    """
    for pattern in (_LITERAL, _BARE, _WORD):
        text = pattern.sub(_hidden, text)
    return redact(text, secrets)


def _hidden(found: re.Match[str]) -> str:
    names = found.groupdict()
    if SECRET_NAME.search(names.get("name") or names.get("upper") or names.get("lower") or ""):
        return f"{found['before']}{REDACTED}"
    return found[0]
