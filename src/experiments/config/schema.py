"""The experiment file's JSON Schema, for editors and for `experiments schema`."""

from __future__ import annotations

import copy
from typing import Any

from .models import ExperimentConfig

SCHEMA_ID = "urn:rl-experiments:experiment.schema.json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def experiment_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of an experiment file."""
    schema = ExperimentConfig.model_json_schema(mode="validation")
    definitions = schema["$defs"]
    for name in ("Configuration", "VariantConfiguration"):
        definitions[name] = _loosened(definitions["Configuration"])
    variant = definitions["VariantConfiguration"]
    variant["title"] = "VariantConfiguration"
    variant["description"] = "The baseline, overridden by the settings named here."
    variant["required"] = ["extends"]
    variant["properties"]["extends"] = {
        "const": "baseline",
        "description": "Everything not named here is taken from the baseline.",
    }
    schema["properties"]["variant_config"] = {
        "description": schema["properties"]["variant_config"].get("description", ""),
        "anyOf": [
            {"$ref": "#/$defs/VariantConfiguration"},
            {"$ref": "#/$defs/Configuration"},
        ],
    }
    schema["properties"]["$schema"] = {"type": "string", "description": "Address of this schema."}
    return {"$schema": DIALECT, "$id": SCHEMA_ID, **schema, "title": "Experiment"}


def _loosened(definition: dict[str, Any]) -> dict[str, Any]:
    """A preset brings the steps along; only what nothing else gives is required."""
    loosened = copy.deepcopy(definition)
    loosened["required"] = ["algorithm", "environment"]
    return loosened
