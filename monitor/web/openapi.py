"""The OpenAPI document, made from the Structs that read requests and write responses."""

from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final

import msgspec

from monitor.web.api import ENDPOINTS, EVENT_STREAM, PREFIX, Endpoint, Problem

OPENAPI_PATH: Final = f"{PREFIX}/openapi.json"

_SCHEMAS: Final = "#/components/schemas/{name}"


def openapi_document() -> dict[str, Any]:
    """Return the document."""
    responses = [Problem, *(endpoint.response for endpoint in ENDPOINTS if endpoint.response is not None)]
    queries = [endpoint.query for endpoint in ENDPOINTS]
    _, schemas = msgspec.json.schema_components([*responses, *queries], ref_template=_SCHEMAS)
    operations = {endpoint.path: _operation(endpoint, schemas[endpoint.query.__name__]) for endpoint in ENDPOINTS}
    for query in queries:
        del schemas[query.__name__]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "milvus-import-monitor",
            "version": version("milvus-import-monitor"),
            "summary": "Clusters, their import jobs, and what happened to them.",
        },
        "paths": {path: {"get": operation} for path, operation in operations.items()},
        "components": {"schemas": schemas},
    }


def _operation(endpoint: Endpoint, query: dict[str, Any]) -> dict[str, Any]:
    parameters = []
    for name, schema in query["properties"].items():
        description, default = schema.pop("description"), schema.pop("default", None)
        if "anyOf" in schema and {"type": "null"} in schema["anyOf"]:  # left out, not null
            schema = next(choice for choice in schema["anyOf"] if choice != {"type": "null"})  # noqa: PLW2901
        if default:
            schema["default"] = default
        required = name in query.get("required", ())
        parameters.append(
            {"name": name, "in": "query", "required": required, "description": description, "schema": schema}
        )
    responses = {
        str(status): {"description": HTTPStatus(status).phrase, "content": _content(Problem)}
        for status in endpoint.statuses
    }
    responses["200"] = {"description": endpoint.summary, "content": _content(endpoint.response)}
    return {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "parameters": parameters,
        "responses": responses,
    }


def _content(response: type[msgspec.Struct] | None) -> dict[str, Any]:
    if response is None:
        return {EVENT_STREAM: {"schema": {"type": "string"}}}
    return {"application/json": {"schema": {"$ref": _SCHEMAS.format(name=response.__name__)}}}
