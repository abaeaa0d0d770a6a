"""A readable name for an experiment that was given none."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from ..domain.paths import check_experiment_id
from ..durability.files import json_text
from .models import Configuration

LONGEST_SLUG = 36
SHORTEST_SLUG = 4


def new_experiment_id(hypothesis: str, arms: Mapping[str, Configuration], now: datetime) -> str:
    """An id from the hypothesis' ASCII words, the time (UTC) and six digits of the content's hash.

    Without such words algorithm and environment of the first arm stand in their place.
    """
    content = {name: arm.model_dump(mode="json") for name, arm in arms.items()}
    digest = hashlib.sha256(json_text([hypothesis, content]).encode()).hexdigest()[:6]
    first = next(iter(arms.values()))
    slug = _slug(hypothesis)
    if len(slug) < SHORTEST_SLUG:
        slug = _slug(f"{first.algorithm} {first.environment}") or "experiment"
    return check_experiment_id(f"{slug}_{now.astimezone(UTC):%Y%m%dT%H%M%S}_{digest}")


def _slug(text: str) -> str:
    words = re.findall(r"[a-z0-9]+", text.lower())
    slug = ""
    for word in words:
        longer = f"{slug}-{word}" if slug else word[:LONGEST_SLUG]
        if len(longer) > LONGEST_SLUG:
            break
        slug = longer
    return slug
