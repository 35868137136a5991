"""One person's client of the real HTTP API, as jobs use it: patient where the API says so, and never twice."""

from __future__ import annotations

import asyncio
from typing import Any, Self

import httpx

from jobs.photos import Photo

_TRIES, _BROKEN_TRIES = 60, 3
_LONGEST_PAUSE_SECONDS = 10.0
_LONGEST_WAIT_SECONDS = 120.0
"""Who is told to wait for longer is told no: nobody says the same again after ten minutes, only to have said it."""


class ApiRefused(RuntimeError):
    """The API said no. ``status`` is its HTTP status, ``kind`` the last part of the problem's URN."""

    def __init__(self, status: int, kind: str, detail: str) -> None:
        super().__init__(f"{status} {kind}: {detail}")
        self.status, self.kind = status, kind


class ApiClient:
    """A connection to the API at ``base_url``, and the session of one person once ``log_in`` has returned.

    Answers 429 and 503 are waited for as ``Retry-After`` says, up to two minutes, and what a broken line left open is
    asked again: by its key, or by what it is, all counts once. A session that has run out is begun anew. Every method
    raises ``ApiRefused``, and httpx's errors where nobody answers.
    """

    def __init__(
        self, base_url: str, timeout_seconds: float = 30.0, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._http = httpx.AsyncClient(base_url=base_url, timeout=timeout_seconds, transport=transport)
        self._token = self._password = ""
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
        self._password = ""  # a login that is refused is no session that has run out
        answer = await self._ask("POST", "/api/v1/sessions", json={"username": username, "password": password})
        self._http.headers["Authorization"] = f"Bearer {answer['access_token']}"
        self.user_id, self.username, self._password = int(answer["user_id"]), username, password

    async def upload(self, photo: Photo, key: str) -> int:
        """Upload ``photo``; the media's id."""
        files = {"file": (photo.name, photo.body, photo.content_type)}
        return int((await self._ask("POST", "/api/v1/media", key=key, files=files))["media_id"])

    async def post(self, media_ids: list[int], caption: str, key: str, **more: Any) -> int:
        """Submit a post; its id. ``more`` are further fields: ``tagged``, ``place``."""
        body = {"media_ids": [str(media_id) for media_id in media_ids], "caption": caption, **more}
        return int((await self._ask("POST", "/api/v1/posts", key=key, json=body))["id"])

    async def follow(self, user_id: int) -> None:
        """Follow a person."""
        await self._ask("PUT", f"/api/v1/users/{user_id}/follow")

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

    async def ask(self, method: str, path: str, *, key: str = "", **body: Any) -> dict[str, Any]:
        """Any other request, ``path`` below ``/api/v1``; its answer. ``key`` makes a repeated one count once."""
        return await self._ask(method, f"/api/v1{path}", key=key, **body)

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
            if answer.status_code == 401 and self._password:
                await self.log_in(self.username, self._password)
                continue
            if answer.status_code not in (429, 503):
                break
            pause = float(answer.headers.get("Retry-After", 1))
            if pause > _LONGEST_WAIT_SECONDS:
                break
            await asyncio.sleep(min(pause, _LONGEST_PAUSE_SECONDS))
        if answer.is_success:
            if method != "GET":
                self._token = answer.headers.get("Consistency-Token", self._token)
            return answer.json() if answer.content else {}
        problem = answer.json() if answer.headers.get("Content-Type", "").startswith("application/") else {}
        kind = str(problem.get("type", "")).rpartition(":")[2]
        raise ApiRefused(answer.status_code, kind, str(problem.get("detail", answer.text[:200])))
