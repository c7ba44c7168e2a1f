"""The OpenAPI document, made from what the endpoints are made from."""

from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final

import msgspec

from monitor.web.api import ENDPOINTS, PREFIX, Endpoint, Problem
from monitor.web.parameters import schema

PATH: Final = f"{PREFIX}/openapi.json"

_REFERENCE: Final = "#/components/schemas/{name}"


def document() -> dict[str, Any]:
    """Return the document."""
    structs = [Problem, *(endpoint.answer for endpoint in ENDPOINTS if endpoint.answer is not None)]
    _, components = msgspec.json.schema_components(structs, ref_template=_REFERENCE)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "milvus-import-monitor",
            "version": version("milvus-import-monitor"),
            "summary": "What the monitor knows of clusters, their import jobs, and what happened to them.",
        },
        "paths": {endpoint.path: {"get": _operation(endpoint)} for endpoint in ENDPOINTS},
        "components": {"schemas": components},
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "parameters": [
            {
                "name": parameter.name,
                "in": "query",
                "required": parameter.required,
                "description": parameter.description,
                "schema": schema(parameter),
            }
            for parameter in endpoint.parameters
        ],
        "responses": {
            "200": {"description": endpoint.summary, "content": _content(endpoint.answer)},
            **{
                str(status): {"description": HTTPStatus(status).phrase, "content": _content(Problem)}
                for status in endpoint.problems
            },
        },
    }


def _content(answer: type[msgspec.Struct] | None) -> dict[str, Any]:
    if answer is None:
        return {"text/event-stream": {"schema": {"type": "string"}}}
    return {"application/json": {"schema": {"$ref": _REFERENCE.format(name=answer.__name__)}}}
