"""The OpenAPI document as it is served: what errors look like here, who may ask, examples, and headers that matter."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from api import identity
from api.problems import MEDIA_TYPE, ProblemDetails, problems

Document = dict[str, Any]
ASKS = "x-asks"
"""The field of an operation that says who may ask: one of ``WHO``."""
WHO = {
    "anybody": "Anybody, logged in or not.",
    "visitor": "Anybody; who is logged in sees what they may see.",
    "reader": "Who is logged in.",
    "writer": "Who is logged in; counted as a write.",
    "moderator": "Moderators and operators; counted as a write.",
}
TAGS = {
    "accounts": "Accounts, profiles, and what people change of their own account.",
    "mail": "Addresses, their verification, and lost passwords.",
    "sessions": "Logging in and out.",
    "graph": "Follows, requests, blocks and mutes.",
    "media": "Uploads.",
    "posts": "Posts.",
    "likes": "Likes.",
    "comments": "Comments and replies.",
    "saves": "Saved posts, collections, and sharing.",
    "feed": "The home feed.",
    "stories": "Stories, trays of them, and highlights.",
    "search": "Looking for people, hashtags, places and posts.",
    "trending": "What people turn to now more than is usual: posts, hashtags and places.",
    "explore": "Posts that one has not seen: what trends, what those whom one follows keep, and what is similar.",
    "hashtags and places": "Their pages: how many posts name one, the newest and the top ones.",
    "notifications": "What others did that concerns one, as a list and live.",
    "activity": "What one has seen.",
    "insights": "What came of one's posts, for their author alone.",
    "files": "Pictures, where no CDN is in front.",
    "registry": "The schemas of the log, as a schema registry serves them.",
    "health": "For whoever runs it.",
}
_ASKING = (
    (identity.MODERATOR, "moderator"),
    (identity.WRITER, "writer"),
    (identity.READER, "reader"),
    (identity.VISITOR, "visitor"),
)
_TEXT = {"type": "string"}
_TOKEN: Document = {
    "Consistency-Token": {"description": "Send it with a read: it then includes this write.", "schema": _TEXT}
}
_WAIT: Document = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
_LIMITS: Document = {
    "RateLimit-Policy": {"description": "The class of requests, how many in a row, per seconds.", "schema": _TEXT},
    "RateLimit-Limit": {"description": "How many in a row.", "schema": {"type": "integer"}},
    "RateLimit-Remaining": {"description": "How many are left now.", "schema": {"type": "integer"}},
    "RateLimit-Reset": {"description": "In how many seconds all are there again.", "schema": {"type": "integer"}},
}
"""Of every answer to what was counted; described where they mean most."""
_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}


def describe(app: FastAPI, routes: Collection[BaseRoute]) -> None:
    """Let the document of ``app``, which has these ``routes``, say all that."""
    generate: Callable[[], Document] = app.openapi

    def openapi() -> Document:
        if app.openapi_schema:
            return app.openapi_schema
        document = generate()
        schemas = document["components"]["schemas"]
        schemas["ProblemDetails"] = ProblemDetails.model_json_schema()
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        for schema in schemas.values():
            if "example" in schema:
                schema["example"] = _whole(schema["example"], schema, schemas)
        asking = dict(_asking(routes))
        for address, path in document["paths"].items():
            for method, operation in path.items():
                _complete(operation, method, address, asking[operation["operationId"]])
                _exemplify(operation, schemas)
        used = {tag for path in document["paths"].values() for one in path.values() for tag in one["tags"]}
        document["tags"] = [{"name": name, "description": text} for name, text in TAGS.items() if name in used]
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def asks(dependant: Dependant) -> str:
    """Who may ask a route with these dependencies: a key of ``WHO``."""
    calls = set(_calls(dependant))
    return next((who for call, who in _ASKING if call in calls), "anybody")


def _calls(dependant: Dependant) -> Iterator[Any]:
    for one in dependant.dependencies:
        yield one.call
        yield from _calls(one)


def _asking(routes: Iterable[BaseRoute]) -> Iterator[tuple[str, str]]:
    for route in routes:
        if isinstance(route, APIRoute):
            yield route.name, asks(route.dependant)


def _complete(operation: Document, method: str, address: str, who: str) -> None:
    """Who may ask, and the answers and headers that every route has."""
    operation[ASKS] = who
    if who == "visitor":
        operation["security"] = [{}, *operation["security"]]  # with a token or without
    answers = operation["responses"]
    if method == "get" and address.startswith("/api/"):  # nobody reads oftener than so often
        answers |= {"429": problems(429)[429]} | answers
    for status, answer in answers.items():
        answer.setdefault("headers", {}).update(_headers(method, status, operation["tags"]))
    if "application/json" in answers.get("422", {}).get("content", {}):
        answers["422"] = {"description": "A field is missing or wrong.", "content": _PROBLEM}


def _headers(method: str, status: str, tags: list[str]) -> Document:
    """The headers that mean something in an answer."""
    if status in ("429", "503"):
        return _WAIT | (_LIMITS if status == "429" else {})
    said = method != "get" and status.startswith("2") and not {"sessions", "mail"} & set(tags)
    return _TOKEN if said else {}


def _whole(example: Any, schema: Document, schemas: Document) -> Any:
    """The example in its schema's order, with the nulls that FastAPI has left out."""
    schema = next((one for one in schema.get("anyOf", ()) if one.get("type") != "null"), schema)
    schema = schemas.get(schema.get("$ref", "").rpartition("/")[2], schema)
    if isinstance(example, list):
        return [_whole(one, schema.get("items", {}), schemas) for one in example]
    fields = schema.get("properties", {})
    if not isinstance(example, dict) or not fields:
        return example
    given = {name: _whole(example[name], field, schemas) for name, field in fields.items() if name in example}
    nulls = {name: None for name in schema.get("required", ()) if name not in example}
    known = example | nulls | given
    return {name: known[name] for name in sorted(known, key=list(fields).index)}


def _exemplify(operation: Document, schemas: Document) -> None:
    """Bodies, answers and parameters with the examples of their schemas beside them, where every tool finds them."""
    bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
    for content in (content for body in bodies for content in body.get("content", {}).values()):
        name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
        if "example" in schemas.get(name, {}):
            content["example"] = schemas[name]["example"]
    for parameter in operation.get("parameters", ()):
        parameter["name"] = _NAMES.get(parameter["name"], parameter["name"])
        if examples := parameter["schema"].get("examples"):
            parameter["example"] = examples[0]


_NAMES = {"idempotency-key": "Idempotency-Key", "last-event-id": "Last-Event-ID", "if-none-match": "If-None-Match"}
"""Headers as they are written; how does not matter to what reads them."""
