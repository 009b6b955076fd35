"""Who is refused, how, and how soon."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from quickstart.story import NAMESPACE, REGISTRY, TENANT
from tests.e2e.platform import Platform, resource

pytestmark = pytest.mark.cluster
REFUSED = (401, 429)  # who goes on asking with a bad password is throttled
HELLO = f"/v2/{NAMESPACE}/hello/manifests/1"


async def test_what_was_done_is_told(platform: Platform) -> None:
    """`kubectl get at` shows when a token was last used; a refused push is an Event on it, with why."""
    permissions = [{"repositories": [f"{NAMESPACE}/**"], "actions": ["pull"]}]
    platform.kubectl.apply(platform.token("looker", permissions=permissions))
    looker = platform.client(platform.issued("looker"))
    await platform.until_everywhere(looker.password, 200)
    assert (await looker.ask("GET", HELLO)).status == 200
    assert (await looker.push_blob(f"{NAMESPACE}/hello", b"parrot")).status == 403

    def told() -> tuple[str, str, str]:
        """The column, and the Events of both."""
        table = platform.kubectl("get", "at", "looker", "-n", TENANT).splitlines()
        used = table[1][table[0].index("LAST USED") :].split()[0]
        (claim,) = (one["metadata"]["name"] for one in platform.kubectl.list("rns", "-n", TENANT))
        of_token, of_claim = (
            platform.kubectl("events", "--for", f"{about}.roadstead.dev/{name}", "-n", TENANT)
            for about, name in (("accesstokens", "looker"), ("namespaces", claim))
        )
        return used, of_token, of_claim

    sentence = f"push of {NAMESPACE}/hello by the public domain was refused"

    def said() -> tuple[bool, bool]:
        """Whether the one Event names the reason, and the other whom it was refused."""
        _, of_token, of_claim = told()
        return (
            f"PushDenied   AccessToken/looker   {sentence}: NotGranted; " in of_token,
            f"{sentence} to AccessToken looker: NotGranted; " in of_claim,
        )

    await asyncio.to_thread(
        platform.kubectl.until,
        "the use and the refusal are told",
        lambda: told()[0][0].isdigit() and said() == (True, True),
        seconds=150,  # what was refused before is told first, one text a minute: so this test is the first
        every=1,
        why=lambda: "\n".join(told()),
    )
    platform.kubectl("delete", "at", "looker", "-n", TENANT)


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
    assert foreign.body == missing.body, "the answer tells nothing of the repository"
    platform.kubectl("delete", "at", "narrow", "-n", TENANT)


async def test_another_account_reads_nothing_here(platform: Platform) -> None:
    """A second account gets the same 403 for what is there and for what is not, and mounts nothing."""
    with platform.account("pirates"), platform.open_to_all():
        reference = {"name": REGISTRY, "namespace": TENANT}
        platform.kubectl.apply(
            resource("Namespace", "cove", "pirates", {"registryRef": reference, "name": "cove"}),
            platform.token("hook", "pirates", registryRefs=[reference],
                           permissions=[{"repositories": ["**"], "actions": ["pull", "push", "delete"]}]),
        )  # fmt: skip
        platform.until_condition("rns", "cove", "pirates", Bound="True")
        pirate = platform.client(platform.issued("hook", "pirates"))
        await platform.until_everywhere(pirate.password, 200)
        await pirate.push_image("cove/loot", "1", b"gold")

        there, not_there = [
            await pirate.ask("GET", f"/v2/{NAMESPACE}/{name}/manifests/1") for name in ("hello", "nothing")
        ]
        assert there.status == not_there.status == 403
        assert there.codes == not_there.codes == ["DENIED"]
        assert there.body == not_there.body
        assert (await pirate.push_blob(f"{NAMESPACE}/hello", b"parrot")).status == 403
        blob = json.loads((await platform.client().ask("GET", HELLO)).body)["config"]["digest"]
        mounted = await pirate.ask(
            "POST", f"/v2/cove/loot/blobs/uploads/?mount={blob}&from={NAMESPACE}/hello"
        )
        assert mounted.status == 202, "no right to the source: an upload begins instead"


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
    platform.kubectl("delete", "at", "short", "-n", TENANT)


async def test_the_private_domain_has_the_same_content(platform: Platform) -> None:
    """What was pushed to the public domain is read from the private one."""
    public = await platform.client().ask("GET", HELLO)
    private = await platform.client(host="private.harbour.roadstead.test").ask("GET", HELLO)
    assert public.status == private.status == 200
    assert public.body == private.body
