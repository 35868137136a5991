"""The OpenAPI document and docs/api.md: whole, true of the source, and current. The checks are made from the routes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.routing import APIRoute
from jsonschema import Draft202012Validator

from api.app import ROUTERS, create_app
from api.description import ASKS, TAGS
from api.kinds import Kinds
from api.reference import COMMAND, FILE, reference
from sinks.settings import Settings

Document = dict[str, Any]
ONE_PAGE = {
    *("list_sessions", "list_collections"),
    *("list_stories_of_user", "list_highlights", "list_highlighted"),
}
"""Lists whose answers say that all of them are on one page."""
REGISTRY = "registry"
"""Speaks as schema registries do, with their numbers and content types."""


@pytest.fixture(scope="module")
def document() -> Document:
    return create_app(Settings(jwt_secret="x" * 32)).openapi()


def operations(document: Document) -> Iterator[tuple[str, Document]]:
    for address, path in document["paths"].items():
        for method, operation in path.items():
            yield f"{method.upper()} {address}", operation


def resolved(document: Document, schema: Document) -> Document:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: Document = document["components"]["schemas"][name] if name else schema
    return found


def test_the_reference_is_current() -> None:
    assert FILE.is_file() and FILE.read_text() == reference(), f"{FILE.name} is stale: run `{COMMAND}` and commit it"


def test_every_route_says_what_it_does_and_who_may_ask(document: Document) -> None:
    for name, operation in operations(document):
        assert operation["summary"] and len(operation["description"]) > 10, name
        assert operation["tags"][0] in TAGS and len(operation["tags"]) == 1, f"{name}: describe its tag in TAGS"
        assert operation[ASKS]
        secured = operation.get("security", [])
        assert bool(secured) == (operation[ASKS] != "anybody"), name
        assert ({} in secured) == (operation[ASKS] == "visitor"), name
        for parameter in operation.get("parameters", ()):
            told = operation["tags"] == [REGISTRY] or parameter.get("description")
            assert told, (name, parameter["name"])


def test_every_body_and_answer_has_an_example_that_fits_its_schema(document: Document) -> None:
    for name, operation in operations(document):
        if operation["tags"] == [REGISTRY]:
            continue
        for body in (operation.get("requestBody", {}), *operation["responses"].values()):
            content = body.get("content", {}).get("application/json")
            if content is None:
                continue
            assert "example" in content, (name, content)
            whole = content["schema"] | {"components": document["components"]}
            faults = [fault.message for fault in Draft202012Validator(whole).iter_errors(content["example"])]
            assert faults == [], name


def test_every_problem_that_a_route_can_answer_is_documented(document: Document) -> None:
    kinds, documented = Kinds(), dict(operations(document))
    # A method is known by its name alone, and these are of other classes.
    not_meant = {("export", 400), ("export", 413), ("export", 415), ("export", 422)}
    missing = [
        (name, str(kind))
        for module in ROUTERS
        for route in module.router.routes
        if isinstance(route, APIRoute) and route.include_in_schema
        for kind in kinds.of(route.endpoint.__module__, route.endpoint.__name__)
        for name in [f"{min(route.methods or ())} {route.path.replace(':path', '')}"]
        if str(kind.status) not in documented[name]["responses"] and (route.name, kind.status) not in not_meant
    ]
    assert missing == [], "give these statuses to problems(...)"


def test_problems_are_found_where_they_are_raised() -> None:
    found = {kind.name for kind in Kinds().of("api.routers.comments", "comment")}
    assert {"reply-to-reply", "too-many-comments", "comment-repeated", "too-many-links", "not-found"} <= found
    assert {"idempotency-key-reused", "not-yet-consistent", "login-required", "too-many-writes"} <= found


def test_every_list_goes_on_by_a_cursor(document: Document) -> None:
    lists = 0
    for name, operation in operations(document):
        for answer in operation["responses"].values():
            content = answer.get("content", {}).get("application/json")
            schema = resolved(document, content["schema"]) if content else {}
            if "items" not in schema.get("properties", {}):
                assert schema.get("type") != "array", f"{name}: a list is an object with items and next_cursor"
                continue
            lists += 1
            assert "next_cursor" in schema["properties"], name
            given = {parameter["name"] for parameter in operation["parameters"]} if "parameters" in operation else set()
            assert operation["operationId"] in ONE_PAGE or {"cursor", "limit"} <= given, name
    assert lists > 10


def test_every_id_is_a_string(document: Document) -> None:
    fields = [
        (name, field, schema)
        for name, model in document["components"]["schemas"].items()
        for field, schema in model.get("properties", {}).items()
    ]
    fields += [
        (name, parameter["name"], parameter["schema"])
        for name, operation in operations(document)
        if operation["tags"] != [REGISTRY]
        for parameter in operation.get("parameters", ())
    ]
    for name, field, schema in fields:
        if re.fullmatch(r"(.*_)?ids?", field):
            assert not {"integer", "number"} & set(re.findall(r'"type": "(\w+)"', json.dumps(schema))), (name, field)
