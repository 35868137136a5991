"""Errors as RFC 9457 problems: every answer that is no success has this one shape, the framework's included."""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from api.passwords import TooBusy
from sinks.errors import StoreAway
from sinks.producer import TopicMissing

GONE = 499
"""The status of what nobody waits for any more, as access logs know it."""
TYPE = "urn:shutterlog:problem:"
MEDIA_TYPE = "application/problem+json"
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class Problem(HTTPException):
    """An error answer. ``kind`` is stable for machines, ``detail`` tells the person or the client what to do."""

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        retry_after: float | None = None,
        **extensions: object,
    ) -> None:
        super().__init__(status, detail, {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else {})
        self.kind = kind
        self.extensions = extensions
        if retry_after is not None:
            self.wait(retry_after)

    def wait(self, seconds: float) -> Problem:
        """Have it say that to try again makes sense after ``seconds``, and not before."""
        self.headers = {**(self.headers or {}), "Retry-After": str(max(1, math.ceil(seconds)))}
        return self


def not_found(what: str) -> Problem:
    """404 for something that is not there, or that this person may not know of."""
    return Problem(404, "not-found", f"There is no such {what}, or it is not yours to see. Check its id.")


class ProblemDetails(BaseModel):
    """RFC 9457 problem details."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": TYPE + "not-found",
                "title": "Not Found",
                "status": 404,
                "detail": "There is no such post, or it is not yours to see. Check its id.",
                "instance": "/api/v1/posts/1000000000000000001",
                "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
            }
        }
    )
    type: str = Field(description="Stable name of the kind of problem, a URN.")
    title: str
    status: int
    detail: str = Field(description="What happened and what to do.")
    instance: str = Field(description="The path that was asked for.")
    trace_id: str = Field(description="W3C trace id: give it when you report the problem.")
    errors: list[dict[str, str]] | None = Field(default=None, description="For 422: which field, and why.")


_MEANINGS = {
    400: "The request cannot be understood.",
    401: "There is no valid access token, or the credentials are wrong.",
    403: "This is somebody else's.",
    404: "It does not exist, or it is not yours to see.",
    408: "The body came too slowly, or not at all; the connection ends.",
    409: "It conflicts with what is there already.",
    410: "It was there, and is kept no longer.",
    413: "The body is too large.",
    415: "The kind of body or file is not supported.",
    422: "A field is missing or wrong, or an idempotency key was used for another request.",
    429: "Too many requests: wait as `Retry-After` says.",
    503: "A store is away, the server is overloaded, or the view has not reached the consistency token yet: wait as "
    "`Retry-After` says.",
}


_EXAMPLES = {
    400: ("malformed-json", "The body is not valid JSON. Correct its syntax."),
    401: ("session-ended", "The session of this access token has ended. Log in again."),
    403: ("not-yours", "This post is somebody else's: only its author can change or delete it."),
    404: ("not-found", "There is no such post, or it is not yours to see. Check its id."),
    408: ("body-too-slow", "The body did not come in time. Send the same request again."),
    409: ("username-taken", "The username ada is taken. Choose another one."),
    410: ("ranking-over", "This ranked feed is not kept any more. Ask for it again without a cursor."),
    413: ("body-too-large", "The body may have 65536 bytes at most. Send less."),
    415: ("unsupported-media-type", "This address takes JSON. Send it with the header Content-Type: application/json."),
    422: ("invalid-request", "Correct these fields: query.limit (Input should be greater than or equal to 1)"),
    429: ("too-many-writes", "You write faster than is allowed. Wait a moment."),
    503: ("store-away", "A store cannot be reached now. Nothing is lost: send the same request again in a moment."),
}


def example_of(status: int) -> dict[str, Any]:
    """A problem with this status, as a route might answer it."""
    kind, detail = _EXAMPLES[status]
    example: dict[str, Any] = {
        "type": TYPE + kind,
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": "/api/v1/posts/1000000000000000001",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    }
    if kind == "invalid-request":
        said = {"field": "query.limit", "detail": "Input should be greater than or equal to 1"}
        example["errors"] = [said]
    return example


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route that answers these problems."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
    return {status: {"description": _MEANINGS[status], "content": content} for status in statuses}


def respond(
    request: Request,
    status: int,
    kind: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
    extensions: Mapping[str, object] | None = None,
) -> JSONResponse:
    """The problem as an answer."""
    body = {
        "type": TYPE + kind,
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": request.url.path,
        "trace_id": request.scope.get("state", {}).get("trace_id", ""),
        **(extensions or {}),
    }
    return JSONResponse(body, status, {"Cache-Control": "no-store", **(headers or {})}, MEDIA_TYPE)


def answer_of(request: Request, problem: Exception) -> Response:
    """The answer that says this ``Problem``; whatever else there is, is raised."""
    if not isinstance(problem, Problem):
        raise problem
    return respond(request, problem.status_code, problem.kind, problem.detail, problem.headers, problem.extensions)


def _of_framework(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allow = {"Allow": ", ".join(_allowed(request))}
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=allow)
        detail = f"{request.method} is not possible here. Use one of: {allow['Allow']}."
        return respond(request, 405, "method-not-allowed", detail, allow)
    if error.status_code == HTTPStatus.NOT_FOUND:
        return respond(request, 404, "not-found", "Nothing is at this address. /openapi.json lists what there is.")
    kind = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
    return respond(request, error.status_code, kind, str(error.detail), error.headers)


def _allowed(request: Request) -> list[str]:
    # The router names the methods of the first route of this path only.
    routes = request.app.router.routes
    found = [m for m in _METHODS if any(r.matches({**request.scope, "method": m})[0] is Match.FULL for r in routes)]
    return [*found, *(["HEAD"] if "GET" in found else []), "OPTIONS"]


def _invalid(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    found = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        return respond(request, 400, "malformed-json", "The body is not valid JSON. Correct its syntax.")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if any(tuple(one["loc"]) == ("body",) for one in found) and not kind.endswith("json"):
        detail = "This address takes JSON. Send it with the header Content-Type: application/json."
        return respond(request, 415, "unsupported-media-type", detail)
    # Never what was sent: it may hold a password.
    errors = [{"field": ".".join(str(part) for part in one["loc"]), "detail": one["msg"]} for one in found]
    detail = "Correct these fields: " + "; ".join(f"{one['field']} ({one['detail']})" for one in errors)
    return respond(request, 422, "invalid-request", detail, extensions={"errors": errors})


def _away(request: Request, _error: Exception) -> Response:
    detail = "A store cannot be reached now. Nothing is lost: send the same request again in a moment."
    return respond(request, 503, "store-away", detail, {"Retry-After": "2"})


def _busy(request: Request, _error: Exception) -> Response:
    detail = "Too many people log in at this moment. Try again in a few seconds."
    return respond(request, 503, "busy", detail, {"Retry-After": "3"})


def _gone(_request: Request, _error: Exception) -> Response:
    # Nobody is there to read it.
    return Response(status_code=GONE)


def overloaded(seconds: int) -> Problem:
    """503 for a request that is not done because more is asked of this gateway than it can do."""
    detail = f"Too much is asked of this server at this moment. Send the same request again in {seconds} s."
    return Problem(503, "overloaded", detail, retry_after=seconds)


def unforeseen(request: Request) -> Response:
    """The answer to a mistake of ours: 500, and nothing of what is inside."""
    detail = "Something went wrong on our side. Try again; if it stays, report it with the trace id."
    return respond(request, 500, "internal", detail)


def add_problem_answers(app: FastAPI) -> None:
    """Make ``app`` answer every error as a problem; ``Envelope`` does so for what nobody foresaw."""
    app.add_exception_handler(Problem, answer_of)
    app.add_exception_handler(HTTPException, _of_framework)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(StoreAway, _away)
    app.add_exception_handler(TopicMissing, _away)
    app.add_exception_handler(TooBusy, _busy)
    app.add_exception_handler(ClientDisconnect, _gone)
