"""Web Push: the RFC's own example, what a browser opens, who is taken for the sender, and where nothing is sent."""

from __future__ import annotations

import asyncio
import base64
import socket
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from sinks.push_endpoints import Endpoint, EndpointRefused
from sinks.web_push import (
    LONGEST_MESSAGE,
    PADDED_TO,
    BrowserKeys,
    Vapid,
    from_base64url,
    new_vapid_key,
    sealed_for,
    to_base64url,
)
from tests.sinks.push_services import Device

# RFC 8291, appendix A.
MESSAGE = b"When I grow up, I want to be a watermelon"
SENDER, RECEIVER = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw", "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
POINT = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
AUTH, SALT = "BTBZMqHH6r4Tts7J_aSIgg", "DGv6ra1nlYgDCS1FRnbzlw"
BODY = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl"
    "7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)


def private(text: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(from_base64url(text), "big"), ec.SECP256R1())


def test_the_example_of_rfc_8291() -> None:
    browser = BrowserKeys.read(POINT, AUTH)
    body = sealed_for(browser, MESSAGE, padded_to=1, salt=from_base64url(SALT), own=private(SENDER))
    assert to_base64url(body) == BODY
    assert Device("", private(RECEIVER), from_base64url(AUTH)).opened(body) == MESSAGE


@pytest.mark.parametrize("length", [0, 1, 200, PADDED_TO - 1, PADDED_TO, 3 * PADDED_TO - 1, LONGEST_MESSAGE])
def test_a_browser_opens_it_and_its_length_says_little(length: int) -> None:
    device = Device("")
    keys = device.given["keys"]
    body = sealed_for(BrowserKeys.read(keys["p256dh"], keys["auth"]), b"x" * length)
    assert device.opened(body) == b"x" * length
    assert len(body) <= 4096
    assert (len(body) - 102) % PADDED_TO == 0 or length > 3 * PADDED_TO - 1
    assert sealed_for(BrowserKeys.read(keys["p256dh"], keys["auth"]), b"") != body  # nothing is used twice


def test_what_is_too_long_is_not_sealed() -> None:
    keys = Device("").given["keys"]
    with pytest.raises(ValueError, match="at most"):
        sealed_for(BrowserKeys.read(keys["p256dh"], keys["auth"]), bytes(LONGEST_MESSAGE + 1))


@pytest.mark.parametrize(
    ("p256dh", "auth"),
    [("", AUTH), ("AAAA", AUTH), (to_base64url(b"\4" + b"\1" * 64), AUTH), (POINT, "AAAA"), ("?", AUTH), (POINT, "é")],
)
def test_keys_that_are_none(p256dh: str, auth: str) -> None:
    with pytest.raises(ValueError):
        BrowserKeys.read(p256dh, auth)


def test_push_services_know_the_sender() -> None:
    now = [1_800_000_000.0]
    vapid = Vapid(new_vapid_key(), "mailto:a@b.example", lambda: now[0])
    first = vapid.authorization("https://push.example")
    assert first == vapid.authorization("https://push.example")
    now[0] += 11 * 3600
    second = vapid.authorization("https://push.example")
    assert second != first  # a token is never near its end
    token = second.partition("t=")[2].partition(",")[0]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["aud"], claims["sub"]) == ("https://push.example", "mailto:a@b.example")
    assert 0 < claims["exp"] - now[0] <= 24 * 3600  # RFC 8292 allows no more
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), from_base64url(vapid.public_key))
    jwt.decode(token, point, algorithms=["ES256"], options={"verify_aud": False, "verify_exp": False})


@pytest.mark.parametrize(
    ("key", "subject"),
    [("AAAA", "mailto:a@b"), ("!", "mailto:a@b"), (new_vapid_key(), "a@b")],
    ids=["short", "undecodable", "nobody to write to"],  # the same in every worker, though keys are not
)
def test_an_identity_that_is_none(key: str, subject: str) -> None:
    with pytest.raises(ValueError):
        Vapid(key, subject)


@pytest.mark.parametrize(
    "url",
    [
        *("http://push.example/a", "ftp://push.example/", "https://", "push.example/a", "https://push.example:8443/a"),
        *("https://user@push.example/", "https://push.example/a#b", "https://localhost/", "https://push.example/\x00"),
        *("https://127.0.0.1/", "https://10.1.2.3/", "https://192.168.0.1/", "https://169.254.169.254/latest"),
        *("https://[::1]/", "https://[fe80::1]/", "https://[::ffff:10.0.0.1]/", "https://[64:ff9b::a00:1]/"),
        *("https://[2002:a00:1::]/", "https://0x7f.1/", "https://2130706433/", "https://127.1/", "https://0/"),
        *("https://224.0.0.1/", "https://push.example:port/", "https://é.example/", "https://a b.example/"),
        "https://push.example/" + "a" * 1024,
    ],
)
def test_where_nothing_is_sent(url: str) -> None:
    with pytest.raises(EndpointRefused):
        Endpoint.read(url)


def test_a_push_service_of_the_internet() -> None:
    read = Endpoint.read("https://Push.Example/send/a?b=c")
    assert read == Endpoint("https", "push.example", 443, "/send/a?b=c")
    assert read.origin == "https://push.example"
    assert Endpoint.read("http://127.0.0.1:81", private=True).origin == "http://127.0.0.1:81"


async def test_a_name_is_looked_at_when_something_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    leads_to: list[str] = []

    async def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in leads_to]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    endpoint = Endpoint.read("https://rebinding.example/")
    leads_to[:] = ["93.184.216.34"]
    assert await endpoint.resolved() == "93.184.216.34"
    for one in ("127.0.0.1", "10.0.0.1", "::1", "fd00::1", "::ffff:127.0.0.1", "0.0.0.0"):  # noqa: S104
        leads_to[:] = ["93.184.216.34", one]
        with pytest.raises(EndpointRefused):
            await endpoint.resolved()
    leads_to[:] = ["127.0.0.1"]
    assert await endpoint.resolved(private=True) == "127.0.0.1"


def test_base64url() -> None:
    assert (
        from_base64url(base64.urlsafe_b64encode(b"ab?>").decode()) == b"ab?>" == from_base64url(to_base64url(b"ab?>"))
    )
