"""Random histories of people against a model, over every route that shows people and posts: no leak, no wrong count.

2,000 steps; more with ``--steps 100000``, and another history with ``--seed``.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from sinks.emitter import MemoryCommits
from sinks.saga import SagaSink
from streams.records import Span
from streams.saga import SAGA
from tests.api.gateway import Gateway, Person
from tests.streams.saga_memory import MemoryInMemory

pytestmark = pytest.mark.asyncio(loop_scope="session")
PEOPLE, POSTS = 5, 8
Two = tuple[str, str]


class Model:
    """What ought to be, in sets. People and posts are ids."""

    def __init__(self, people: list[str]) -> None:
        self.people = people
        self.private: set[str] = set()
        self.follows: set[Two] = set()
        self.asks: set[Two] = set()
        self.blocks: set[Two] = set()
        self.mutes: set[Two] = set()
        self.likes: set[Two] = set()
        """(person, post)."""
        self.posts: dict[str, str] = {}
        """Post → author, of those that stand."""

    def hidden(self, a: str, b: str) -> bool:
        return a != b and bool({(a, b), (b, a)} & self.blocks)

    def open(self, a: str, b: str) -> bool:
        return a == b or (not self.hidden(a, b) and (b not in self.private or (a, b) in self.follows))

    def list_status(self, a: str, b: str) -> int:
        return 404 if self.hidden(a, b) else 200 if self.open(a, b) else 403

    def end(self, a: str, b: str) -> None:
        self.follows.discard((a, b))
        self.asks.discard((a, b))

    def do(self, what: str, a: str, b: str) -> int:
        """Do it, and say which status it has to have. ``b`` is a person or a post."""
        if what in ("like", "unlike"):
            author = self.posts.get(b)
            if author is None or not self.open(a, author):
                return 404
            (self.likes.add if what == "like" else self.likes.discard)((a, b))
            return 200
        if self.hidden(a, b) and not (what in ("block", "unblock", "mute", "unmute") and (a, b) in self.blocks):
            return 404
        match what:
            case "follow":
                if b not in self.private:
                    self.end(a, b)
                    self.follows.add((a, b))
                elif (a, b) not in self.follows:
                    self.asks.add((a, b))
            case "unfollow":
                self.end(a, b)
            case "approve" | "reject":
                if (b, a) not in self.asks:
                    return 404
                self.end(b, a)
                if what == "approve":
                    self.follows.add((b, a))
            case "remove":
                self.end(b, a)
            case "block":
                self.blocks.add((a, b))
                self.end(a, b)
                self.end(b, a)
                self.likes -= {(x, post) for x, post in self.likes if {x, self.posts.get(post)} == {a, b}}
            case "unblock":
                self.blocks.discard((a, b))
            case "mute":
                self.mutes.add((a, b))
            case "unmute":
                self.mutes.discard((a, b))
        return 200

    def change_privacy(self, a: str, private: bool) -> None:
        self.private ^= {a} if (a in self.private) != private else set()
        if not private:
            waiting = {two for two in self.asks if two[1] == a}
            self.asks -= waiting
            self.follows |= waiting

    # -- what is read -----------------------------------------------------------------------------------------------

    def seen(self, route: str, v: str, b: str) -> tuple[int, Any]:
        """The status and the content that ``v`` gets."""
        match route:
            case "profile":
                if self.hidden(v, b):
                    return 404, None
                followers = sum(two[1] == b for two in self.follows)
                following = sum(two[0] == b for two in self.follows)
                own = sum(author == b for author in self.posts.values())
                you = None
                if v != b:
                    you = {
                        "follow": (v, b) in self.follows,
                        "requested": (v, b) in self.asks,
                        "mute": (v, b) in self.mutes,
                        "followed_by": (b, v) in self.follows,
                    }
                return 200, (b in self.private, followers, following, own, you)
            case "post":
                author = self.posts.get(b)
                if author is None or not self.open(v, author):
                    return 404, None
                return 200, (sum(post == b for _, post in self.likes), (v, b) in self.likes)
            case "likes":
                author = self.posts.get(b)
                if author is None or not self.open(v, author):
                    return 404, None
                return 200, sorted(x for x, post in self.likes if post == b and not self.hidden(v, x))
            case "feed":
                shown = [
                    post
                    for post, author in self.posts.items()
                    if (v, author) in self.follows and (v, author) not in self.mutes
                ]
                return 200, sorted(shown, reverse=True)
            case "requests":
                return 200, sorted(x for x, y in self.asks if y == v)
            case "requested":
                return 200, sorted(y for x, y in self.asks if x == v)
            case "blocks":
                return 200, sorted(y for x, y in self.blocks if x == v)
            case "mutes":
                return 200, sorted(y for x, y in self.mutes if x == v and not self.hidden(v, y))
        status = self.list_status(v, b)
        if status != 200:
            return status, None
        match route:
            case "posts":
                return 200, sorted((post for post, author in self.posts.items() if author == b), reverse=True)
            case "followers":
                return 200, sorted(x for x, y in self.follows if y == b and not self.hidden(v, x))
            case "following":
                return 200, sorted(y for x, y in self.follows if x == b and not self.hidden(v, y))
            case _:
                both = (x for x, y in self.follows if y == b and (v, x) in self.follows and not self.hidden(v, x))
                return 200, sorted(both)


CALLS = {
    "follow": ("PUT", "/users/{}/follow"),
    "unfollow": ("DELETE", "/users/{}/follow"),
    "approve": ("PUT", "/me/requests/{}"),
    "reject": ("DELETE", "/me/requests/{}"),
    "remove": ("DELETE", "/me/followers/{}"),
    "block": ("PUT", "/users/{}/block"),
    "unblock": ("DELETE", "/users/{}/block"),
    "mute": ("PUT", "/users/{}/mute"),
    "unmute": ("DELETE", "/users/{}/mute"),
    "like": ("POST", "/posts/{}/like"),
    "unlike": ("DELETE", "/posts/{}/like"),
}
SHARES = {"follow": 8, "approve": 4, "like": 8, "unblock": 4, "block": 2}
READS = {
    "profile": "/users/{}",
    "posts": "/users/{}/posts",
    "followers": "/users/{}/followers",
    "following": "/users/{}/following",
    "mutuals": "/users/{}/mutuals",
    "post": "/posts/{}",
    "likes": "/posts/{}/likes",
    "feed": "/feed",
    "requests": "/me/requests",
    "requested": "/me/requested",
    "blocks": "/me/blocks",
    "mutes": "/me/mutes",
}


class World:
    """The gateway, the saga, and the model beside them."""

    def __init__(self, gateway: Gateway, people: list[Person], rng: random.Random) -> None:
        self.gateway, self.rng = gateway, rng
        self.people = {person.id: person for person in people}
        self.model = Model([person.id for person in people])
        self.saga = SagaSink(MemoryInMemory(), gateway.listener, MemoryCommits())
        self._settled = len(gateway.listener.records)
        self.done: list[str] = []

    async def settle(self) -> None:
        """Let the saga say what it has to, and every view know."""
        records = self.gateway.listener.records
        while self._settled < len(records):
            some, self._settled = records[self._settled :], len(records)
            some = sorted((one for one in some if one.tp.topic in SAGA.sources), key=lambda one: (one.tp, one.offset))
            await self.saga.apply(SAGA.project(some), {one.tp: Span(-1, one.offset) for one in some})
        await self.gateway.catch_up()

    async def call(self, method: str, path: str, person: str, body: Any = None) -> Any:
        return await self.gateway.client.request(
            method, f"/api/v1{path}", headers=self.people[person].headers, json=body
        )

    async def act(self) -> None:
        rng, model = self.rng, self.model
        a = rng.choice(model.people)
        what = rng.choice([*CALLS, "privacy", "privacy", *(kind for kind, more in SHARES.items() for _ in range(more))])
        if what == "privacy":
            private = rng.random() < 0.5
            self.done.append(f"{a} is {'private' if private else 'public'}")
            assert (await self.call("PUT", "/me/privacy", a, {"private": private})).status_code == 200
            model.change_privacy(a, private)
        else:
            others = list(self.every_post) if what in ("like", "unlike") else [x for x in model.people if x != a]
            b = rng.choice(others)
            if what in ("approve", "reject") and (waiting := [x for x, y in model.asks if y == a]):
                b = rng.choice(sorted(waiting))
            elif what == "unblock" and (blocked := [y for x, y in model.blocks if x == a]):
                b = rng.choice(sorted(blocked))
            if what in ("approve", "reject") and (b, a) in model.follows:
                return  # whether there is a request of who follows already is nobody's to say
            method, path = CALLS[what]
            self.done.append(f"{a} {what} {b}")
            expected = model.do(what, a, b)
            answer = await self.call(method, path.format(b), a)
            assert answer.status_code == expected, (self.done[-30:], answer.text)
        await self.settle()

    async def look(self) -> None:
        route, v = self.rng.choice(list(READS)), self.rng.choice(self.model.people)
        b = self.rng.choice(self.every_post if route in ("post", "likes") else self.model.people)
        answer = await self.call("GET", READS[route].format(b) + "?limit=100" * (route not in ("profile", "post")), v)
        expected = self.model.seen(route, v, b)
        assert (answer.status_code, _told(route, answer)) == expected, (route, v, b, self.done[-40:])

    every_post: list[str]


def _told(route: str, answer: Any) -> Any:
    if answer.status_code != 200:
        return None
    told = answer.json()
    if route == "profile":
        return told["private"], told["followers"], told["following"], told["posts"], told["you"]
    if route == "post":
        return told["like_count"], told["liked_by_me"]
    assert told["next_cursor"] is None
    return [item["id"] for item in told["items"]]


async def test_random_histories(gateway: Gateway, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> None:
    monkeypatch.setattr(gateway.settings, "write_burst", 10**6)
    seed = pytestconfig.getoption("seed")
    rng = random.Random(7 if seed is None else seed)
    world = World(gateway, [await gateway.person() for _ in range(PEOPLE)], rng)
    for number in range(POSTS):
        author = world.people[world.model.people[number % PEOPLE]]
        post_id = await gateway.post(author)
        await gateway.publish(author, post_id)
        world.model.posts[post_id] = author.id
    world.every_post = list(world.model.posts)
    await world.settle()
    for step in range(pytestconfig.getoption("steps")):
        # Looking is cheap: three looks for each thing that is done.
        await (world.look() if step % 4 else world.act())
