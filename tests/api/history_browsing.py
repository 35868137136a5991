"""What people search and explore in a random history: nobody is shown who or what they may not be, with counts that are
right; and whoever may be found by their name is found, once the index has come as far as the log.

What is explored depends on trends and on what a list was made of up to a second ago, so that of it only what may never
be shown is said; what is searched has to be complete.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tests.api.history_model import Viewer
from tests.api.history_reads import expected, newest, told

if TYPE_CHECKING:
    from tests.api.history_world import World

LIKERS = 5
"""Where ``told`` has them of a post."""
OTHERS = 100
"""The most that a page holds: people of other tests, whose names are a typo away, come after whom one looks for."""
WORDS = ("light", "lens", "dusk", "rain", "glass", "salt", "tram", "moss", "noon", "film", "grain", "pier")


class Browsing:
    """Looks at the routes of search and explore."""

    def __init__(self, world: World) -> None:
        self._world, self._model, self._rng = world, world.model, world.rng
        self.captions: dict[str, str] = {}
        """Post → its caption."""
        self.watched: set[tuple[str, str]] = set()
        """(person, post) of what somebody said to have seen."""
        self.explored = self.found = 0
        """Posts that were explored, and found by their words."""

    async def watch(self, a: str) -> None:
        """``a`` says to have seen some posts; what is not theirs to see is left out."""
        some = self._rng.sample(list(self._model.posts), min(2, len(self._model.posts)))
        sights = [{"post_id": post, "dwell_ms": 1500, "surface": "explore", "rank": 0} for post in some]
        answer = await self._world.call("POST", "/activity", a, {"posts": sights})
        assert answer.status_code == 204, answer.text
        self._world.done.append(f"{a} sees {some}")
        self.watched |= {(a, post) for post in some if self._model.opens(a, post) and self._model.posts[post] != a}

    async def look(self) -> None:
        """Somebody, or a stranger, searches or explores."""
        here = [person for person in self._model.people if person not in self._model.away]
        v = self._rng.choice([*here, *(one for one in self._world.touched if one in here), None])
        what = self._rng.choice(("people", "posts", "explore", "explore"))
        if what == "people":
            await self._people(v)
        elif what == "posts":
            await self._posts(v, self._rng.choice(WORDS))
        elif v is not None:
            await self._explore(v)

    async def _people(self, v: Viewer) -> None:
        model = self._model
        b = self._rng.choice([*model.people, *(one for one in self._world.touched if one in self._world.people)])
        found = await self._got(f"/search/people?q={self._world.people[b].username}&limit={OTHERS}", v)
        shown = {one["id"]: one for one in found["items"]}
        known = [one for one in shown if one in self._world.people]
        self._check(not [one for one in known if model.hidden(v, one)], f"people {b}", v, known)
        self._check((b in shown) is not model.hidden(v, b), f"people {b}", v, known)
        for one in known:
            ours = shown[one]["you_follow"], shown[one]["mutuals"] if not model.open(v, one) else 0
            self._check(ours == ((v, one) in model.follows, 0), f"people {b}", v, shown[one])

    async def _posts(self, v: Viewer, word: str) -> None:
        model, ids, cursor = self._model, list[str](), ""
        while cursor is not None:
            query = f"/search/posts?q={word}&limit=30" + (f"&cursor={cursor}" if cursor else "")
            page = await self._got(query, v)
            items = [one for one in page["items"] if one["id"] in self.captions]
            self._whole(v, items)
            ids += [one["id"] for one in items]
            cursor = page["next_cursor"]
        named = newest(one for one in model.posts if model.opens(v, one) and word in self.captions[one].split())
        self._check(ids == named, f"posts {word}, which are {named}", v, ids)
        self.found += len(ids)

    async def _explore(self, v: str) -> None:
        model, items, cursor = self._model, list[Any](), ""
        while cursor is not None:
            page = await self._got(f"/explore?limit=7{f'&cursor={cursor}' if cursor else ''}", v)
            items += [one["post"] for one in page["items"]]
            cursor = page["next_cursor"]
        ids = [one["id"] for one in items if one["id"] in model.named]
        gone = [one for one in ids if one not in model.posts]
        self._check(not gone, "explore: deleted", v, gone)
        authors = [model.posts[one] for one in ids]
        self._check(len(set(authors)) == len(authors), "explore: authors", v, authors)
        for post, author in zip(ids, authors, strict=True):
            shunned = author == v or author in model.private or model.hidden(v, author) or (v, author) in model.mutes
            done = {(v, post)} & (model.likes | model.saves | self.watched)
            self._check(not shunned and not done, f"explore: of {author}", v, post)
        self._whole(v, [one for one in items if one["id"] in model.posts])
        self.explored += len(ids)

    async def _got(self, path: str, v: Viewer) -> Any:
        answer = await self._world.call("GET", path, v)
        self._check(answer.status_code == 200, path, v, answer.text)
        return answer.json()

    def _whole(self, v: Viewer, items: Sequence[Any]) -> None:
        """A post in a list says what its own page says, but for who likes it of those whom one follows."""
        for one in items:
            status, right = expected(self._model, "post", v, one["id"])
            self._check(status == 200, one["id"], v, one)
            likers = told("post", [one])[LIKERS]
            self._check(set(likers) <= set(right[LIKERS]), f"likers {right[LIKERS]}", v, likers)
            said = told("post", [one | {"liked_by_followed": [{"id": liker} for liker in right[LIKERS]]}])
            self._check(said == right, f"{one['id']} is {right}", v, said)

    def _check(self, holds: bool, what: str, v: Viewer, shown: object) -> None:
        assert holds, f"{what} for {v}: {shown}\n" + "\n".join(self._world.done[-40:])
