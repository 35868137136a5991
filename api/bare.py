"""``python -m api.bare``: a route with the gateway's own authentication that answers stored pages, and nothing else.

The yardstick of ``shutterlog bench feed-read``: what FastAPI, the server and the token cost where no page is made.
``BARE_PAGES`` names a folder with a file of each person's page, ``USER_ID.json``.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Response

from api.identity import Reader
from api.problems import add_problem_answers
from api.serving import serve
from api.stores import open_stores
from sinks.settings import Settings


def create_app(settings: Settings, folder: Path) -> FastAPI:
    """The app."""
    pages = {int(file.stem): file.read_bytes() for file in folder.glob("*.json")}

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_stores(settings) as stores:
            app.state.stores = stores
            yield

    app = FastAPI(lifespan=lifespan)
    add_problem_answers(app)

    @app.get("/api/v1/feed")
    async def page(me: Reader) -> Response:
        return Response(pages[me.user_id], media_type="application/json")

    @app.get("/healthz")
    async def health() -> Response:
        return Response()

    return app


def main() -> None:
    """Serve, as ``python -m api`` does."""
    settings = Settings()
    serve(create_app(settings, Path(os.environ["BARE_PAGES"])), settings)


if __name__ == "__main__":
    main()
