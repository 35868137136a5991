"""What surrounds every request: its trace id, bounds on its body and on the load, HEAD, and each answer's headers."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.limits import limit_fields
from api.metrics import SHED, answered
from api.problems import GONE, answer_of, overloaded, unforeseen
from api.receiving import Bodies, Body
from api.shedding import WAITS, Class, Load, admits, class_of

UPLOAD_PATH = "/api/v1/media"
STREAM_PATH = "/api/v1/live"
"""Stays open for hours, and has next to nothing to do: it is not counted."""
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
_CSP = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_DOCUMENTATION = ("/docs", "/redoc")


class Envelope:
    """ASGI middleware; written against ASGI itself, since a request passes it twice for every chunk."""

    def __init__(self, app: ASGIApp, *, https: bool, load: Load, bodies: Bodies) -> None:
        """``https`` says that clients come by TLS, and promises them that it stays so. ``load`` counts requests, and
        says when some are not done; ``bodies`` waits for what they bring."""
        self._app, self._load, self._bodies = app, load, bodies
        self._headers = [
            (b"x-content-type-options", b"nosniff"),
            (b"x-frame-options", b"DENY"),
            (b"referrer-policy", b"no-referrer"),
        ]
        if https:
            self._headers.append((b"strict-transport-security", b"max-age=31536000"))
        self._headers_apart_from_documentation = [*self._headers, _CSP]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given: dict[bytes, bytes] = dict(scope["headers"])
        state: dict[str, Any] = scope.setdefault("state", {})
        state["trace_id"] = _trace_id(given.get(b"traceparent", b""))
        path: str = scope["path"]
        # FastAPI knows no HEAD: it is a GET whose body stays here.
        bodiless = scope["method"] == "HEAD"
        if bodiless:
            scope["method"] = "GET"

        status = 0
        began = time.perf_counter()
        wanted = class_of(scope["method"], path)

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._complete(message, path, state)
            elif bodiless and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        load = self._load
        if not load.is_light and not admits(wanted, load.pressure):
            SHED[wanted].inc()
            answered(wanted, 503, 0.0)
            await answer_of(Request(scope), overloaded(WAITS[wanted]))(scope, receive, sending)
            return
        counted = path != STREAM_PATH
        load.in_flight += counted
        body = None
        if counted and wanted is Class.WRITES:  # no read takes a body
            body = Body(self._bodies, given, receive, streamed=path == UPLOAD_PATH)
        try:
            await self._app(scope, body.receive if body else receive, sending)
        except Exception:
            # Answered here, so that this answer is complete too; the server logs what is raised.
            if not status:
                await unforeseen(Request(scope))(scope, receive, sending)
            status = 500  # also of an answer that broke off
            raise
        finally:
            if body:
                body.end()
            else:
                load.in_flight -= counted
            answered(wanted, status or GONE, time.perf_counter() - began)

    def _complete(self, message: Message, path: str, state: Mapping[str, Any]) -> None:
        # No route sets these; set by name, each would be looked for among all others.
        ours = self._headers if path.startswith(_DOCUMENTATION) else self._headers_apart_from_documentation
        limits = limit_fields(state["limits"]) if "limits" in state else ()
        message["headers"] = [*message["headers"], *ours, (b"trace-id", state["trace_id"].encode()), *limits]
        if path.startswith("/api/"):
            headers = MutableHeaders(scope=message)
            headers.setdefault("Cache-Control", "private, no-cache")
            headers.add_vary_header("Authorization")


def _trace_id(traceparent: bytes) -> str:
    known = _TRACEPARENT.fullmatch(traceparent)
    return known[1].decode() if known and known[1] != b"0" * 32 else os.urandom(16).hex()
