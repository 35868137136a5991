"""Login, refresh and logout."""

from __future__ import annotations

import asyncio

import pytest

from api.access_tokens import Person
from sinks.sessions import Sessions
from tests.api.gateway import PASSWORD, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def log_in(gateway: Gateway, username: str) -> dict[str, str]:
    answer = await gateway.client.post("/api/v1/sessions", json={"username": username, "password": PASSWORD})
    assert answer.status_code == 201, answer.text
    tokens: dict[str, str] = answer.json()
    return tokens


async def refused(gateway: Gateway, headers: dict[str, str]) -> bool:
    """Whether the session of an access token has ended."""
    answer = await gateway.client.get("/api/v1/sessions", headers=headers)
    return answer.status_code == 401 and answer.json()["type"].endswith(":session-ended")


async def refresh(gateway: Gateway, token: str) -> tuple[int, dict[str, str]]:
    answer = await gateway.client.post("/api/v1/sessions/refresh", json={"refresh_token": token})
    return answer.status_code, answer.json()


async def test_login_gives_tokens_that_nobody_keeps(gateway: Gateway) -> None:
    person = await gateway.person()
    login = {"username": person.username.upper(), "password": PASSWORD}
    answer = await gateway.client.post("/api/v1/sessions", json=login)
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    tokens = answer.json()
    assert (tokens["user_id"], tokens["token_type"], tokens["expires_in"]) == (person.id, "Bearer", 900)
    rows = await gateway.stores.cassandra.execute("SELECT refresh_hash FROM sessions")
    assert all(tokens["refresh_token"].encode() not in row.refresh_hash for row in rows)


@pytest.mark.parametrize("username", ["", "nobody.at.all", "not a name", "123456"])
async def test_who_is_unknown_hears_the_same_as_who_is_wrong(gateway: Gateway, username: str) -> None:
    person = await gateway.person()
    wrong = {"username": person.username, "password": "wrong password"}
    known = await gateway.client.post("/api/v1/sessions", json=wrong)
    unknown = await gateway.client.post("/api/v1/sessions", json={"username": username, "password": PASSWORD})
    assert (known.status_code, unknown.status_code) == (401, 401)
    assert known.json()["detail"] == unknown.json()["detail"]
    assert known.headers["www-authenticate"] == "Bearer"


async def test_failed_logins_have_to_wait(gateway: Gateway) -> None:
    person = await gateway.person()
    wrong = {"username": person.username, "password": "wrong password"}
    seen = [(await gateway.client.post("/api/v1/sessions", json=wrong)).status_code for _ in range(4)]
    assert seen == [401, 401, 401, 429]
    right = await gateway.client.post("/api/v1/sessions", json=wrong | {"password": PASSWORD})
    assert right.status_code == 429
    assert 1 <= int(right.headers["retry-after"]) <= 30
    other = await gateway.person()
    login = {"username": other.username, "password": PASSWORD}
    # Good ones do not count.
    assert {(await gateway.client.post("/api/v1/sessions", json=login)).status_code for _ in range(5)} == {201}


async def test_a_refresh_token_is_good_once(gateway: Gateway) -> None:
    person = await gateway.person()
    status, second = await refresh(gateway, person.refresh_token)
    assert status == 200
    status, third = await refresh(gateway, second["refresh_token"])
    assert status == 200
    status, problem = await refresh(gateway, second["refresh_token"])
    assert (status, problem["type"].rpartition(":")[2]) == (401, "refresh-token-reused")
    # Whoever of the two was the thief: the session is over for both.
    status, problem = await refresh(gateway, third["refresh_token"])
    assert (status, problem["type"].rpartition(":")[2]) == (401, "invalid-refresh-token")


@pytest.mark.parametrize("token", ["", "x", "no.session", "a" * 256])
async def test_what_never_was_a_refresh_token(gateway: Gateway, token: str) -> None:
    status, _ = await refresh(gateway, token)
    assert status == 401


async def test_logout_ends_the_session(gateway: Gateway) -> None:
    person = await gateway.person()
    assert (await gateway.client.delete("/api/v1/sessions", headers=person.headers)).status_code == 204
    assert await refused(gateway, person.headers)
    status, _ = await refresh(gateway, person.refresh_token)
    assert status == 401


