"""A real Schema Registry, where ``schema_registry_url`` names one: it gives the ids instead of the lock."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import httpx

from schemas import codec
from schemas.lock import Version, locked
from sinks.errors import StoreAway
from sinks.settings import Settings


class RegistryRefused(ValueError):
    """The registry answered, and did not do what was asked. The message says what to do."""


async def register(settings: Settings) -> None:
    """Put every schema of the lock into the registry, under FULL_TRANSITIVE. Idempotent; nothing without a registry.

    Raises ``StoreAway`` and ``RegistryRefused``.
    """
    if not settings.schema_registry_url:
        return
    async with _client(settings) as client:
        for subject, versions in locked().subjects.items():
            config = {"compatibility": "FULL_TRANSITIVE"}
            await _ask(client, "PUT", f"/config/{quote(subject, safe='')}", config)
            for version in versions:
                await _ask(client, "POST", f"/subjects/{quote(subject, safe='')}/versions", _body(version))


async def adopt_ids(settings: Settings) -> None:
    """Let the codec use the registry's ids from now on; without a registry the lock's stay in use.

    Raises ``StoreAway``, and ``RegistryRefused`` where a schema of the lock is not registered.
    """
    if not settings.schema_registry_url:
        return
    ids = {}
    async with _client(settings) as client:
        for version in locked().versions():
            # Asking by schema changes nothing in the registry, and finds the id whatever version it has there.
            answer = await _ask(client, "POST", f"/subjects/{quote(version.subject, safe='')}", _body(version))
            ids[version.subject, version.version] = int(answer["id"])
    codec.use(codec.Codec(locked().with_ids(ids)))


@asynccontextmanager
async def _client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=settings.schema_registry_url or "", timeout=10.0) as client:
        yield client


async def _ask(client: httpx.AsyncClient, method: str, path: str, body: dict[str, str]) -> dict[str, Any]:
    try:
        answer = await client.request(
            method, path, json=body, headers={"accept": "application/vnd.schemaregistry.v1+json"}
        )
    except httpx.TransportError as error:
        raise StoreAway(f"Schema Registry: {error!r}") from error
    if answer.status_code >= 500:
        raise StoreAway(f"Schema Registry: {answer.status_code} for {path}")
    if answer.status_code == 404:
        raise RegistryRefused(f"the registry does not know {path}: run `shutterlog provision`")
    if answer.is_error:
        raise RegistryRefused(f"the registry refused {method} {path}: {answer.status_code} {answer.text[:500]}")
    found: dict[str, Any] = answer.json()
    return found


def _body(version: Version) -> dict[str, str]:
    return {"schema": json.dumps(version.schema)}
