"""What people change of their own account: profile, username, password, whether they are here at all."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from api.access_tokens import Person
from api.bodies import PasswordChange, PasswordProof, ProfileChange, UsernameChange
from api.consistency import reach_own_profile
from api.export import Archive
from api.identity import Reader, Writer
from api.limits import count, forgive
from api.log import Said, now_ms
from api.models import Profile
from api.models_accounts import Erasure
from api.presenting import Presenter
from api.problems import Problem, not_found, problems
from api.routers.accounts import profile_of
from api.routes import id_of
from api.stores import Opened, Stores
from api.usernames import current_username, take_username
from schemas.events import AccountDeactivated, AccountErased, ProfileChanged, RenderedMedia, UsernameChanged
from sinks.accounts import AccountRow
from sinks.sealing import opened, seal
from sinks.throttles import Allowance

router = APIRouter(prefix="/api/v1/me", tags=["accounts"])


@router.patch("", responses=problems(400, 401, 403, 404, 409, 413, 415, 422, 429, 503))
async def change_profile(body: ProfileChange, me: Writer, stores: Opened, log: Said) -> Profile:
    """Change one's name, bio, links or picture."""
    # The event carries the whole profile, so the fields left out have to be those of one's last change.
    await reach_own_profile(stores, me.user_id)
    account = (await stores.accounts.by_ids([me.user_id])).get(me.user_id)
    key = (await stores.keys.get_many([me.user_id])).get(me.user_id)
    if account is None or key is None:
        raise not_found("account")
    keys = {me.user_id: key}
    name = opened(keys, me.user_id, account.name) if body.name is None else body.name
    bio = opened(keys, me.user_id, account.bio) if body.bio is None else body.bio
    links = json.loads(opened(keys, me.user_id, account.links) or "[]") if body.links is None else body.links
    picture = await _picture(stores, body, account)
    token = await log.say(
        ProfileChanged(
            **log.by(me.user_id),
            user_id=me.user_id,
            name=seal(key, me.user_id, name),
            bio=seal(key, me.user_id, bio),
            links=seal(key, me.user_id, json.dumps(links)) if links else b"",
            picture=[picture] if picture else [],
        )
    )
    await stores.credentials.set_profile_token(me.user_id, token)
    profile = await profile_of(stores, me.user_id, me.user_id)
    shown = Presenter(stores).picture(picture, public=True) if picture else None
    return profile.model_copy(update={"name": name, "bio": bio, "links": links, "picture": shown})


async def _picture(stores: Stores, body: ProfileChange, account: AccountRow) -> RenderedMedia | None:
    """The profile's picture from now on; ``Problem`` where it is somebody else's, or none (yet)."""
    if "picture_media_id" not in body.model_fields_set:
        return account.picture
    if body.picture_media_id is None:
        return None
    media_id = id_of(body.picture_media_id, "upload")
    row = (await stores.posts.media([media_id])).get(media_id)
    owner_id = row.owner_id if row else (await stores.submissions.owners([media_id])).get(media_id)
    if owner_id is None:
        raise Problem(422, "media-unknown", f"There is no upload {media_id}. Upload the picture first.")
    if owner_id != account.user_id:
        raise Problem(403, "media-not-yours", f"The upload {media_id} is somebody else's. Upload it yourself.")
    if row is not None and row.status == "rejected":
        raise Problem(422, "media-rejected", f"The upload {media_id} was refused: {row.reason}")
    if row is None or row.rendered is None:
        detail = f"The upload {media_id} is not ready yet. Try again in a moment."
        raise Problem(409, "media-not-ready", detail, retry_after=1)
    return row.rendered


@router.put("/username", responses=problems(400, 401, 404, 409, 413, 415, 422, 429, 503))
async def change_username(body: UsernameChange, request: Request, me: Writer, stores: Opened, log: Said) -> Profile:
    """Take another username. The old one leads to you, and is yours to take back, for some months."""
    await reach_own_profile(stores, me.user_id)
    previous = await current_username(stores, me.user_id)
    key = (await stores.keys.get_many([me.user_id])).get(me.user_id)
    if previous is None or key is None:
        raise not_found("account")
    if previous == body.username:
        await stores.usernames.confirm(previous, me.user_id)  # should an earlier try have been cut off before it
        return await profile_of(stores, me.user_id, me.user_id)
    allowance = Allowance(stores.settings.username_burst, stores.settings.username_per_second)
    detail = "You changed your username too often. Keep the one you have for some time."
    refusal = Problem(429, "too-many-usernames", detail)
    await count(request, stores, "usernames", f"usernames:{me.user_id}", allowance, refusal)
    await take_username(stores, body.username, me.user_id)
    token = await log.say(
        UsernameChanged(
            **log.by(me.user_id),
            user_id=me.user_id,
            username=seal(key, me.user_id, body.username),
            previous=seal(key, me.user_id, previous),
        )
    )
    await stores.credentials.set_profile_token(me.user_id, token)
    await stores.usernames.confirm(body.username, me.user_id)
    await stores.usernames.replace(previous, me.user_id, now_ms())
    return (await profile_of(stores, me.user_id, me.user_id)).model_copy(update={"username": body.username})


