"""People who do things to each other through the gateway, the model beside them, and looks at what they are shown."""

from __future__ import annotations

import asyncio
import io
import json
import random
import time
import zipfile
from typing import Any

from schemas.events import PostPublished, PostSubmitted, RenderedMedia, Rendition, Source
from sinks.emitter import MemoryCommits
from sinks.erasure import ErasureSink, Leftovers
from sinks.object_store import rendition_key
from sinks.saga import SagaSink
from streams.erasure import ERASURE
from streams.records import Span
from streams.saga import SAGA
from tests.api.gateway import PASSWORD, Gateway, Person
from tests.api.history_browsing import WORDS, Browsing
from tests.api.history_model import Model, Viewer
from tests.api.history_reads import LOGGED_IN, ONE_ANSWER, PEOPLE, READS, expected, told
from tests.streams.saga_memory import MemoryInMemory

TO_PEOPLE = {
    "follow": ("PUT", "/users/{}/follow"),
    "unfollow": ("DELETE", "/users/{}/follow"),
    "approve": ("PUT", "/me/requests/{}"),
    "reject": ("DELETE", "/me/requests/{}"),
    "remove": ("DELETE", "/me/followers/{}"),
    "block": ("PUT", "/users/{}/block"),
    "unblock": ("DELETE", "/users/{}/block"),
    "mute": ("PUT", "/users/{}/mute"),
    "unmute": ("DELETE", "/users/{}/mute"),
}
TO_POSTS = {
    "like": ("POST", "/posts/{}/like"),
    "unlike": ("DELETE", "/posts/{}/like"),
    "share": ("POST", "/posts/{}/share"),
    "save": ("POST", "/posts/{}/save"),
    "unsave": ("DELETE", "/posts/{}/save"),
    "disable": ("DELETE", "/posts/{}/comments"),
    "enable": ("PUT", "/posts/{}/comments"),
    "delete": ("DELETE", "/posts/{}"),
}
TO_COMMENTS = {
    "delete": ("DELETE", "/comments/{}"),
    "pin": ("PUT", "/comments/{}/pin"),
    "unpin": ("DELETE", "/comments/{}/pin"),
}
SHARES = {
    **{"person follow": 12, "person approve": 5, "person unblock": 4, "person block": 2, "privacy": 3},
    **{"post like": 10, "post save": 8, "comment": 14, "comment delete": 4, "publish": 2},
    **{"collect": 4, "collection": 1, "go": 1, "come back": 2, "erase": 1, "see": 2, "silence": 1, "watch": 4},
}
"""How often each thing is done; what is not here, once."""
FEWEST_POSTS, LOOKED_AT = 6, 12
BROWSING = 1 / 7
"""Of the looks, those at what is searched and explored."""


