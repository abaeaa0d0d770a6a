"""The installed packages."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping


def package_versions() -> dict[str, str]:
    """Version of every installed distribution by its name, sorted without regard to case."""
    versions: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name:  # a half-removed package has none; of two, the first on the path is imported
            versions.setdefault(name, distribution.version)
    return dict(sorted(versions.items(), key=lambda item: item[0].lower()))


def requirements_text(versions: Mapping[str, str]) -> str:
    """The packages as pip reads them, one ``name==version`` a line."""
    return "".join(f"{name}=={version}\n" for name, version in versions.items())
