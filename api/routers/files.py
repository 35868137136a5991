"""Renditions, for a setup without a CDN or bucket in front."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Response

from api.media_urls import MediaUrls
from api.problems import Problem, not_found, problems
from api.stores import Opened
from sinks.object_store import NoSuchObject, rendition_key

router = APIRouter(tags=["files"])

_DIGEST = re.compile(r"[0-9a-f]{64}")
_EXAMPLE = "3f" * 32
_HEADERS: dict[str, Any] = {
    "ETag": {
        "description": "Send it as `If-None-Match`, and the picture comes only if it is another.",
        "schema": {"type": "string"},
        "example": f'"{_EXAMPLE}"',
    },
    "Cache-Control": {
        "description": "For how long the address is good, in seconds; what it names never changes.",
        "schema": {"type": "string"},
        "example": "private, max-age=3600, immutable",
    },
}


@router.get(
    "/media/{key:path}",
    responses={
        200: {
            "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}},
            "description": "The picture.",
            "headers": _HEADERS,
        },
        304: {"description": "What you have is right.", "headers": _HEADERS},
        **problems(403, 404, 422, 503),
    },
    response_class=Response,
)
async def get_rendition(
    key: Annotated[str, Path(description="As a rendition's address has it.", examples=[rendition_key(_EXAMPLE)])],
    stores: Opened,
    kind: Annotated[
        str, Query(alias="for", max_length=16, description="As the address has it.", examples=["public"])
    ] = "",
    expires: Annotated[
        int,
        Query(ge=0, le=2**53, description="When the address ends, in seconds since 1970.", examples=[1_795_680_000]),
    ] = 0,
    signature: Annotated[str, Query(max_length=64, description="Of the address.", examples=["a5" * 20])] = "",
    if_none_match: Annotated[
        str | None, Header(description="The `ETag` of the picture that you have.", examples=[f'"{_EXAMPLE}"'])
    ] = None,
) -> Response:
    """One rendition. Its address, as posts have it, is signed and expires; what it names never changes."""
    # Made again from the digest alone: whatever else the address says, nothing but a rendition can be reached.
    digest = key.rpartition("/")[2].removesuffix(".jpg")
    if not _DIGEST.fullmatch(digest) or key != rendition_key(digest):
        raise not_found("picture")
    signed = MediaUrls(stores.settings).check(key, kind, expires, signature)
    if signed is None:
        raise not_found("picture")
    if signed.seconds_left <= 0:
        detail = "This address has expired. Ask for the post again: it has the picture's new address."
        raise Problem(403, "address-expired", detail)
    headers = {
        "Cache-Control": f"{'public' if signed.public else 'private'}, max-age={signed.seconds_left}, immutable",
        "ETag": f'"{digest}"',
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
    if if_none_match is not None and (if_none_match.strip() == "*" or digest in if_none_match):
        return Response(status_code=304, headers=headers)
    try:
        body = await stores.objects.get(key)
    except NoSuchObject as error:
        raise not_found("picture") from error
    return Response(body, headers=headers, media_type="image/jpeg")
