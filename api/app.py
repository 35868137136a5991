"""The composition root of the gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI
from fastapi.routing import APIRoute

from api.envelope import Envelope
from api.problems import MEDIA_TYPE, ProblemDetails, add_problem_answers, problems
from api.routers import (
    accounts,
    activity,
    blocks,
    comments,
    emails,
    feed,
    files,
    graph,
    health,
    likes,
    live,
    media,
    notifications,
    own_account,
    posts,
    push,
    registry,
    requests,
    saves,
    sessions,
)
from api.stores import Stores, open_stores
from sinks.settings import Settings

_PEOPLE = (accounts, own_account, emails, sessions, graph, requests, blocks)
_NEWS = (notifications, live, push)
ROUTERS = (*_PEOPLE, media, posts, likes, comments, saves, feed, activity, *_NEWS, files, registry, health)
_ABOUT = """
Writes go to the log and are answered once it has them; what you read are views that follow it closely. A write answers
a `Consistency-Token`: send it with a read, and the read includes that write.

Errors are RFC 9457 problems. Ids are strings. Cursors are opaque.
"""


def create_app(
    settings: Settings, opening: Callable[[Settings], AbstractAsyncContextManager[Stores]] = open_stores
) -> FastAPI:
    """The gateway on what ``opening`` opens: real stores, unless a test brings others."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with opening(settings) as stores:
            app.state.stores = stores
            yield

    app = FastAPI(
        title="Shutterlog",
        version="1",
        description=_ABOUT,
        lifespan=lifespan,
        generate_unique_id_function=_operation_id,
        redirect_slashes=False,
    )
    app.add_middleware(Envelope, https=(settings.public_url or "").startswith("https://"))
    add_problem_answers(app)
    for module in ROUTERS:
        app.include_router(module.router)
    _describe(app)
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name


_TEXT = {"type": "string"}
_TOKEN: dict[str, object] = {
    "Consistency-Token": {"description": "Send it with a read: it then includes this write.", "schema": _TEXT}
}
_WAIT: dict[str, object] = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}


def _headers(method: str, status: str, tags: list[str]) -> dict[str, object]:
    """The headers that mean something in an answer."""
    if status in ("429", "503"):
        return _WAIT
    said = method != "get" and status.startswith("2") and not {"sessions", "mail"} & set(tags)
    return _TOKEN if said else {}


def _describe(app: FastAPI) -> None:
    """Let the OpenAPI document say what errors really look like here, and which headers matter."""
    generate = app.openapi

    def openapi() -> dict[str, object]:
        document = generate()
        schemas = document["components"]["schemas"]
        schemas["ProblemDetails"] = ProblemDetails.model_json_schema()
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        for address, path in document["paths"].items():
            for method, operation in path.items():
                answers = operation["responses"]
                if method == "get" and address.startswith("/api/"):  # strangers read so often and no oftener
                    answers |= {"429": problems(429)[429]} | answers
                for status, answer in answers.items():
                    answer.setdefault("headers", {}).update(_headers(method, status, operation["tags"]))
                if "application/json" in answers.get("422", {}).get("content", {}):
                    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
                    answers["422"] = {"description": "A field is missing or wrong.", "content": content}
        return document

    app.openapi = openapi  # type: ignore[method-assign]
