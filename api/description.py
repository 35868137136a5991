"""The OpenAPI document as it is served: what errors look like here, who may ask, examples, and headers that matter."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from api import identity
from api.problems import MEDIA_TYPE, ProblemDetails, example_of, problems

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
_NUMBER = {"type": "integer"}
_TOKEN: Document = {
    "Consistency-Token": {
        "description": "Send it with a read: it then includes this write.",
        "schema": _TEXT,
        "example": "posts-3-1742",
    }
}
_WAIT: Document = {"Retry-After": {"description": "Seconds to wait.", "schema": _NUMBER, "example": 2}}
LIMITS: Document = {
    "RateLimit-Policy": {
        "description": "Each limit that the request counts against: how many in a row (q), in how many seconds (w).",
        "schema": _TEXT,
        "example": '"writes";q=300;w=30, "address-writes";q=6000;w=30',
    },
    "RateLimit": {
        "description": "Of each of these: how many are left (r), and in how many seconds all are there again (t).",
        "schema": _TEXT,
        "example": '"writes";r=41;t=26, "address-writes";r=5120;t=5',
    },
    "RateLimit-Limit": {"description": "Of the nearest of them: how many in a row.", "schema": _NUMBER, "example": 300},
    "RateLimit-Remaining": {"description": "How many are left now.", "schema": _NUMBER, "example": 41},
    "RateLimit-Reset": {
        "description": "In how many seconds all are there again.",
        "schema": _NUMBER,
        "example": 26,
    },
}
"""Of every answer to what was counted; described where it is no error, and where it is refused."""
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
    if "requestBody" in operation:
        answers |= {"408": problems(408)[408]}
    counted = "429" in answers and (method != "get" or who != "anybody")
    for status, answer in answers.items():
        answer.setdefault("headers", {}).update(_headers(method, status, operation["tags"], counted))
    if "application/json" in answers.get("422", {}).get("content", {}):
        answers["422"] = {"description": "A field is missing or wrong.", "content": _PROBLEM}


def _headers(method: str, status: str, tags: list[str], counted: bool) -> Document:
    """The headers that mean something in an answer, of a route whose requests are ``counted``."""
    if status in ("429", "503"):
        return _WAIT | (LIMITS if status == "429" else {})
    if not status.startswith("2"):
        return {}
    said = method != "get" and not {"sessions", "mail"} & set(tags)
    return (_TOKEN if said else {}) | (LIMITS if counted else {})


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
    for status, answer in [("", operation.get("requestBody", {})), *operation["responses"].items()]:
        for kind, content in answer.get("content", {}).items():
            name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
            if kind == MEDIA_TYPE:
                content["example"] = example_of(int(status))
            elif "example" in schemas.get(name, {}):
                content["example"] = schemas[name]["example"]
        for header in answer.get("headers", {}).values():
            if "enum" in header["schema"]:
                header["example"] = header["schema"]["enum"][0]
    for parameter in operation.get("parameters", ()):
        parameter["name"] = _NAMES.get(parameter["name"], parameter["name"])
        schema = parameter["schema"]
        if examples := schema.get("examples"):
            parameter["example"] = examples[0]
        elif schema.get("default") not in (None, ""):
            parameter["example"] = schema["default"]


_NAMES = {"idempotency-key": "Idempotency-Key", "last-event-id": "Last-Event-ID", "if-none-match": "If-None-Match"}
"""Headers as they are written; how does not matter to what reads them."""
