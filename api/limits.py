"""What a request is counted against, and how its answer says so."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Mapping
from functools import lru_cache

from fastapi import Request

from api.problems import Problem
from api.stores import Stores
from sinks.throttles import Allowance, Spent

_NETWORK_BITS = 64
"""Of an IPv6 address: whoever has one has all that begin with the same bits."""


def tell_limit(request: Request, name: str, allowance: Allowance, spent: Spent) -> None:
    """Have whatever answers ``request`` say that it counted against the limit ``name``. Told again, the last word
    stands."""
    request.scope.setdefault("state", {}).setdefault("limits", {})[name] = allowance, spent


def limit_fields(told: Mapping[str, tuple[Allowance, Spent]]) -> tuple[tuple[bytes, bytes], ...]:
    """The header fields that say of each limit how many in a row it allows, how many are left, and in how many seconds
    all of them will be again.

    ``RateLimit-Policy`` and ``RateLimit`` name every limit; the older fields, which hold one number each, are those of
    the limit that refuses, or is nearest to it.
    """
    nearest, left = min(told.values(), key=lambda one: (-one[1].wait, one[1].left))
    return (
        (b"ratelimit-policy", b", ".join(_policy(name, *one) for name, one in told.items())),
        (b"ratelimit", b", ".join(_state(name, *one) for name, one in told.items())),
        (b"ratelimit-limit", b"%d" % nearest.burst),
        (b"ratelimit-remaining", b"%d" % left.left),
        (b"ratelimit-reset", b"%d" % _reset(nearest, left)),
    )


async def count(
    request: Request, stores: Stores, name: str, bucket: str, allowance: Allowance, refusal: Problem
) -> None:
    """Take a token of ``bucket`` and tell it as the limit ``name``. Where there is none, raise ``refusal``, which then
    says how long to wait."""
    spent = await stores.throttles.spend(bucket, allowance)
    tell_limit(request, name, allowance, spent)
    if spent.wait:
        raise refusal.wait(spent.wait)


async def forgive(request: Request, stores: Stores, name: str, bucket: str, allowance: Allowance) -> None:
    """Give back all that was taken of ``bucket``, and tell that."""
    await stores.throttles.forgive(bucket)
    tell_limit(request, name, allowance, Spent(0, allowance.burst))


async def check_address(request: Request, stores: Stores) -> None:
    """Raise ``Problem`` 429 where too much is written from the address of ``request``, by however many people."""
    settings = stores.settings
    allowance = Allowance(settings.address_write_burst, settings.address_write_per_second)
    refusal = Problem(429, "too-many-writes-from-address", "Too much is written from your address. Wait a moment.")
    await count(request, stores, "address-writes", f"writes-from:{address_of(request)}", allowance, refusal)


def address_of(request: Request) -> str:
    """Where the client is, as far as it is known: an address of IPv4, or the network that one of IPv6 is in."""
    return _network(request.client.host) if request.client else "unknown"


@lru_cache(maxsize=4096)
def _network(host: str) -> str:
    if ":" not in host:
        return host
    try:
        address = ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    return str(address.ipv4_mapped or ipaddress.IPv6Network((address, _NETWORK_BITS), strict=False))


def _policy(name: str, allowance: Allowance, _spent: Spent) -> bytes:
    return b'"%b";q=%d;w=%d' % (name.encode(), allowance.burst, math.ceil(allowance.burst / allowance.per_second))


def _state(name: str, allowance: Allowance, spent: Spent) -> bytes:
    return b'"%b";r=%d;t=%d' % (name.encode(), spent.left, _reset(allowance, spent))


def _reset(allowance: Allowance, spent: Spent) -> int:
    return math.ceil((allowance.burst - spent.left) / allowance.per_second)
