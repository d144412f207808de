"""Values and shapes that the tables of the OpenAPI document share."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

TEXT: Json = {"type": "string"}
BOOL: Json = {"type": "boolean"}
WORD: Json = {"type": "string", "enum": ["true", "false", "1", "0"]}
COUNT: Json = {"type": "integer", "minimum": 0}
INSTANT: Json = {"type": "string", "format": "date-time"}
NULL = "null"
PLATFORM: Json = {"type": "string", "enum": ["ios", "android", "electron"]}


def ref(name: str) -> Json:
    """Refer to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def json_object(required: list[str], more: Any = True, **properties: Json) -> Json:
    """Give the schema of an object: what it must have, whether it may have more, and what each property is."""
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": more}


def or_null(schema: Json) -> Json:
    """Give the schema, or null."""
    return {**schema, "type": [schema["type"], NULL]}
