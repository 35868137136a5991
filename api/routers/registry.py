"""The read-only part of the Schema Registry HTTP API, so that kcat, Kafka UI and ClickHouse can read the log."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from schemas.lock import Version, locked

router = APIRouter(tags=["registry"])

_MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"


class RegistryJSON(Response):
    """JSON as the registry's clients expect it, errors with its own codes included."""

    media_type = _MEDIA_TYPE

    def render(self, content: Any) -> bytes:
        return json.dumps(content).encode()


def _answers(schema: dict[str, Any], example: Any, missing: bool = True) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route that answers this."""
    known = {"description": "As the registry's clients know it."}
    found = known | {"content": {_MEDIA_TYPE: {"schema": schema, "example": example}}}
    error = {"error_code": 40401, "message": "Subject not found"}
    not_found = known | {"content": {_MEDIA_TYPE: {"schema": {"type": "object"}, "example": error}}}
    return {200: found, 404: not_found} if missing else {200: found}


def _number(text: str) -> int | None:
    """A number in an address; None for anything else, however long."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


_SchemaId = Annotated[str, Path(description="A schema's number in the log's framing.", examples=["3"])]
_Subject = Annotated[str, Path(description="A topic and an event of it.", examples=["graph-shutterlog.Followed"])]
_Version = Annotated[str, Path(description="A number from 1, or `latest`.", examples=["latest"])]
_SUBJECTS = {"type": "array", "items": {"type": "string"}}
_VERSIONS = {"type": "array", "items": {"type": "integer"}}
_ONE = {"subject": "graph-shutterlog.Followed", "version": 1, "id": 3, "schema": "{…}"}


@router.get(
    "/schemas/ids/{schema_id}",
    responses=_answers({"type": "object"}, {"schema": "{…}"}),
    response_class=RegistryJSON,
)
async def get_schema(schema_id: _SchemaId) -> RegistryJSON:
    """A schema by the id in the log's framing."""
    number = _number(schema_id)
    version = None if number is None else locked().by_id.get(number)
    if version is None:
        return _error(40403, "Schema not found")
    return RegistryJSON({"schema": json.dumps(version.schema)})


@router.get("/subjects", responses=_answers(_SUBJECTS, [_ONE["subject"]], missing=False), response_class=RegistryJSON)
async def list_subjects() -> RegistryJSON:
    """All subjects."""
    return RegistryJSON(list(locked().subjects))


@router.get("/subjects/{subject}/versions", responses=_answers(_VERSIONS, [1]), response_class=RegistryJSON)
async def list_versions(subject: _Subject) -> RegistryJSON:
    """A subject's version numbers."""
    versions = locked().subjects.get(subject)
    if versions is None:
        return _error(40401, "Subject not found")
    return RegistryJSON([version.version for version in versions])


@router.get(
    "/subjects/{subject}/versions/{version}", responses=_answers({"type": "object"}, _ONE), response_class=RegistryJSON
)
async def get_version(subject: _Subject, version: _Version) -> RegistryJSON:
    """One version of a subject, by number or as `latest`."""
    versions = locked().subjects.get(subject)
    if versions is None:
        return _error(40401, "Subject not found")
    found: Version | None = versions[-1] if version == "latest" else None
    if found is None:
        found = next((one for one in versions if one.version == _number(version)), None)
    if found is None:
        return _error(40402, "Version not found")
    return RegistryJSON(
        {"subject": subject, "version": found.version, "id": found.id, "schema": json.dumps(found.schema)}
    )


def _error(code: int, message: str) -> RegistryJSON:
    return RegistryJSON({"error_code": code, "message": message}, status_code=404)
