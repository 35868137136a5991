"""Login, refresh and logout."""

from __future__ import annotations

import pytest

from api.access_tokens import Person
from tests.api.gateway import PASSWORD, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")


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
    for _ in range(2):
        assert (await gateway.client.delete("/api/v1/sessions", headers=person.headers)).status_code == 204
    status, _ = await refresh(gateway, person.refresh_token)
    assert status == 401


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
