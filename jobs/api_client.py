"""One person's client of the real HTTP API, as jobs use it: patient where the API says so, and never twice."""

from __future__ import annotations

import asyncio
from typing import Any, Self

import httpx

from jobs.photos import Photo

_TRIES, _BROKEN_TRIES = 60, 3
_LONGEST_PAUSE_SECONDS = 10.0


class ApiRefused(RuntimeError):
    """The API said no. ``status`` is its HTTP status, ``kind`` the last part of the problem's URN."""

    def __init__(self, status: int, kind: str, detail: str) -> None:
        super().__init__(f"{status} {kind}: {detail}")
        self.status, self.kind = status, kind


class ApiClient:
    """A connection to the API at ``base_url``, and the session of one person once ``log_in`` has returned.

    Answers 429 and 503 are waited for as ``Retry-After`` says, and what a broken line left open is asked again: by its
    key, or by what it is, all counts once. Every method raises ``ApiRefused``, and httpx's errors where nobody answers.
    """

    def __init__(self, base_url: str, timeout_seconds: float = 30.0) -> None:
        self._http = httpx.AsyncClient(base_url=base_url, timeout=timeout_seconds)
        self._token = ""
        self.user_id, self.username = 0, ""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self._http.aclose()

    async def register(self, username: str, password: str, name: str, key: str) -> int:
        """Open an account; its id. ``key`` makes a repeated call the same one."""
        body = {"username": username, "password": password, "name": name}
        answer = await self._ask("POST", "/api/v1/accounts", key=key, json=body)
        return int(answer["id"])

    async def log_in(self, username: str, password: str) -> None:
        """Begin a session, which later calls use."""
        answer = await self._ask("POST", "/api/v1/sessions", json={"username": username, "password": password})
        self._http.headers["Authorization"] = f"Bearer {answer['access_token']}"
        self.user_id, self.username = int(answer["user_id"]), username

    async def upload(self, photo: Photo, key: str) -> int:
        """Upload ``photo``; the media's id."""
        files = {"file": (photo.name, photo.body, photo.content_type)}
        return int((await self._ask("POST", "/api/v1/media", key=key, files=files))["media_id"])

    async def post(self, media_ids: list[int], caption: str, key: str) -> int:
        """Submit a post; its id."""
        body = {"media_ids": [str(media_id) for media_id in media_ids], "caption": caption}
        return int((await self._ask("POST", "/api/v1/posts", key=key, json=body))["id"])

    async def edit(self, post_id: int, caption: str) -> None:
        """Change a caption."""
        await self._ask("PATCH", f"/api/v1/posts/{post_id}", json={"caption": caption})

    async def delete(self, post_id: int) -> None:
        """Delete a post."""
        await self._ask("DELETE", f"/api/v1/posts/{post_id}")

    async def follow(self, user_id: int) -> None:
        """Follow a person."""
        await self._ask("PUT", f"/api/v1/users/{user_id}/follow")

    async def unfollow(self, user_id: int) -> None:
        """Cease to follow a person."""
        await self._ask("DELETE", f"/api/v1/users/{user_id}/follow")

    async def like(self, post_id: int) -> None:
        """Like a post."""
        await self._ask("POST", f"/api/v1/posts/{post_id}/like")

    async def unlike(self, post_id: int) -> None:
        """Cease to like a post."""
        await self._ask("DELETE", f"/api/v1/posts/{post_id}/like")

    async def comment(self, post_id: int, text: str, parent_id: int | None, key: str) -> int:
        """Comment a post, or reply to a comment; the comment's id."""
        body = {"text": text} | ({"parent_id": str(parent_id)} if parent_id else {})
        return int((await self._ask("POST", f"/api/v1/posts/{post_id}/comments", key=key, json=body))["id"])

    async def delete_comment(self, comment_id: int) -> None:
        """Delete a comment."""
        await self._ask("DELETE", f"/api/v1/comments/{comment_id}")

    async def pin(self, comment_id: int, pinned: bool) -> None:
        """Pin a comment under one's post, or no longer."""
        await self._ask("PUT" if pinned else "DELETE", f"/api/v1/comments/{comment_id}/pin")

    async def allow_comments(self, post_id: int, allowed: bool) -> None:
        """Let people comment one's post, or no longer."""
        await self._ask("PUT" if allowed else "DELETE", f"/api/v1/posts/{post_id}/comments")

    async def change_profile(self, name: str, bio: str) -> None:
        """Say who one is."""
        await self._ask("PATCH", "/api/v1/me", json={"name": name, "bio": bio})

    async def change_username(self, username: str) -> None:
        """Go by another name."""
        await self._ask("PUT", "/api/v1/me/username", json={"username": username})
        self.username = username

    async def deactivate(self, password: str) -> None:
        """Go away until the next login."""
        await self._ask("POST", "/api/v1/me/deactivate", json={"password": password})

    async def feed(self, limit: int = 20) -> list[dict[str, Any]]:
        """The first page of the feed, with all of one's own writes in it."""
        posts: list[dict[str, Any]] = (await self._ask("GET", f"/api/v1/feed?limit={limit}"))["items"]
        return posts

    async def has_posts(self, user_id: int) -> bool:
        """Whether this person shows any post."""
        return bool((await self._ask("GET", f"/api/v1/users/{user_id}/posts?limit=1"))["items"])

    async def _ask(self, method: str, path: str, *, key: str = "", **body: Any) -> dict[str, Any]:
        headers = {"Idempotency-Key": key} if key else {}
        if self._token and method == "GET":
            headers["Consistency-Token"] = self._token
        broken = 0
        for _ in range(_TRIES):
            try:
                answer = await self._http.request(method, path, headers=headers, **body)
            except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
                # A gateway that sheds a request does not read its body, and one with idle lines closes them.
                broken += 1
                if broken > _BROKEN_TRIES:
                    raise
                await asyncio.sleep(1)
                continue
            if answer.status_code not in (429, 503):
                break
            pause = float(answer.headers.get("Retry-After", 1))
            await asyncio.sleep(min(pause, _LONGEST_PAUSE_SECONDS))
        if answer.is_success:
            if method != "GET":
                self._token = answer.headers.get("Consistency-Token", self._token)
            return answer.json() if answer.content else {}
        problem = answer.json() if answer.headers.get("Content-Type", "").startswith("application/") else {}
        kind = str(problem.get("type", "")).rpartition(":")[2]
        raise ApiRefused(answer.status_code, kind, str(problem.get("detail", answer.text[:200])))
