"""The folder ``artifacts/``: what a tracker uploads, under the names that it is looked for."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from ..durability.files import replacing, write_json

KINDS = {
    "experiment_results": "results of all runs and the comparison",
    "model_predictions": "the final evaluations' episodes",
    "memory_usage": "sampled memory of all runs",
}


def write_artifacts(
    folder: Path, sources: Mapping[str, Path], moment: float | None, models: Mapping[str, str]
) -> None:
    """Copy one file a kind, named by the moment of the last record, and describe them.

    Files of an earlier derivation are replaced. `models`: the path of each run's model.
    """
    stamp = datetime.fromtimestamp(moment or 0.0, UTC)
    files = {kind: f"{kind}_{stamp:%Y%m%d_%H%M%S}.json" for kind in KINDS}
    for kind, name in files.items():
        with replacing(folder / name) as temporary:
            shutil.copyfile(sources[kind], temporary)
        for earlier in folder.glob(f"{kind}_*.json"):
            if earlier.name != name:
                earlier.unlink()
    described = [
        _artifact(kind, f"{folder.name}/{files[kind]}", "json", text, stamp)
        for kind, text in KINDS.items()
    ]
    described += [
        _artifact(f"{run}_model", path, "model", f"final policy of {run}", stamp)
        for run, path in models.items()
    ]
    write_json(folder / "artifacts_metadata.json", {"artifacts": described})


def _artifact(name: str, path: str, kind: str, text: str, stamp: datetime) -> dict[str, str]:
    created = stamp.isoformat(timespec="seconds").replace("+00:00", "Z")
    return {"name": name, "path": path, "type": kind, "description": text, "timestamp": created}
