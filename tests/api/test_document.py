"""The OpenAPI document and docs/api.md: whole, true of the source, and current. The checks are made from the routes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.routing import APIRoute
from jsonschema import Draft202012Validator

from api.activity import sentence
from api.app import ROUTERS, create_app
from api.cursors import from_cursor
from api.description import ASKS, LIMITS, TAGS
from api.kinds import ROOM, Kinds
from api.models import Person
from api.presenting_stories import from_tray_cursor
from api.problems import MEDIA_TYPE, ProblemDetails
from api.reference import COMMAND, FILE, reference
from api.routers import live
from sinks import consistency
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


BINARY = {"type": "string", "format": "binary"}


def test_every_body_answer_parameter_and_header_has_an_example(document: Document) -> None:
    """Of whatever media type; but for files, of which there is none in JSON."""
    missing: list[str] = []
    for name, operation in operations(document):
        answers = {status: answer for status, answer in operation["responses"].items() if status[0] in "23"}
        assert any(status[0] == "2" for status in answers), name
        for status, body in [("body", operation.get("requestBody", {})), *answers.items()]:
            for kind, content in body.get("content", {}).items():
                if "example" not in content and content.get("schema") != BINARY:
                    missing.append(f"{name} {status} {kind}")
        for parameter in operation.get("parameters", ()):
            if "example" not in parameter or not parameter.get("description"):
                missing.append(f"{name} {parameter['name']}")
        headers = [one for answer in operation["responses"].values() for one in answer.get("headers", {}).items()]
        missing += [f"{name} {header}" for header, said in headers if "example" not in said]
    assert missing == []


def test_examples_of_parameters_and_headers_fit_their_schemas(document: Document) -> None:
    said = [
        (f"{name} {one['name']}", one["schema"], one["example"])
        for name, operation in operations(document)
        for one in operation.get("parameters", ())
    ]
    said += [
        (f"{name} {header}", one["schema"], one["example"])
        for name, operation in operations(document)
        for answer in operation["responses"].values()
        for header, one in answer.get("headers", {}).items()
    ]
    for name, schema, example in said:
        assert [fault.message for fault in Draft202012Validator(schema).iter_errors(example)] == [], name
        if name.endswith(" Consistency-Token"):
            assert consistency.parse(example), name
    examples = {
        one["name"] if (name, one["name"]) != ("GET /api/v1/stories/feed", "cursor") else "tray": one["example"]
        for name, operation in operations(document)
        for one in operation.get("parameters", ())
        if one["name"] in ("cursor", "Consistency-Token", "Last-Event-ID")
    }
    assert from_cursor(examples["cursor"]) > 0 and from_tray_cursor(examples["tray"]).at > 0
    assert consistency.parse(examples["Consistency-Token"]) and consistency.parse(examples["Last-Event-ID"])


def test_an_example_of_a_problem_is_one_of_that_status(document: Document) -> None:
    source = "".join(path.read_text() for path in ROOM.rglob("*.py"))
    for name, operation in operations(document):
        for status, answer in operation["responses"].items():
            example = answer.get("content", {}).get(MEDIA_TYPE, {}).get("example")
            assert example is None or str(example["status"]) == status, name
            assert example is None or set(example) <= set(ProblemDetails.model_fields), name
            kind = example["type"].rpartition(":")[2] if example else ""
            # Once among the examples, and where it is raised.
            assert not kind or source.count(f'"{kind}"') > 1, kind


def test_what_is_counted_says_so_in_every_answer_that_is_no_error(document: Document) -> None:
    for name, operation in operations(document):
        for status, answer in operation["responses"].items():
            if status == "429" or (status[0] == "2" and "429" in operation["responses"]):
                assert set(LIMITS) <= set(answer["headers"]), (name, status)
            assert ("Retry-After" in answer.get("headers", {})) == (status in ("429", "503")), (name, status)


def test_the_example_of_a_stream_is_one(document: Document) -> None:
    """Every frame is one that the stream makes of what it says, byte for byte."""
    answer = document["paths"]["/api/v1/live"]["get"]["responses"]["200"]
    frames = answer["content"]["text/event-stream"]["example"].removesuffix("\n\n").split("\n\n")
    names = []
    for frame in frames:
        fields = dict(line.split(": ", 1) for line in frame.split("\n") if line != ":")
        names.append(fields.get("event"))
        said = json.loads(fields.get("data", "{}"))
        made = live._frame(names[-1], fields["id"], said).decode()
        assert frame.removeprefix(":\n") + "\n\n" == made
        assert consistency.parse(fields["id"])
    assert set(names) == {None, "notification", "withdrawal", "reload"}
    notice = json.loads(frames[1].partition("data: ")[2])
    actor = Person.model_validate(notice["actor"])
    assert notice["text"] == sentence(notice["kind"], [actor], 1)


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
