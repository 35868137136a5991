"""The small world that ``shutterlog up`` loads: a dozen people, made through the real API."""

from __future__ import annotations

import asyncio

from jobs.api_client import ApiClient, ApiRefused
from jobs.photos import make_photos
from sinks.settings import Settings

PEOPLE = {
    "ada": "Ada Winter",
    "bela": "Bela Stone",
    "chidi": "Chidi Park",
    "dunya": "Dunya Marsh",
    "emil": "Emil Frost",
    "fatou": "Fatou Reed",
    "goro": "Goro Lake",
    "hana": "Hana Field",
    "ines": "Ines Shore",
    "jonas": "Jonas Hill",
    "kavya": "Kavya Brook",
    "liv": "Liv Thorn",
}
PASSWORD = "a walk in the park"  # noqa: S105 - of the demo's people only, printed for whoever tries it
CAPTIONS = ("First light", "Tide pools", "The long way home", "Quiet afternoon", "After the rain", "Almost autumn")


def load(settings: Settings) -> None:
    """Make the demo world, and say how to log in. A second call changes nothing. Raises ``ApiRefused``."""
    made = asyncio.run(_load(f"http://{settings.api_host}:{settings.api_port}"))
    state = f"{made} posts" if made else "it was there already"
    print(f"demo world: {len(PEOPLE)} people ({state}); log in as ada with the password {PASSWORD!r}")


async def _load(base_url: str) -> int:
    photos = make_photos(len(PEOPLE), seed=12)
    names = list(PEOPLE)
    made = 0
    clients = [ApiClient(base_url) for _ in names]
    try:
        for client, username in zip(clients, names, strict=True):
            try:
                await client.register(username, PASSWORD, PEOPLE[username], key=f"demo-{username}")
            except ApiRefused as refused:
                if refused.kind != "username-taken":  # keys are forgotten after some days, people are not
                    raise
            await client.log_in(username, PASSWORD)
        if await clients[0].has_posts(clients[-1].user_id):
            return 0
        for number, client in enumerate(clients):
            for step in (1, 2, 3, 5):
                await client.follow(clients[(number + step) % len(clients)].user_id)
        for number, (client, photo) in enumerate(zip(clients, photos, strict=True)):
            media_id = await client.upload(photo, f"demo-media-{number}")
            await client.post([media_id], CAPTIONS[number % len(CAPTIONS)], f"demo-post-{number}")
            made += 1
    finally:
        for client in clients:
            await client.__aexit__()
    return made
