"""``experiments schema``: the JSON Schema of an experiment file."""

from __future__ import annotations

import json
import sys


def schema() -> int:
    """Print the JSON Schema of an experiment file, as committed under configs/."""
    from ..config import experiment_schema

    # bytes, so that the file is the same whatever the terminal's encoding
    sys.stdout.flush()
    sys.stdout.buffer.write(schema_text(experiment_schema()).encode())
    sys.stdout.buffer.flush()
    return 0


def schema_text(content: object) -> str:
    """The schema as it is committed."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
