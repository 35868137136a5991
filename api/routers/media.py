"""Uploads."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from api.access_tokens import Person
from api.consistency import Fresh
from api.identity import Reader, Writer, session_ended
from api.limits import count
from api.log import Said, now_ms
from api.models import Media
from api.presenting import Presenter
from api.problems import Problem, not_found, problems
from api.retries import Retried
from api.routes import IdPath, id_of
from api.stores import Opened
from api.uploads import PART, Upload
from schemas.events import UploadCompleted
from sinks.errors import StoreAway
from sinks.object_store import original_key
from sinks.throttles import Allowance

router = APIRouter(prefix="/api/v1/media", tags=["media"])


async def _uploader(request: Request, writer: Writer, stores: Opened) -> Person:
    # Counted before the file is read: what is refused is not received.
    allowance = Allowance(stores.settings.upload_burst, stores.settings.upload_per_second)
    refusal = Problem(429, "too-many-uploads", "You upload faster than is allowed. Wait a moment.")
    await count(request, stores, "uploads", f"uploads:{writer.user_id}", allowance, refusal)
    return writer


Uploader = Annotated[Person, Depends(_uploader)]
"""A person who is logged in and has neither written nor uploaded too much."""

_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [PART],
                    "properties": {PART: {"type": "string", "format": "binary", "description": "The picture."}},
                },
                "example": {PART: "the bytes of photo.jpg"},
            }
        },
    }
}


@router.post("", status_code=201, responses=problems(400, 401, 413, 415, 422, 429, 503), openapi_extra=_FORM)
async def upload_media(
    request: Request, response: Response, me: Uploader, stores: Opened, retry: Retried, log: Said
) -> Media:
    """Upload a picture. Its renditions are made at once; a post can name it already."""
    upload = Upload(request, stores.settings.upload_limit_bytes)
    proposed, began = stores.snowflakes.next(), now_ms()
    proposed_key = original_key(me.user_id, began, proposed)
    alone = True
    try:
        await stores.objects.put_stream(proposed_key, upload.chunks())
        # A file can be long in coming. Whoever has a key now is erased later, if ever, and then the file goes too; of
        # whoever was erased meanwhile nobody would look for it any more.
        if not await stores.keys.stands(me.user_id):
            raise session_ended()
        stores.producer.check()
        # From here on a retry may count on this file: a claim that is not answered can stand nevertheless.
        alone = not retry.is_keyed
        # The file says whether this is the same request, so the key is claimed after it has come.
        claim = await retry.claim(str(me.user_id), "media", upload.sha256, proposed_id=proposed, at=began)
        if not claim.first:
            await stores.objects.delete(proposed_key)
        await stores.submissions.add_upload(claim.id, me.user_id)
    except Exception as error:
        if alone or isinstance(error, Problem):
            with suppress(StoreAway):
                await stores.objects.delete(proposed_key)
        raise
    key = original_key(me.user_id, claim.at, claim.id)
    # What is not answered from here on may be in the log, and its file stays.
    await log.say(
        UploadCompleted(
            **log.by(me.user_id, event_id=claim.id, at=claim.at),
            media_id=claim.id,
            owner_id=me.user_id,
            original_key=key,
            content_type=upload.content_type,
            size=upload.size,
            sha256=upload.sha256,
        )
    )
    response.headers["Location"] = f"/api/v1/media/{claim.id}"
    return Media(media_id=str(claim.id), status="processing")


@router.get("/{media_id}", responses=problems(400, 401, 404, 503))
async def get_media(media_id: IdPath, me: Reader, stores: Opened, fresh: Fresh) -> Media:
    """What became of one's upload."""
    asked = id_of(media_id, "upload")
    owner = (await stores.submissions.owners([asked])).get(asked)
    await fresh.reach(me.user_id, "posts")
    row = (await stores.posts.media([asked])).get(asked)
    if me.user_id not in (owner, row.owner_id if row else None):
        raise not_found("upload")
    return Presenter(stores).media(row) if row else Media(media_id=str(asked), status="processing")