class World:
    """The gateway, the saga, and the model beside them."""

    def __init__(self, gateway: Gateway, people: list[Person], rng: random.Random) -> None:
        self.gateway, self.rng = gateway, rng
        self.people = {person.id: person for person in people}
        self.ids = {person.username: person.id for person in people}
        self.model = Model([person.id for person in people])
        self.saga = SagaSink(MemoryInMemory(), gateway.listener, MemoryCommits())
        leftovers = Leftovers(gateway.stores.cassandra, gateway.stores.sessions)
        self.erasure = ErasureSink(gateway.stores.cassandra, leftovers, gateway.stores.objects, MemoryCommits())
        self._settled = len(gateway.listener.records)
        self.done: list[str] = []
        self.browsing = Browsing(self)
        self.ranked = 0
        """Pages that were ranked."""
        self.media: dict[str, str] = {}
        self.gone: list[str] = []
        """Posts and comments that were deleted lately: they are asked for, too."""
        self.touched: list[str] = list(self.model.people)
        deeds = [*(f"person {what}" for what in TO_PEOPLE), *(f"post {what}" for what in TO_POSTS)]
        deeds += [f"comment {what}" for what in TO_COMMENTS]
        deeds += ["privacy", "comment", "publish", "collect", "collection", "drop", "go", "come back", "see", "silence"]
        deeds += ["erase", "watch"]
        self._deeds, self._weights = deeds, [SHARES.get(deed, 1) for deed in deeds]

    async def settle(self) -> None:
        """Let the saga say what it has to, and every view know."""
        records = self.gateway.listener.records
        while self._settled < len(records):
            some, self._settled = records[self._settled :], len(records)
            said = sorted((one for one in some if one.tp.topic in SAGA.sources), key=lambda one: (one.tp, one.offset))
            await self.saga.apply(SAGA.project(said), {one.tp: Span(-1, one.offset) for one in said})
            gone = [one for one in said if one.tp.topic in ERASURE.sources]
            await self.erasure.apply(ERASURE.project(gone), {one.tp: Span(-1, one.offset) for one in gone})
        await self.gateway.catch_up()

    async def call(self, method: str, path: str, person: Viewer, body: Any = None) -> Any:
        headers = self.people[person].headers if person else {}
        return await self.gateway.client.request(method, f"/api/v1{path}", headers=headers, json=body)

    # -- deeds --------------------------------------------------------------------------------------------------------

    async def act(self) -> None:
        """Somebody does something, and every view learns of it."""
        here = [person for person in self.model.people if person not in self.model.away]
        a = self.rng.choice(here)
        (deed,) = self.rng.choices(self._deeds, self._weights)
        if len(self.model.posts) < FEWEST_POSTS:
            deed = "publish"
        kind, _, what = deed.partition(" ")
        self.touched = [a]
        match kind:
            case "person":
                await self._to_person(what, a)
            case "post":
                b = self._post(a if what in ("delete", "disable", "enable") else None)
                await self._do(TO_POSTS[what], a, b, self.model.on_post(what, a, b), what)
                if what == "delete" and b not in self.model.posts:
                    self.gone = [*self.gone[-5:], b]
            case "comment" if what:
                b = self._some_comment()
                await self._do(TO_COMMENTS[what], a, b, self.model.on_comment(what, a, b), what)
                if what == "delete" and b not in self.model.comments:
                    self.gone = [*self.gone[-5:], b]
            case _:
                await getattr(self, f"_{deed.replace(' ', '_')}")(a)
        await self.settle()

    async def _do(self, call: tuple[str, str], a: str, b: str, status: int, what: str, body: Any = None) -> Any:
        """Do it, and see whether it was answered as it has to be."""
        self.touched = [a, b]
        self.done.append(f"{a} {what} {b}: {status}")
        answer = await self.call(call[0], call[1].format(b), a, body)
        assert answer.status_code == status, (self.done[-30:], answer.text)
        return answer.json() if answer.content else None

    async def _to_person(self, what: str, a: str) -> None:
        rng, model = self.rng, self.model
        b = rng.choice([x for x in model.people if x != a])
        if what in ("approve", "reject") and (waiting := [x for x, y in model.asks if y == a]):
            b = rng.choice(sorted(waiting))
        elif what == "unblock" and (blocked := [y for x, y in model.blocks if x == a]):
            b = rng.choice(sorted(blocked))
        await self._do(TO_PEOPLE[what], a, b, model.do(what, a, b), what)

    async def _privacy(self, a: str) -> None:
        private = self.rng.random() < 0.5
        await self._do(("PUT", "/me/privacy"), a, a, 200, "private" if private else "public", {"private": private})
        self.model.change_privacy(a, private)

    async def _publish(self, a: str) -> None:
        """Post, and say what the publisher says once the pictures are there."""
        gateway, model = self.gateway, self.model
        if a not in self.media:
            self.media[a] = (await gateway.upload(self.people[a])).json()["media_id"]
        words, mentions = self._words(a)
        tagged = self._some_people()
        status = 422 if any(model.hidden(a, one) for one in tagged) else 202
        body = {"media_ids": [self.media[a]], "caption": words, "tagged": tagged}
        answer = await self._do(("POST", "/posts"), a, a, status, f"publish {mentions} {tagged}", body)
        if status == 422:
            return
        submitted = gateway.said[-1]
        assert isinstance(submitted, PostSubmitted)
        rendition = Rendition(name=150, width=8, height=8, key=rendition_key("ab" * 32), bytes=10)
        await gateway.say(
            PostPublished(
                event_id=gateway.stores.snowflakes.next(),
                at=int(time.time() * 1000),
                actor_id=int(a),
                post_id=submitted.post_id,
                author_id=int(a),
                media=[RenderedMedia(int(self.media[a]), 8, 8, "00", "#008080", [rendition])],
                mentions=submitted.mentions,
                tagged=submitted.tagged,
                source=Source("media", 0, submitted.post_id, 0),
            )
        )
        self.touched.append(answer["id"])
        model.publish(a, answer["id"], mentions, tuple(tagged))
        self.browsing.captions[answer["id"]] = words

    async def _comment(self, a: str) -> None:
        """Comment a post, or reply to a comment, mostly of the same post."""
        parent = self._some_comment() if self.rng.random() < 0.4 else ""
        said = self.model.comments.get(parent)
        post = said.post if said and self.rng.random() < 0.95 else self._post()
        status = self.model.may_comment(a, post, parent)
        words, mentions = self._words(a)
        body = {"text": words} | ({"parent_id": parent} if parent else {})
        what = f"comment {parent} naming {mentions}"
        answer = await self._do(("POST", "/posts/{}/comments"), a, post, status, what, body)
        if status == 201:
            self.model.comment(a, answer["id"], post, parent, mentions)
            self.touched.append(answer["id"])

    async def _collection(self, a: str) -> None:
        answer = await self._do(("POST", "/me/collections"), a, a, 201, "collection", {"name": "some"})
        self.model.collections[answer["id"]] = a
        if sum(owner == a for owner in self.model.collections.values()) > 3:
            await self._drop(a)

    async def _drop(self, a: str) -> None:
        if self.model.collections:
            b = self._collection_of(a)
            await self._do(("DELETE", "/me/collections/{}"), a, b, self.model.drop_collection(a, b), "drop")

    async def _collect(self, a: str) -> None:
        if self.model.collections:
            collection, what = self._collection_of(a), self.rng.choice(("save", "save", "unsave"))
            post = self._post()
            status = self.model.collect(what, a, post, collection)
            method, path = TO_POSTS[what]
            call = (method, f"{path}?collection_id={collection}")
            await self._do(call, a, post, status, f"{what} {collection}")

    async def _go(self, a: str) -> None:
        if len(self.model.away) < 2:
            await self._do(("POST", "/me/deactivate"), a, a, 204, "goes away", {"password": PASSWORD})
            self.model.away.add(a)

    async def _come_back(self, _: str) -> None:
        for b in sorted(self.model.away)[:1]:
            person = self.people[b]
            body = {"username": person.username, "password": PASSWORD}
            answer = await self.call("POST", "/sessions", None, body)
            assert answer.is_success, answer.text
            headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
            self.people[b] = person._replace(headers=headers)
            self.model.away.discard(b)
            self.done.append(f"{b} comes back")

    async def _erase(self, a: str) -> None:
        """Gone for good: somebody new comes in their place."""
        await self._do(("DELETE", "/me"), a, a, 202, "erases themselves", {"password": PASSWORD})
        newcomer = await self.gateway.person("Newcomer")
        self.people[newcomer.id] = newcomer
        self.ids[newcomer.username] = newcomer.id
        before = {*self.model.posts, *self.model.comments}
        self.model.erase(a, newcomer.id)
        self.gone = [*self.gone[-5:], *sorted(before - {*self.model.posts, *self.model.comments})[-3:]]
        self.media.pop(a, None)

    async def _watch(self, a: str) -> None:
        await self.browsing.watch(a)

    async def _see(self, a: str) -> None:
        position = (await self.call("GET", "/notifications", a)).json()["position"]
        if position is not None:
            await self._do(("PUT", "/notifications/seen"), a, a, 200, "see", {"position": position})
            self.model.seen_up_to[a] = self.model.clock

    async def _silence(self, a: str) -> None:
        kind, silent = self.rng.choice(("like", "comment", "follow", "reply")), self.rng.random() < 0.4
        body = {"kinds": {kind: {"told": not silent}}}
        await self._do(("PATCH", "/notifications/preferences"), a, a, 200, f"silence {kind} {silent}", body)
        (self.model.silenced.add if silent else self.model.silenced.discard)((a, kind))

    # -- whom and what ------------------------------------------------------------------------------------------------

    def _some_people(self) -> list[str]:
        return self.rng.sample(self.model.people, self.rng.choice((0, 0, 1, 2)))

    def _words(self, a: str) -> tuple[str, tuple[str, ...]]:
        """A text that was never said before, and whom it names."""
        named = self._some_people()
        names = [f"@{self.people[one].username}" for one in named]
        words = [*self.rng.choices(WORDS, k=4), format(len(self.done), "x"), *names]
        return " ".join(words), tuple(one for one in named if not self.model.hidden(a, one))

    def _post(self, author: Viewer = None) -> str:
        """A post: mostly one that stands, maybe of ``author``."""
        own = [post for post, by in self.model.posts.items() if by == author] if self.rng.random() < 0.7 else []
        deleted = [post for post in self.gone if post in self.model.named]
        return self.rng.choice(own or [*list(self.model.posts)[-LOOKED_AT:], *deleted[-2:]])

    def _some_comment(self) -> str:
        deleted = [one for one in self.gone if one not in self.model.named]
        found = [*list(self.model.comments)[-4 * LOOKED_AT :], *deleted[-2:]]
        return self.rng.choice(found) if found else "1000000000000000001"

    def _collection_of(self, a: str) -> str:
        own = [one for one, owner in self.model.collections.items() if owner == a]
        return self.rng.choice(own if own and self.rng.random() < 0.9 else list(self.model.collections))

    # -- looks --------------------------------------------------------------------------------------------------------

    async def look(self, many: int) -> None:
        """``many`` looks at once, of whom and at what was changed last rather than of others."""
        looks = [self.rng.random() < BROWSING for _ in range(many)]
        await asyncio.gather(*(self.browsing.look() if one else self._look(*self._view()) for one in looks))

    def _view(self) -> tuple[str, Viewer, str]:
        rng, model = self.rng, self.model
        route = rng.choice(list(READS))
        here = [person for person in model.people if person not in model.away]
        viewers = [*here, *(one for one in self.touched if one in here for _ in range(3))]
        v = rng.choice(viewers if route in LOGGED_IN else [*viewers, None])
        if route in PEOPLE or route == "profile":
            return route, v, rng.choice([*model.people, *(one for one in self.touched if one in self.people)])
        if route in ("post", "likes", "comments"):
            near = next((one for one in self.touched if one in model.named), None)
            return route, v, near if near and rng.random() < 0.5 else self._post()
        if route == "replies":
            return route, v, self._some_comment()
        if route == "collection":
            return route, v, self._collection_of(v or "") if model.collections else "1000000000000000001"
        return route, v, v or ""

    async def _look(self, route: str, v: Viewer, b: str) -> None:
        limit = self.rng.choice((2, 7, 100)) if route not in ONE_ANSWER else 0
        path, cursor, pages = READS[route].format(b), "", list[Any]()
        status = 200
        while status == 200 and cursor is not None:
            parts = ([f"limit={limit}"] if limit else []) + ([f"cursor={cursor}"] if cursor else [])
            answer = await self.call("GET", f"{path}{'&' if '?' in path else '?'}{'&'.join(parts)}", v)
            status = answer.status_code
            self.ranked += answer.headers.get("feed-order") == "ranked"
            pages.append(answer.json())
            cursor = pages[-1].get("next_cursor")
        shown = told(route, pages) if status == 200 else None
        right = expected(self.model, route, v, b)
        lately = "\n".join(self.done[-40:])
        assert (status, shown) == right, f"{route} of {b} for {v}:\n{status} {shown}\nand not\n{right}\n{lately}"

    async def export(self) -> None:
        """Somebody takes their archive: it holds all of theirs, and nothing of what was never theirs."""
        model = self.model
        a = self.rng.choice([person for person in model.people if person not in model.away])
        answer = await self.call("GET", "/me/export", a)
        assert answer.status_code == 200, answer.text
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            parts = {name[:-5]: json.loads(archive.read(name)) for name in archive.namelist() if name.endswith("json")}
        held = {
            "following": {row["followee_id"] for row in parts["following"]},
            "followers": {row["follower_id"] for row in parts["followers"]},
            "likes": {row["post_id"] for row in parts["likes"]} & model.posts.keys(),
            "saves": {row["post_id"] for row in parts["saves"] if row["collection_id"] == "0"},
            "comments": {row["comment_id"] for row in parts["comments"] if not row["deleted"]},
            "posts": {row["post_id"] for row in parts["posts"]} & model.posts.keys(),
        }
        assert held == {
            "following": {y for x, y in model.follows if x == a},
            "followers": {x for x, y in model.follows if y == a},
            "likes": {post for x, post in model.likes if x == a} & model.posts.keys(),
            "saves": {post for x, post in model.saves if x == a},
            "comments": {one for one, said in model.comments.items() if said.by == a},
            "posts": {post for post, author in model.posts.items() if author == a},
        }, (a, self.done[-60:])