@router.put("/password", status_code=204, responses=problems(400, 401, 403, 413, 415, 422, 429, 503))
async def change_password(body: PasswordChange, request: Request, me: Writer, stores: Opened) -> None:
    """Change one's password. Every other session ends."""
    await check_password(request, stores, me, body)
    await stores.credentials.set_password(me.user_id, await stores.passwords.hash(body.new_password))
    await stores.sessions.end_all(me.user_id, but=me.session_id)


@router.post("/deactivate", status_code=204, responses=problems(400, 401, 403, 413, 415, 422, 429, 503))
async def deactivate(body: PasswordProof, request: Request, me: Writer, stores: Opened, log: Said) -> None:
    """Go away for a time: nobody sees you, nor what you made, and every session ends. To come back, log in."""
    await check_password(request, stores, me, body)
    await stores.credentials.set_deactivated(me.user_id, True)  # first, so that the next login undoes whatever happens
    token = await log.say(AccountDeactivated(**log.by(me.user_id), user_id=me.user_id))
    await stores.credentials.set_profile_token(me.user_id, token)
    await stores.sessions.end_all(me.user_id)


@router.delete("", status_code=202, responses=problems(400, 401, 403, 413, 415, 422, 429, 503))
async def erase(body: PasswordProof, request: Request, me: Writer, stores: Opened, log: Said) -> Erasure:
    """Be gone for good: all that you wrote, showed and did goes, here and in every backup, and nobody can bring it
    back. Every session ends at once; the rest follows within seconds. To go away for a time, deactivate."""
    await check_password(request, stores, me, body)
    event = AccountErased(**log.by(me.user_id), user_id=me.user_id)
    await log.say(event)
    # The agent does this too; here so that nobody comes in meanwhile.
    await stores.credentials.remove(me.user_id)
    await stores.sessions.end_all(me.user_id)
    return Erasure(id=str(me.user_id), erased_at=datetime.fromtimestamp(event.at / 1000, UTC))


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "A zip of JSON files and originals.",
            "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
        },
        **problems(401, 404, 429, 503),
    },
)
async def export(request: Request, me: Reader, stores: Opened) -> StreamingResponse:
    """All that is held of you, as a zip: profile, usernames, uploads and their originals, posts, follows and requests,
    blocks, mutes, when you became private or public, likes, comments, saves, stories and reactions to them, notices,
    which of them you saw, and what you want to be told of. Who blocks you is not in it."""
    allowance = Allowance(stores.settings.export_burst, stores.settings.export_per_second)
    refusal = Problem(429, "too-many-exports", "You asked for your data just now. Wait.")
    await count(request, stores, "exports", f"exports:{me.user_id}", allowance, refusal)
    await reach_own_profile(stores, me.user_id)
    account = (await stores.accounts.by_ids([me.user_id])).get(me.user_id)
    if account is None:
        raise not_found("account")
    archive = Archive(stores, account, await stores.keys.get_many([me.user_id]))
    named = {"Content-Disposition": f'attachment; filename="shutterlog-{me.user_id}.zip"', "Cache-Control": "no-store"}
    return StreamingResponse(archive.chunks(), media_type="application/zip", headers=named)


async def check_password(request: Request, stores: Stores, me: Person, body: PasswordProof) -> None:
    """``Problem`` 403 unless it is theirs; failures have to wait as those of logins have."""
    settings, bucket = stores.settings, f"proofs:{me.user_id}"
    allowance = Allowance(settings.login_burst, settings.login_per_second)
    refusal = Problem(429, "too-many-logins", "Too many wrong passwords. Wait before you try again.")
    await count(request, stores, "proofs", bucket, allowance, refusal)
    credential = await stores.credentials.find(me.user_id)
    if not await stores.passwords.verify(credential.password_hash if credential else None, body.password):
        raise Problem(403, "wrong-password", "The password is wrong. Correct it and try again.")
    await forgive(request, stores, "proofs", bucket, allowance)
