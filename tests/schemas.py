"""Holds values against the JSON Schemas of docs/schemas: they fit, and every key of theirs is declared."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema

SCHEMAS = Path(__file__).parents[1] / "docs" / "schemas"


def schema(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(loaded)
    return loaded


def undeclared(value: Any, node: dict[str, Any], root: dict[str, Any], where: str = "") -> Iterator[str]:
    """Keys of `value` that the schema `node` neither names nor allows by a rule for other keys."""
    if "$ref" in node:
        node = root["$defs"][node["$ref"].rpartition("/")[2]]
    if isinstance(value, dict) and "properties" in node:
        for key, item in value.items():
            if key in node["properties"]:
                yield from undeclared(item, node["properties"][key], root, f"{where}.{key}")
            elif "additionalProperties" not in node:
                yield f"{where}.{key}"
    elif isinstance(value, dict) and isinstance(node.get("additionalProperties"), dict):
        for key, item in value.items():
            yield from undeclared(item, node["additionalProperties"], root, f"{where}.{key}")
    elif isinstance(value, list) and isinstance(node.get("items"), dict):
        for item in value:
            yield from undeclared(item, node["items"], root, f"{where}[]")


def check(value: Any, name: str) -> None:
    rules = schema(name)
    jsonschema.validate(value, rules, jsonschema.Draft202012Validator)
    assert list(undeclared(value, rules, rules)) == []
