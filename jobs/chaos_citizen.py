"""One person of chaos's load: what they may do through the API, and what of it was acknowledged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import httpx

from jobs.chaos_ledger import Entry
from jobs.photos import Photo

if TYPE_CHECKING:
    from jobs.chaos_load import Load

AGAIN_SHARE = 0.1
"""Of the things made, how many are asked for twice with the same Idempotency-Key, as impatient clients do."""
UNSURE_SECONDS = 30.0
PASSWORD = "everything breaks at some time"  # noqa: S105 - of people who live for some minutes
_TIMEOUT_SECONDS = 15.0


class Unanswered(Exception):
    """The API did not answer: what was asked may have happened."""


class Refused(Exception):
    """The API said no. ``status`` is its HTTP status."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(f"{status} {why}")
        self.status = status


class Citizen:
    """Somebody with a client of their own; every acknowledged write of theirs goes into the ledger."""

    def __init__(self, load: Load, base_url: str, name: str) -> None:
        self._load = load
        self._http = httpx.AsyncClient(base_url=base_url, timeout=_TIMEOUT_SECONDS)
        self.name, self.id = name, 0
        self.token = ""
        """The Consistency-Token of the last write."""
        self.comments: list[int] = []
        """Written, and not deleted again."""
        self.unsure_until = 0.0
        """Till then (seconds after the run's beginning), a write that was not answered may still come to the log."""

    async def close(self) -> None:
        """End the connection."""
        await self._http.aclose()

    async def log_in(self) -> None:
        """Begin a session. Raises ``Refused``, ``Unanswered``."""
        who = {"username": self.name, "password": PASSWORD}
        answer = (await self.ask("POST", "/api/v1/sessions", json=who)).json()
        self.id = int(answer["user_id"])
        self._http.headers["Authorization"] = f"Bearer {answer['access_token']}"

    async def ask(self, method: str, path: str, *, fresh: bool = False, **more: Any) -> httpx.Response:
        """One request; with ``fresh``, it has to see what one wrote last. Raises ``Refused``, ``Unanswered``."""
        headers = more.pop("headers", {})
        if fresh and self.token:
            headers = {**headers, "Consistency-Token": self.token}
        try:
            answer = await self._http.request(method, path, headers=headers, **more)
        except httpx.HTTPError as error:
            raise Unanswered(type(error).__name__) from error
        if not answer.is_success:
            is_problem = answer.headers.get("Content-Type", "").startswith("application/problem")
            raise Refused(answer.status_code, str(answer.json()["type"]).rpartition(":")[2] if is_problem else "")
        return answer

    async def write(
        self,
        event: str,
        method: str,
        path: str,
        fields: Mapping[str, int | str],
        *,
        key: str = "",
        after: str = "",
        maybe: bool = False,
        **more: Any,
    ) -> dict[str, Any]:
        """One write, noted in the ledger as ``event``; the answer.

        ``fields`` says what the event has to hold; a text names the field of the answer that holds it. ``after`` is a
        token that the write has to see. Where ``maybe``, nothing may come of it, and then there is no token. Raises
        ``Refused``, ``Unanswered``, which the ledger counts.
        """
        ledger = self._load.ledger
        headers = {"Idempotency-Key": key, "Consistency-Token": after}
        try:
            answer = await self.ask(
                method, path, headers={name: said for name, said in headers.items() if said}, **more
            )
        except Refused as refused:
            ledger.refused[f"{event} {refused}"] += 1
            raise
        except Unanswered as unanswered:
            ledger.unanswered[f"{event} {unanswered}"] += 1
            self.unsure_until = self._load.seconds + UNSURE_SECONDS
            raise
        body: dict[str, Any] = answer.json() if answer.content else {}
        said = {name: int(body[value]) if isinstance(value, str) else value for name, value in fields.items()}
        token = answer.headers.get("Consistency-Token", "")
        if maybe and not token:
            return body
        made = next((said[name] for name, value in fields.items() if isinstance(value, str)), 0)
        ledger.note(Entry(self._load.seconds, event, said, token), key, made)
        self.token = token or self.token
        return body

    async def make(
        self, event: str, path: str, fields: Mapping[str, int | str], *, key: str = "", **more: Any
    ) -> dict[str, Any]:
        """A write that makes something: sometimes asked for twice."""
        key = key or self._load.key()
        answer = await self.write(event, "POST", path, fields, key=key, **more)
        if self._load.chance.random() < AGAIN_SHARE:
            return await self.write(event, "POST", path, fields, key=key, **more)
        return answer

    async def upload(self, photo: Photo) -> int:
        """Upload a picture; its id."""
        files = {"file": (photo.name, photo.body, photo.content_type)}
        made = await self.make(
            "UploadCompleted", "/api/v1/media", {"media_id": "media_id", "owner_id": self.id}, files=files
        )
        return int(made["media_id"])

    async def post(self, media_id: int, caption: str) -> int:
        """Post an upload; the post's id."""
        body = {"media_ids": [str(media_id)], "caption": caption}
        made = await self.make("PostSubmitted", "/api/v1/posts", {"post_id": "id", "author_id": self.id}, json=body)
        return int(made["id"])

    async def story(self, media_id: int) -> int:
        """Make a story of an upload; its id."""
        fields: dict[str, int | str] = {"story_id": "id", "author_id": self.id}
        made = await self.make("StorySubmitted", "/api/v1/stories", fields, json={"media_id": str(media_id)})
        return int(made["id"])

    async def like(self, post_id: int, likes: bool = True) -> None:
        """Like a post, or no longer."""
        event, method = ("PostLiked", "POST") if likes else ("PostUnliked", "DELETE")
        await self.write(event, method, f"/api/v1/posts/{post_id}/like", {"post_id": post_id, "actor_id": self.id})

    async def comment(self, post_id: int, text: str, key: str = "") -> int:
        """Comment a post; the comment's id. The same ``key`` makes it the same comment."""
        fields: dict[str, int | str] = {"comment_id": "id", "post_id": post_id, "actor_id": self.id}
        made = await self.make(
            "CommentAdded", f"/api/v1/posts/{post_id}/comments", fields, key=key, json={"text": text}
        )
        return int(made["id"])

    async def follow(self, other: int, follows: bool = True) -> None:
        """Follow somebody, or no longer."""
        event, method = ("Followed", "PUT") if follows else ("Unfollowed", "DELETE")
        fields: dict[str, int | str] = {"follower_id": self.id, "followee_id": other}
        await self.write(event, method, f"/api/v1/users/{other}/follow", fields)
