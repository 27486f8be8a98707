"""What a command printed with --json, held against its schema by every test that reads it."""

import json
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from redis_oom_tui.formatting.documents import json_schema


@cache
def _closed(command: str) -> Draft202012Validator:
    """The schema, which here allows no member that it does not describe."""
    schema = json_schema(command)
    for definition in schema["$defs"].values():
        definition.setdefault("additionalProperties", False)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def document_of(command: str, text: str | bytes) -> Any:
    """The document in `text`, which is exactly as the schema of `command` says."""
    document = json.loads(text)
    fault = best_match(_closed(command).iter_errors(document))
    assert fault is None, f"{command} --json: {fault.json_path}: {fault.message}"
    return document
