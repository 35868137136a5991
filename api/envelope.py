"""What surrounds every request: its trace id, bounds on its body and on the load, HEAD, and each answer's headers."""

from __future__ import annotations

import os
import re
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.metrics import SHED, answered
from api.problems import GONE, Problem, overloaded, unforeseen
from api.shedding import WAITS, Load, admits, class_of

BODY_LIMIT = 64 * 1024
"""Bytes of a JSON body. Uploads have their own limit."""
UPLOAD_PATH = "/api/v1/media"
STREAM_PATH = "/api/v1/live"
"""Stays open for hours, and has next to nothing to do: it is not counted."""
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
_DOCUMENTATION = ("/docs", "/redoc")


class Envelope:
    """ASGI middleware; written against ASGI itself, since a request passes it twice for every chunk."""

    def __init__(self, app: ASGIApp, *, https: bool, load: Load) -> None:
        """``https`` says that clients come by TLS, and promises them that it stays so. ``load`` counts requests, and
        says when some are not done."""
        self._app, self._load = app, load
        self._headers = {
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
        }
        if https:
            self._headers["Strict-Transport-Security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        trace_id = _trace_id(Headers(scope=scope).get("traceparent", ""))
        scope.setdefault("state", {})["trace_id"] = trace_id
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
                self._complete(MutableHeaders(scope=message), path, trace_id)
            elif bodiless and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        load = self._load
        if not load.is_light and not admits(wanted, load.pressure):
            SHED[wanted].inc()
            answered(wanted, 503, 0.0)
            await overloaded(Request(scope), WAITS[wanted])(scope, receive, sending)
            return
        counted = path != STREAM_PATH
        load.in_flight += counted
        bounded = receive if path == UPLOAD_PATH else _bounded(scope, receive)
        try:
            await self._app(scope, bounded, sending)
        except Exception:
            # Answered here, so that this answer is complete too; the server logs what is raised.
            if not status:
                await unforeseen(Request(scope))(scope, receive, sending)
            status = 500  # also of an answer that broke off
            raise
        finally:
            load.in_flight -= counted
            answered(wanted, status or GONE, time.perf_counter() - began)

    def _complete(self, headers: MutableHeaders, path: str, trace_id: str) -> None:
        headers.update(self._headers)
        headers["Trace-Id"] = trace_id
        if not path.startswith(_DOCUMENTATION):
            headers["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'"
        if path.startswith("/api/"):
            headers.setdefault("Cache-Control", "private, no-cache")
            headers.add_vary_header("Authorization")


def _trace_id(traceparent: str) -> str:
    known = _TRACEPARENT.fullmatch(traceparent)
    return known[1] if known and known[1] != "0" * 32 else os.urandom(16).hex()


def _bounded(scope: Scope, receive: Receive) -> Receive:
    declared = Headers(scope=scope).get("content-length", "0")
    # A declared length is refused at the first read: only routes that take a body read.
    size = int(declared) if declared.isdecimal() and int(declared) > BODY_LIMIT else 0

    async def receiving() -> Message:
        nonlocal size
        if size <= BODY_LIMIT:
            message = await receive()
            size += len(message.get("body", b""))
            if size <= BODY_LIMIT:
                return message
        raise Problem(413, "body-too-large", f"The body may have {BODY_LIMIT} bytes at most. Send less.")

    return receiving
