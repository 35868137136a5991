"""The composition root of the gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI
from fastapi.routing import APIRoute

from api.description import describe
from api.envelope import Envelope
from api.problems import add_problem_answers
from api.receiving import Bodies
from api.routers import (
    accounts,
    activity,
    blocks,
    comments,
    emails,
    explore,
    feed,
    files,
    graph,
    health,
    highlights,
    insights,
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
    search,
    sessions,
    stories,
    tagged,
    trending,
)
from api.serving import watching
from api.shedding import Load
from api.stores import Stores, open_stores
from api.telling import Telling
from sinks.settings import Settings

_PEOPLE = (accounts, own_account, emails, sessions, graph, requests, blocks)
_NEWS = (notifications, live, push)
_STORIES = (stories, highlights)
# Routes are tried in this order, at some microseconds each: what is read most comes first.
ROUTERS = (
    *(feed, *_PEOPLE, media, posts, likes, comments, saves, *_STORIES, search, trending, tagged),
    *(explore, activity, insights),
    *(*_NEWS, files, registry, health),
)
_ABOUT = """
Writes go to the log and are answered once it has them; what you read are views that follow it closely. A write answers
a `Consistency-Token`: send it with a read, and the read includes that write.

Errors are RFC 9457 problems. Ids are strings. Cursors are opaque.
"""


def create_app(
    settings: Settings, opening: Callable[[Settings], AbstractAsyncContextManager[Stores]] = open_stores
) -> FastAPI:
    """The gateway on what ``opening`` opens: real stores, unless a test brings others."""

    load = Load(settings.in_flight_limit, settings.lag_limit_seconds)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with opening(settings) as stores:
            app.state.stores = stores
            app.state.telling = Telling(stores)
            app.state.load = load
            async with watching(load):
                yield

    app = FastAPI(
        title="Shutterlog",
        version="1",
        description=_ABOUT,
        lifespan=lifespan,
        generate_unique_id_function=_operation_id,
        redirect_slashes=False,
    )
    https = (settings.public_url or "").startswith("https://")
    app.add_middleware(Envelope, https=https, load=load, bodies=Bodies(settings, load))
    add_problem_answers(app)
    for module in ROUTERS:
        app.include_router(module.router)
    describe(app, [route for module in ROUTERS for route in module.router.routes])
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name
