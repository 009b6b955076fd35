"""Who is refused, how, and how soon."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from quickstart.story import NAMESPACE, TENANT
from tests.e2e.platform import Platform

pytestmark = pytest.mark.cluster
REFUSED = (401, 429)  # who goes on asking with a bad password is throttled
HELLO = f"/v2/{NAMESPACE}/hello/manifests/1"


async def test_who_has_no_right_learns_nothing(platform: Platform) -> None:
    """No credentials, a wrong password and another's repository are refused in OCI words, and alike."""
    nobody = await platform.client("").ask("GET", HELLO)
    assert (nobody.status, nobody.codes) == (401, ["UNAUTHORIZED"])
    assert "www-authenticate" in nobody.headers

    wrong = await platform.client("rst_0000000000000000_wrong").ask("GET", HELLO)
    assert (wrong.status, wrong.codes) == (401, ["UNAUTHORIZED"])

    there, not_there = [
        await platform.client("").ask("GET", f"/v2/{name}/manifests/1")
        for name in (f"{NAMESPACE}/hello", f"{NAMESPACE}/nothing")
    ]
    assert (there.status, there.body) == (not_there.status, not_there.body)

    platform.kubectl.apply(
        platform.token(
            "narrow", permissions=[{"repositories": [f"{NAMESPACE}/mine/**"], "actions": ["pull"]}]
        )
    )
    narrow = platform.client(platform.issued("narrow"))
    await platform.until_everywhere(narrow.password, 200)
    foreign, missing = [
        await narrow.ask("GET", f"/v2/{name}/manifests/1") for name in (f"{NAMESPACE}/hello", "other/nothing")
    ]
    assert foreign.status == missing.status == 403
    assert foreign.codes == missing.codes == ["DENIED"]
    assert foreign.body.replace(b"hello", b"") == foreign.body, "the answer repeats nothing of the repository"


async def test_a_token_works_everywhere_at_once_and_ends_everywhere_at_once(platform: Platform) -> None:
    """Applied, suspended, resumed and deleted: every replica follows within seconds, without a rollout."""
    before = [pod["metadata"]["name"] for pod in platform.replicas()]
    platform.kubectl.apply(platform.token("brief"))
    password = platform.issued("brief")
    await platform.until_everywhere(password, 200)

    platform.kubectl.apply(platform.token("brief", suspended=True))
    await platform.until_everywhere(password, *REFUSED)

    platform.kubectl.apply(platform.token("brief"))
    await platform.until_everywhere(password, 200)

    platform.kubectl("delete", "at", "brief", "-n", TENANT)
    await platform.until_everywhere(password, *REFUSED)
    assert [pod["metadata"]["name"] for pod in platform.replicas()] == before


async def test_a_token_expires_by_the_clock(platform: Platform) -> None:
    """At its time a token is refused on every replica and says so."""
    soon = datetime.now(UTC) + timedelta(seconds=6)
    platform.kubectl.apply(platform.token("short", expiresAt=soon.strftime("%Y-%m-%dT%H:%M:%SZ")))
    password = platform.issued("short")
    await platform.until_everywhere(password, 200)
    await asyncio.sleep((soon - datetime.now(UTC)).total_seconds())
    await platform.until_everywhere(password, *REFUSED)
    platform.until_condition("at", "short", TENANT, Ready="Expired")


async def test_the_private_domain_has_the_same_content(platform: Platform) -> None:
    """What was pushed to the public domain is read from the private one."""
    public = await platform.client().ask("GET", HELLO)
    private = await platform.client(host="private.harbour.roadstead.test").ask("GET", HELLO)
    assert public.status == private.status == 200
    assert public.body == private.body
