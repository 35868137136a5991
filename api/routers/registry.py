"""The read-only part of the Schema Registry HTTP API, so that kcat, Kafka UI and ClickHouse can read the log."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Response

from api.problems import problems
from schemas.lock import Version, locked

router = APIRouter(tags=["registry"])

_MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"


class RegistryJSON(Response):
    """JSON as the registry's clients expect it, errors with its own codes included."""

    media_type = _MEDIA_TYPE

    def render(self, content: Any) -> bytes:
        return json.dumps(content).encode()


@router.get("/schemas/ids/{schema_id}", responses=problems(404), response_class=RegistryJSON)
async def get_schema(schema_id: str) -> RegistryJSON:
    """A schema by the id in the log's framing."""
    version = locked().by_id.get(int(schema_id)) if schema_id.isascii() and schema_id.isdecimal() else None
    if version is None:
        return _error(40403, "Schema not found")
    return RegistryJSON({"schema": json.dumps(version.schema)})


@router.get("/subjects", response_class=RegistryJSON)
async def list_subjects() -> RegistryJSON:
    """All subjects."""
    return RegistryJSON(list(locked().subjects))


@router.get("/subjects/{subject}/versions", responses=problems(404), response_class=RegistryJSON)
async def list_versions(subject: str) -> RegistryJSON:
    """A subject's version numbers."""
    versions = locked().subjects.get(subject)
    if versions is None:
        return _error(40401, "Subject not found")
    return RegistryJSON([version.version for version in versions])


@router.get("/subjects/{subject}/versions/{version}", responses=problems(404), response_class=RegistryJSON)
async def get_version(subject: str, version: str) -> RegistryJSON:
    """One version of a subject, by number or as `latest`."""
    versions = locked().subjects.get(subject)
    if versions is None:
        return _error(40401, "Subject not found")
    found: Version | None = versions[-1] if version == "latest" else None
    if version.isascii() and version.isdecimal():
        found = next((one for one in versions if one.version == int(version)), None)
    if found is None:
        return _error(40402, "Version not found")
    return RegistryJSON(
        {"subject": subject, "version": found.version, "id": found.id, "schema": json.dumps(found.schema)}
    )


def _error(code: int, message: str) -> RegistryJSON:
    return RegistryJSON({"error_code": code, "message": message}, status_code=404)
