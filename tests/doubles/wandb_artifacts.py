"""The part of a Weights & Biases server that keeps versioned files."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

MOMENT = "2026-01-01T00:00:00Z"


class RefusedError(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass
class RemoteArtifact:
    """One version of an artifact."""

    id: str
    entity: str
    project: str
    run_id: str
    name: str
    type: str
    digest: str
    version: int
    state: str = "PENDING"
    aliases: tuple[str, ...] = ()
    description: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    manifest: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass
class ArtifactStore:
    """Artifacts by id, and where a file may be put."""

    url: str = ""
    artifacts: dict[str, RemoteArtifact] = field(default_factory=dict)
    uploads: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    """Kind, owner and name of a file, by the path of the address that was given out for it."""

    def address(self, kind: str, owner: str, name: str) -> str:
        """An address at which one file may be put."""
        path = f"/storage/{len(self.uploads)}/{name.rpartition('/')[2]}"
        self.uploads[path] = (kind, owner, name)
        return self.url + path

    def artifact(self, artifact_id: str) -> RemoteArtifact:
        """The artifact of that id."""
        if artifact_id not in self.artifacts:
            raise RefusedError(404, f"there is no artifact {artifact_id}")
        return self.artifacts[artifact_id]

    def ask_artifact_type(self, asked: dict[str, Any]) -> dict[str, Any]:
        found = self._versions(asked["entity"], asked["project"], asked["name"].partition(":")[0])
        artifact = {"artifactType": {"name": found[-1].type}} if found else None
        return {"project": {"artifact": artifact}}

    def ask_create_artifact(self, asked: dict[str, Any]) -> dict[str, Any]:
        wanted = asked["input"]
        place = (wanted["entityName"], wanted["projectName"])
        name = wanted["artifactCollectionName"]
        earlier = self._versions(*place, name)
        same = [each for each in earlier if each.digest == wanted["digest"]]
        if same and same[-1].state == "COMMITTED":
            artifact = same[-1]
        else:
            artifact = RemoteArtifact(
                id=f"artifact{len(self.artifacts)}",
                entity=place[0],
                project=place[1],
                run_id=wanted["runName"],
                name=name,
                type=wanted["artifactTypeName"],
                digest=wanted["digest"],
                version=len(earlier),
                aliases=tuple(each["alias"] for each in wanted.get("aliases") or ()),
                description=wanted.get("description"),
                metadata=json.loads(wanted.get("metadata") or "{}"),
            )
            self.artifacts[artifact.id] = artifact
        latest = earlier[-1] if earlier else None
        sequence = {
            "id": name,
            "latestArtifact": latest and {"id": latest.id, "versionIndex": latest.version},
        }
        told = {"id": artifact.id, "state": artifact.state, "artifactSequence": sequence}
        return {"createArtifact": {"artifact": told}}

    def ask_create_artifact_manifest(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"createArtifactManifest": self._manifest(asked["artifactID"])}

    def ask_update_artifact_manifest(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"updateArtifactManifest": self._manifest(asked["artifactManifestID"])}

    def ask_create_artifact_files(self, asked: dict[str, Any]) -> dict[str, Any]:
        edges = [
            {"node": self._file(each["artifactID"], each["name"])}
            for each in asked["input"]["artifactFiles"]
        ]
        return {"createArtifactFiles": {"files": {"edges": edges}}}

    def ask_commit_artifact(self, asked: dict[str, Any]) -> dict[str, Any]:
        artifact = self.artifact(asked["artifactID"])
        missing = artifact.manifest.get("contents", {}).keys() - artifact.files.keys()
        if missing:
            raise RefusedError(400, f"artifact {artifact.name} lacks {sorted(missing)}")
        artifact.state = "COMMITTED"
        return {"commitArtifact": {"artifact": {"id": artifact.id, "digest": artifact.digest}}}

    def ask_artifact_by_id(self, asked: dict[str, Any]) -> dict[str, Any]:
        artifact = self.artifact(asked["id"])
        project = {
            "id": "1",
            "internalId": "1",
            "name": artifact.project,
            "entity": {"name": artifact.entity},
        }
        collection = {"__typename": "ArtifactSequence", "name": artifact.name, "project": project}
        aliases = [
            {"__typename": "ArtifactAlias", "id": name, "alias": name} for name in artifact.aliases
        ]
        told = {
            "__typename": "Artifact",
            "id": artifact.id,
            "artifactSequence": collection,
            "versionIndex": artifact.version,
            "artifactType": {"name": artifact.type},
            "description": artifact.description,
            "metadata": json.dumps(artifact.metadata),
            "ttlDurationSeconds": -2,
            "ttlIsInherited": True,
            "tags": [],
            "historyStep": None,
            "state": artifact.state,
            "size": sum(map(len, artifact.files.values())),
            "digest": artifact.digest,
            "digestAlgorithm": "MANIFEST_MD5",
            "commitHash": artifact.id,
            "fileCount": len(artifact.files),
            "createdAt": MOMENT,
            "updatedAt": MOMENT,
            "aliases": [{**alias, "artifactCollection": collection} for alias in aliases],
        }
        return {"artifact": told}

    def _versions(self, entity: str, project: str, name: str) -> list[RemoteArtifact]:
        return [
            each
            for each in self.artifacts.values()
            if (each.entity, each.project, each.name) == (entity, project, name)
        ]

    def _manifest(self, artifact: str) -> dict[str, Any]:
        url = self.address("manifest", artifact, "wandb_manifest.json")
        file = {"id": artifact, "name": "", "uploadUrl": url, "uploadHeaders": []}
        return {"artifactManifest": {"id": artifact, "file": file}}

    def _file(self, artifact: str, name: str) -> dict[str, Any]:
        return {
            "id": name,
            "name": name,
            "displayName": name,
            "storagePath": f"{artifact}/{name}",
            "uploadUrl": self.address("artifact", artifact, name),
            "uploadHeaders": [],
            "uploadMultipartUrls": None,
            "artifact": {"id": artifact},
        }
