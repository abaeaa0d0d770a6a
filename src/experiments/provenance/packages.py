"""The installed packages."""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from .git import without_credentials

_TORCH = ("torch", "torchvision", "torchaudio")
_TORCH_INDEX = "https://download.pytorch.org/whl"
"""Has the builds for one kind of device, such as 2.9.0+cpu, which the usual index has not."""
_NAMING = re.compile(r"^(Name|Version): *(\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Package:
    """An installed distribution."""

    name: str
    version: str
    source: str | None
    """Where it comes from if no index has it, as pip names it: an address, a folder."""


def installed_packages() -> tuple[Package, ...]:
    """Every installed distribution, sorted by name without regard to case."""
    found: dict[str, Package] = {}
    for distribution in importlib.metadata.distributions():
        told = _headers(distribution)
        name = told.get("Name")
        if name and name not in found:  # a half-removed one has none; the first is imported
            found[name] = Package(name, told.get("Version", ""), _source(distribution))
    return tuple(sorted(found.values(), key=lambda package: package.name.lower()))


def package_versions() -> dict[str, str]:
    """Version of every installed distribution by its name."""
    return {package.name: package.version for package in installed_packages()}


def requirements_text(versions: Mapping[str, str], sources: Mapping[str, str] | None = None) -> str:
    """The packages as pip reads them, one ``name==version`` a line.

    What comes from a folder is a comment: an index may have something else under its name.
    """
    sources = sources or {}
    builds = {
        version.partition("+")[2]
        for name, version in versions.items()
        if name in _TORCH and "+" in version and name not in sources
    }
    lines = [f"--extra-index-url {_TORCH_INDEX}/{build}" for build in sorted(builds)]
    lines += [_requirement(name, version, sources.get(name)) for name, version in versions.items()]
    return "".join(f"{line}\n" for line in lines)


def _headers(distribution: importlib.metadata.Distribution) -> dict[str, str]:
    """Name and version, without parsing the long description that follows them."""
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    return dict(_NAMING.findall(text.partition("\n\n")[0]))


def _source(distribution: importlib.metadata.Distribution) -> str | None:
    """What pip noted (PEP 610) when it did not install from an index."""
    try:
        noted = json.loads(distribution.read_text("direct_url.json") or "null")
        url = without_credentials(str(noted["url"]))
        if "vcs_info" in noted:
            return f"{noted['vcs_info']['vcs']}+{url}@{noted['vcs_info']['commit_id']}"
    except (KeyError, TypeError, ValueError, OSError):
        return None
    return url


def _requirement(name: str, version: str, source: str | None) -> str:
    if source is None:
        return f"{name}=={version}"
    if source.startswith("file:"):
        return f"# {name}=={version} from {source}"
    return f"{name} @ {source}"