async def test_a_stolen_refresh_token_ends_the_family_access_tokens_included(gateway: Gateway) -> None:
    person = await gateway.person()
    _, thief = await refresh(gateway, person.refresh_token)
    stolen = {"Authorization": f"Bearer {thief['access_token']}"}
    assert not await refused(gateway, stolen)
    assert (await refresh(gateway, person.refresh_token))[0] == 401
    assert await refused(gateway, stolen) and await refused(gateway, person.headers)


async def test_of_two_refreshes_at_once_one_counts(gateway: Gateway) -> None:
    person = await gateway.person()
    answers = await asyncio.gather(*(refresh(gateway, person.refresh_token) for _ in range(4)))
    assert sorted(status for status, _ in answers)[1:] == [401, 401, 401]
    assert await refused(gateway, person.headers)


async def test_logging_out_everywhere(gateway: Gateway) -> None:
    person, other = await gateway.person(), await gateway.person()
    second = await log_in(gateway, person.username)
    third = await log_in(gateway, person.username)
    _, rotated = await refresh(gateway, third["refresh_token"])
    listed = (await gateway.client.get("/api/v1/sessions", headers=person.headers)).json()["items"]
    assert [one["current"] for one in listed] == [True, False, False]
    assert (await gateway.client.delete("/api/v1/sessions/all", headers=person.headers)).status_code == 204
    for tokens in (second, third, rotated):
        assert await refused(gateway, {"Authorization": f"Bearer {tokens['access_token']}"})
        assert (await refresh(gateway, tokens["refresh_token"]))[0] == 401
    assert await refused(gateway, person.headers) and not await refused(gateway, other.headers)
    again = await log_in(gateway, person.username)
    headers = {"Authorization": f"Bearer {again['access_token']}"}
    assert len((await gateway.client.get("/api/v1/sessions", headers=headers)).json()["items"]) == 1


async def test_another_gateway_hears_of_an_end_within_a_moment(gateway: Gateway) -> None:
    person = await gateway.person()
    now = [0.0]
    other = Sessions(gateway.stores.cassandra, seconds=60, check_seconds=1.0, clock=lambda: now[0])
    session_id = person.refresh_token.partition(".")[0]
    assert await other.is_open(session_id)
    await gateway.stores.sessions.end(session_id, int(person.id))
    assert await other.is_open(session_id)
    now[0] = 1.0
    assert not await other.is_open(session_id)


async def test_a_new_password_ends_the_other_sessions(gateway: Gateway) -> None:
    person = await gateway.person()
    other = await log_in(gateway, person.username)
    body = {"password": "wrong password", "new_password": "another fine staple"}
    answer = await gateway.client.put("/api/v1/me/password", json=body, headers=person.headers)
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (403, "wrong-password")
    body["password"] = PASSWORD
    assert (await gateway.client.put("/api/v1/me/password", json=body, headers=person.headers)).status_code == 204
    assert await refused(gateway, {"Authorization": f"Bearer {other['access_token']}"})
    assert not await refused(gateway, person.headers)
    old = {"username": person.username, "password": PASSWORD}
    assert (await gateway.client.post("/api/v1/sessions", json=old)).status_code == 401
    assert (
        await gateway.client.post("/api/v1/sessions", json=old | {"password": "another fine staple"})
    ).status_code == 201


async def test_tokens_do_not_pass_for_each_other(gateway: Gateway) -> None:
    person = await gateway.person()
    access = person.headers["Authorization"].removeprefix("Bearer ")
    status, _ = await refresh(gateway, access)
    assert status == 401
    for given in (f"Bearer {person.refresh_token}", "Bearer", "Basic YTpi", f"Bearer {access}x", "Bearer a.b.c"):
        answer = await gateway.client.get("/api/v1/me", headers={"Authorization": given})
        assert answer.status_code == 401, given
        # Where a token is not needed, a wrong one is still no stranger's.
        answer = await gateway.client.get(f"/api/v1/users/{person.id}/posts", headers={"Authorization": given})
        assert answer.status_code == 401, given


async def test_a_token_of_another_gateway_secret_is_refused(gateway: Gateway) -> None:
    from api.access_tokens import AccessTokens

    forged = AccessTokens("x" * 40, seconds=60).issue(Person(1, "s"))
    answer = await gateway.client.get("/api/v1/me", headers={"Authorization": f"Bearer {forged}"})
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (401, "invalid-token")
