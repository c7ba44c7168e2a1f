"""The OpenAPI document, made from the Structs that read requests and write responses."""

from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final

import msgspec

from monitor.web.api import ENDPOINTS, EVENT_STREAM, PREFIX, Endpoint
from monitor.web.views import Problem

OPENAPI_PATH: Final = f"{PREFIX}/openapi.json"

_SCHEMAS: Final = "#/components/schemas/{name}"


def openapi_document() -> dict[str, Any]:
    """Return the document."""
    structs = [Problem, *(kind for endpoint in ENDPOINTS for kind in (endpoint.query, endpoint.response) if kind)]
    _, schemas = msgspec.json.schema_components(structs, ref_template=_SCHEMAS)
    paths = {
        endpoint.path: {"get": _operation(endpoint, schemas.pop(endpoint.query.__name__))} for endpoint in ENDPOINTS
    }
    summary = "Clusters, their import jobs, and what happened to them."
    return {
        "openapi": "3.1.0",
        "info": {"title": "milvus-import-monitor", "version": version("milvus-import-monitor"), "summary": summary},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _operation(endpoint: Endpoint, query: dict[str, Any]) -> dict[str, Any]:
    responses = {
        str(status): {"description": HTTPStatus(status).phrase, "content": _content(Problem)}
        for status in endpoint.statuses
    }
    responses["200"] = {"description": endpoint.summary, "content": _content(endpoint.response)}
    return {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "parameters": [
            _parameter(name, schema, required=name in query.get("required", ()))
            for name, schema in query["properties"].items()
        ],
        "responses": responses,
    }


def _parameter(name: str, schema: dict[str, Any], *, required: bool) -> dict[str, Any]:
    description = schema.pop("description")
    if not schema.get("default"):
        schema.pop("default", None)
    null = {"type": "null"}  # such a parameter can be left out, but not be null
    if null in schema.get("anyOf", ()):
        (schema,) = (choice for choice in schema["anyOf"] if choice != null)
    return {"name": name, "in": "query", "required": required, "description": description, "schema": schema}


def _content(response: type[msgspec.Struct] | None) -> dict[str, Any]:
    if response is None:
        return {EVENT_STREAM: {"schema": {"type": "string"}}}
    return {"application/json": {"schema": {"$ref": _SCHEMAS.format(name=response.__name__)}}}
