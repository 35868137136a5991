"""The faults themselves: each is begun, seen to have taken effect, and ended, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from random import Random

from jobs.chaos_citizen import Refused, Unanswered
from jobs.chaos_links import Link
from jobs.chaos_load import Load
from jobs.chaos_objects import fill, remove, upload, uploader
from jobs.chaos_plan import Fault, NotFired
from jobs.chaos_poison import oversize, poison
from jobs.chaos_saves import copy_aof
from jobs.chaos_stack import ChaosStack
from jobs.chaos_strike import LATE_SECONDS, strike
from jobs.services import pids
from sinks.redis import AWAY, connect

CLOCKS_SECONDS = (300, -150)
"""How wrong a gateway's clock is, ahead or behind."""
STORMING = ("home_feed", "counters", "likes", "follows", "story_tray", "posts", "trending")
"""View groups whose partitions are taken to and fro by workers that come and go."""
_STORM_GROUPS = 3
_SAVES_KEPT = 3


class Faults:
    """Injects faults into ``stack`` while ``load`` goes on."""

    def __init__(self, stack: ChaosStack, load: Load) -> None:
        self._stack, self._load = stack, load
        self.poisoned = 0
        """Records written that nobody can decode."""
        self._saves: deque[tuple[float, Path]] = deque()
        self._deeds: dict[str, Callable[[Fault], Awaitable[str]]] = {
            "kill": self._kill,
            "freeze": self._freeze,
            "strike": self._strike,
            "storm": self._storm,
            "cut": self._cut,
            "silence": self._silence,
            "slow": self._slow,
            "flush": self._flush,
            "roll-back": self._roll_back,
            "poison": self._poison,
            "oversize": self._oversize,
            "remove": partial(remove, stack, load),
            "fill": partial(fill, stack, load),
            "misclock": self._misclock,
        }

    async def fire(self, fault: Fault) -> str:
        """Inject ``fault`` and end it; what shows that it took effect. Raises ``NotFired`` and ``Skipped``."""
        return await self._deeds[fault.deed](fault)

    async def save_redis(self) -> None:
        """Keep a copy of Redis's append-only file as it is now, to be put back later. The oldest are forgotten."""
        if not self._aof.exists():  # a Redis of somebody else's
            return
        copy = self._stack.home.data / f"redis-{time.monotonic_ns()}"
        redis = connect(self._stack.settings.redis_url, seconds=10)
        try:
            await copy_aof(redis, self._aof, copy)
        except AWAY:  # not back after the last fault, which says so: an older copy will do
            return
        finally:
            await redis.aclose()
        self._saves.append((self._load.seconds, copy))
        while len(self._saves) > _SAVES_KEPT:
            await asyncio.to_thread(shutil.rmtree, self._saves.popleft()[1])

    @property
    def _aof(self) -> Path:
        return self._stack.home.data / "redis" / "appendonlydir"

    async def _victim(self, fault: Fault) -> tuple[str, int]:
        chance = Random(fault.seed)  # noqa: S311 - a victim that can be had again
        name = chance.choice(sorted(self._stack.slots)) if fault.target == "worker" else fault.target
        return name, await self._stack.pid(name)

    async def _kill(self, fault: Fault) -> str:
        name, pid = await self._victim(fault)
        os.kill(pid, signal.SIGKILL)
        if await asyncio.to_thread(pids.wait_gone, [pid], 5.0):
            raise NotFired(f"{name}, pid {pid}, lives on")
        return f"{name}, pid {pid}, was killed"

    async def _freeze(self, fault: Fault) -> str:
        name, pid = await self._victim(fault)
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(fault.seconds)
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        finally:
            os.kill(pid, signal.SIGCONT)
        if state != "T":
            raise NotFired(f"{name}, pid {pid}, was in state {state}")
        return f"{name}, pid {pid}, stood still for {fault.seconds:.1f} s"

    async def _strike(self, fault: Fault) -> str:
        """Kill workers in the middle of what they do."""
        try:
            killed = await strike(self._stack, self._load, fault)
        except (Refused, Unanswered) as error:
            raise NotFired(f"nobody can register to keep workers busy: {error}") from error
        if not killed:
            raise NotFired("no worker ran")
        return f"killed over slow links: {', '.join(killed)}"

    async def _storm(self, fault: Fault) -> str:
        chance = Random(fault.seed)  # noqa: S311 - as above
        until = time.monotonic() + fault.seconds
        came = 0
        # At least two have to come, however slowly they start; each stays for a moment after it was given partitions.
        while time.monotonic() < until or came < 2:
            groups = chance.sample(STORMING, _STORM_GROUPS)
            command = [sys.executable, "-m", "agents", *groups, "--slot", "storm-0"]
            worker, log = self._stack.one_more("storm", command, {})
            try:
                deadline = time.monotonic() + 40
                while ": assigned " not in log.read_text(errors="replace"):
                    if worker.poll() is not None or time.monotonic() > deadline:
                        raise NotFired(f"a worker was given nothing: {log.read_text(errors='replace')[-500:]}")
                    await asyncio.sleep(0.1)
                came += 1
                await asyncio.sleep(chance.uniform(0.2, 1.5))
            finally:
                # Some leave as they should, some are gone.
                await _ended(worker, chance.choice((signal.SIGTERM, signal.SIGKILL)), 10)
        return f"{came} workers came, were given partitions, and went"

    async def _cut(self, fault: Fault) -> str:
        link = self._stack.links[fault.target]
        severed, refused = link.severed, link.refused
        await self._hindered(fault, link, link.cut)
        if link.severed == severed and link.refused == refused:
            raise NotFired("nobody used the link")
        return f"{link.severed - severed} connections broken, {link.refused - refused} refused"

    async def _silence(self, fault: Fault) -> str:
        link = self._stack.links[fault.target]
        held = link.held
        await self._hindered(fault, link, link.silence)
        if link.held == held:
            raise NotFired("nobody said anything over the link")
        return f"{link.held - held} connections heard nothing for {fault.seconds:.1f} s"

    async def _slow(self, fault: Fault) -> str:
        link = self._stack.links[fault.target]
        delayed = link.delayed
        await self._hindered(fault, link, lambda: link.slow(LATE_SECONDS))
        if link.delayed == delayed:
            raise NotFired("nobody said anything over the link")
        return f"{link.delayed - delayed} messages came {LATE_SECONDS * 1000:.0f} ms late"

    async def _hindered(self, fault: Fault, link: Link, hinder: Callable[[], None]) -> None:
        """``hinder`` what goes over ``link`` for the fault's time."""
        # Pictures come seldom enough that none might come meanwhile.
        person = await uploader(self._load, fault) if fault.target == "objects" else None
        hinder()
        try:
            await asyncio.gather(asyncio.sleep(fault.seconds), *([upload(self._load, person)] if person else []))
        finally:
            link.restore()

    async def _flush(self, fault: Fault) -> str:
        redis = connect(self._stack.settings.redis_url, seconds=10)
        try:
            keys = await redis.dbsize()
            if not keys:
                raise NotFired("Redis was empty")
            await redis.flushdb()
        finally:
            await redis.aclose()
        return f"{keys} keys were gone"

    async def _roll_back(self, fault: Fault) -> str:
        if not self._saves:
            raise NotFired("nothing was saved to go back to")
        at, copy = self._saves[0]
        await self._stack.stop("redis")
        try:
            now = _size(self._aof)
            await asyncio.to_thread(shutil.rmtree, self._aof)
            await asyncio.to_thread(shutil.copytree, copy, self._aof)
        finally:
            await self._stack.start("redis")
        then = _size(self._aof)
        if then >= now:
            raise NotFired(f"what was saved is no shorter: {then} bytes, and {now} now")
        return f"back to {self._load.seconds - at:.0f} s before: {then} bytes in place of {now}"

    async def _poison(self, fault: Fault) -> str:
        written = await poison(self._stack.settings, Random(fault.seed))  # noqa: S311 - as above
        self.poisoned += len(written)
        return "undecodable: " + ", ".join(f"{tp}@{offset}" for tp, offset in written)

    async def _oversize(self, fault: Fault) -> str:
        settings, people = self._stack.settings, [person.id for person in self._load.citizens]
        garbage, comment = await oversize(settings, Random(fault.seed), people, self._load.posts)  # noqa: S311 - as above
        self.poisoned += len(garbage)
        told = ", ".join(f"{tp}@{offset}" for tp, offset in garbage)
        return f"undecodable: {told}; an event of the largest size: " + ", ".join(
            f"{tp}@{offset}" for tp, offset in comment
        )

    async def _misclock(self, fault: Fault) -> str:
        chance = Random(fault.seed)  # noqa: S311 - as above
        ahead = chance.choice(CLOCKS_SECONDS)
        port = self._stack.free_port()
        base_url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "jobs.chaos_clock", str(ahead)]
        gateway, log = self._stack.one_more("misclock", command, {"API_PORT": str(port), "NODE_ID": "1"})
        try:
            if not await self._stack.answers(base_url):
                raise NotFired(f"the gateway does not answer: {log.read_text(errors='replace')[-500:]}")
            done = await self._through(base_url, fault, chance)
        finally:
            await _ended(gateway, signal.SIGTERM, 15)
        if not done:
            raise NotFired("nothing was acknowledged by that gateway")
        return f"{done} writes acknowledged by a gateway {abs(ahead)} s {'ahead' if ahead > 0 else 'behind'}"

    async def _through(self, base_url: str, fault: Fault, chance: Random) -> int:
        """How many deeds somebody got done who lives through the gateway at ``base_url`` alone."""
        load, until = self._load, time.monotonic() + fault.seconds
        try:
            person = await load.citizen(f"w{fault.number}x", base_url)
        except (Refused, Unanswered) as error:
            raise NotFired(f"nobody can register there: {error}") from error
        others = load.citizens
        deeds = ["post", "feed", "like", "comment", "follow", "unlike"]
        done = 0
        while time.monotonic() < until or done < len(deeds):
            if time.monotonic() > until + 30:
                break
            done += await load.do(
                person, deeds[done % len(deeds)] if done < len(deeds) else chance.choice(deeds), others
            )
        return done


async def _ended(process: subprocess.Popen[bytes], order: signal.Signals, seconds: float) -> None:
    """End ``process`` by ``order``, and by force where that takes longer than ``seconds``."""
    process.send_signal(order)
    try:
        await asyncio.to_thread(process.wait, seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        await asyncio.to_thread(process.wait)


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())
