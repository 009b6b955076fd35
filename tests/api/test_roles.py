"""What each role may do, request for request, as docs/access.md says it; and from where."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from urllib.parse import urlencode

import pytest

from registry_runtime.auth.scope import Scopes
from registry_runtime.auth.tokens import Claims
from registry_runtime.contract import subject
from registry_runtime.contract.credential import Password
from registry_runtime.contract.policy import Action
from registry_runtime.contract.subject import KubernetesProvider, OidcProvider
from tests.api.accounts import GUESTS, PASSWORDS, enforce, granted, refusal, sharing
from tests.api.client import OCI_IMAGE, OCI_INDEX, Answer, Client, basic, descriptor, digest_of
from tests.api.conftest import storage_of
from tests.api.replica import EVERYTHING, STRANGER, Replica, closed, token
from tests.api.test_access import access, bearer, challenge
from tests.api.test_access import token as asked_for
from tests.documents import DOCS, quoted, rows

NOT_GRANTED = "{} is not granted to you here"
CONTENT = b"{}"  # the config of every image of these tests
PULLS = frozenset({Action.PULL})
FORGE = subject.oidc("forge", {"repository": "shop/web"})
POD = subject.service_account("shop", "web")
NEAR = Password.generate("a" * 16)  # good from 127.0.0.2 and its like


@dataclass(frozen=True)
class Row:
    """A line of the table of requests."""

    methods: tuple[str, ...]
    path: str
    needs: Action
    scope: str

    @classmethod
    def of(cls, cells: tuple[str, ...]) -> Row:
        *methods, path = quoted(cells[0])
        return cls(tuple(methods), path, Action(quoted(cells[1])[0]), quoted(cells[2])[0])

    def ask(self, client: Client, method: str, manifest: bytes = b"{}", uuid: str = "none") -> Answer:
        path = self.path.replace("<name>", client.repository).replace("<reference>", "latest")
        path = path.replace("<uuid>", uuid).replace("<digest>", digest_of(CONTENT))
        path = path.replace("<source>", f"{client.repository}-other")
        content, kind = (manifest, {"Content-Type": OCI_IMAGE}) if "manifests" in path else (CONTENT, {})
        body = content if method in {"PUT", "POST", "PATCH"} else b""
        return client.raw(method, path, body, {**login(client), **kind})


REQUESTS = rows(DOCS / "access.md", "## What each request needs")
TABLE = [Row.of(cells) for cells in REQUESTS if "<name>" in cells[0]]


def login(client: Client) -> dict[str, str]:
    assert client.password is not None
    return basic(client.password)


@pytest.fixture(scope="module", params=["directory-secure", "s3-secure-encrypted"])
def replica(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    directory = tmp_path_factory.mktemp("roles")
    storage = storage_of(request, directory, "roles")
    with Replica(directory, storage, True, "encrypted" in request.param) as running:
        enforce(sharing(), running)
        yield running


@pytest.fixture(scope="module")
def there(replica: Replica) -> Client:
    """A repository that has what is asked for."""
    owner = replica.client()
    owner.push_image("latest")
    return owner


@pytest.fixture
def policy(replica: Replica) -> Iterator[None]:
    """For tests that change it."""
    yield
    enforce(sharing(), replica)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{'+'.join(row.methods)} {row.path}")
@pytest.mark.parametrize("who", GUESTS)
def test_a_request_needs_what_the_table_says(replica: Replica, there: Client, who: str, row: Row) -> None:
    """Each role, and each action alone: who has what the request needs goes on, everybody else is refused."""
    password = PASSWORDS[who].text
    for method in row.methods:
        if row.needs not in GUESTS[who]:
            answer = row.ask(replace(there, password=password), method)
            assert answer.status == 403
            assert method == "HEAD" or refusal(answer) == NOT_GRANTED.format(row.needs)
            continue
        owner = replica.client()
        _, manifest = owner.push_image("latest")
        session = owner.send("POST", f"{owner.base}/blobs/uploads/").location
        guest = replace(owner, password=password)
        answer = row.ask(guest, method, manifest, session.rpartition("/")[2])
        assert answer.status in {200, 201, 202, 204}, answer.body


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{'+'.join(row.methods)} {row.path}")
def test_a_challenge_asks_for_what_the_table_says(replica: Replica, row: Row) -> None:
    """Without credentials: 401, and the scope with which the request would pass."""
    client = replica.client(None)
    path = row.path.replace("<name>", "team/app").replace("<digest>", digest_of(CONTENT))
    for method in row.methods:
        scope = challenge(client.raw(method, path))["scope"]
        assert scope == row.scope.replace("<name>", "team/app")
        assert row.needs in Scopes.parse([scope]).repositories["team/app"]


@pytest.mark.parametrize("who", GUESTS)
def test_the_catalog_shows_what_may_be_listed(replica: Replica, who: str) -> None:
    """Everybody with a login may ask; an empty list is the answer of who may list nothing."""
    owner = replica.client()
    owner.push_image("latest")
    (needs,) = (cells[1] for cells in REQUESTS if quoted(cells[0])[-1] == "/v2/_catalog")
    seen = replica.client(PASSWORDS[who]).send("GET", "/v2/_catalog").json()["repositories"]
    assert (owner.repository in seen) is (Action(quoted(needs)[0]) in GUESTS[who])
    assert not [name for name in seen if not name.startswith("team/")]


@pytest.mark.parametrize(("who", "status"), [("Writer", 201), ("only push", 202), ("only pull", 403)])
def test_a_mount_needs_push_here_and_pull_there(replica: Replica, who: str, status: int) -> None:
    """Who may not pull from the source gets an upload, as if nothing were there."""
    source = replica.client()
    digest = source.push_blob(who.encode())
    guest = replica.client(PASSWORDS[who])
    query = urlencode({"mount": digest, "from": source.repository})
    assert guest.send("POST", f"{guest.base}/blobs/uploads/?{query}").status == status


def test_a_writer_that_lists_nothing_signs(replica: Replica) -> None:
    """As a referrer, and by the tag that older clients use for it; what it asks for is pull and push."""
    owner = replica.client()
    image, _ = owner.push_image("latest")
    writer = replace(owner, password=PASSWORDS["Writer"].text, _bearers={})
    assert writer.send("GET", f"{writer.base}/tags/list").status == 403

    assert writer.send("HEAD", f"{writer.base}/manifests/latest")["Docker-Content-Digest"] == image
    signature, _ = writer.push_image(subject=descriptor(OCI_IMAGE, image, 1))
    listed = writer.send("GET", f"{writer.base}/referrers/{image}").json()["manifests"]
    assert [one["digest"] for one in listed] == [signature]

    tag = image.replace(":", "-")
    assert writer.send("GET", f"{writer.base}/manifests/{tag}").status == 404
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}
    assert writer.put_manifest(tag, json.dumps(index).encode(), OCI_INDEX).status == 201
    assert owner.send("GET", f"{owner.base}/manifests/{tag}").json() == index


def test_a_role_ends_at_its_globs(replica: Replica, policy: None) -> None:
    """`*` is one component, `**` any number; in another's Namespace an entry means nothing."""
    owner, theirs = replica.client(), replica.client(STRANGER)
    for name in ("team/web", "team/web/a", "team/web/a/b", "team/other"):
        replace(owner, repository=name).push_image("latest")
    for name in ("foreign/web", "foreign/web/a"):
        replace(theirs, repository=name).push_image("latest")

    def reached(*globs: str) -> set[str]:
        entry = granted(PULLS | {Action.LIST}, subject.token(NEAR.id), globs=globs)
        tokens = {**sharing().tokens, NEAR.id: token(NEAR, "nobody", "", frozenset())}
        enforce(sharing(entry, tokens=tokens), replica)
        guest = replica.client(NEAR)
        found = {
            name
            for name in ("web", "web/a", "web/a/b", "other")
            if guest.raw("GET", f"/v2/team/{name}/manifests/latest", headers=login(guest)).status == 200
        }
        for name in ("web", "web/a"):
            there = guest.raw("GET", f"/v2/foreign/{name}/manifests/latest", headers=login(guest))
            assert refusal(there) == NOT_GRANTED.format("pull")
        listed = guest.raw("GET", "/v2/_catalog", headers=login(guest)).json()["repositories"]
        seen = {name.removeprefix("team/") for name in listed}
        assert {name for name in seen if name in {"web", "web/a", "web/a/b", "other"}} == found
        return found

    assert reached("team/web") == {"web"}
    assert reached("team/web/*") == {"web/a"}
    assert reached("team/web/**", "foreign/**") == {"web/a", "web/a/b"}
    assert reached("**") == {"web", "web/a", "web/a/b", "other"}


@pytest.mark.parametrize(
    ("provider", "who"),
    [("kubernetes", POD), ("kubernetes", subject.service_account("shop")), ("forge", FORGE)],
)
def test_a_subject_that_is_no_token_has_its_role(
    replica: Replica, policy: None, provider: str, who: str
) -> None:
    """A ServiceAccount, all of a namespace, an OIDC claim; until nobody vouches for them any more."""
    owner = replica.client()
    owner.push_image("latest")
    vouching = {
        "kubernetes": KubernetesProvider(audience="here"),
        "oidc": {"forge": OidcProvider(issuer="https://127.0.0.1:9/none", audience="here")},
    }
    entry = granted(PULLS, who)
    now = int(time.time())
    asked = Scopes({owner.repository: EVERYTHING})
    held = replica.sign(Claims("", now, now + 60, asked, provider, "somebody", frozenset({who})))
    other = replica.sign(Claims("", now, now + 60, asked, provider, "somebody", frozenset({f"{who}x"})))
    path = f"{owner.base}/manifests/latest"

    enforce(sharing(entry, **vouching), replica)
    assert owner.raw("GET", path, headers=held).status == 200
    assert refusal(owner.raw("GET", path, headers=other)) == NOT_GRANTED.format("pull")
    assert refusal(owner.raw("DELETE", path, headers=held)) == NOT_GRANTED.format("delete")
    enforce(sharing(entry), replica)
    assert owner.raw("GET", path, headers=held).status == 401


def test_a_role_that_is_taken_away_ends_at_once(replica: Replica, policy: None) -> None:
    """With passwords and with bearers that were let through just now."""
    owner = replica.client()
    owner.push_image("latest")
    guest = replace(owner, password=PASSWORDS["Reader"].text, _bearers={})
    path = f"{owner.base}/manifests/latest"
    assert guest.send("GET", path).status == 200
    enforce(closed().model_copy(update={"tokens": sharing().tokens}), replica)
    assert guest.send("GET", path).status == 403
    assert guest.raw("GET", path, headers=login(guest)).status == 403


def test_a_token_is_good_from_its_networks_alone(replica: Replica, policy: None) -> None:
    """At login, at the token endpoint, and with a bearer that is carried to another address."""
    owner = replica.client()
    owner.push_image("latest")
    usual = sharing()
    bound = token(NEAR, "ours", "team/**", EVERYTHING, networks=("10.0.0.0/8", "127.0.0.2/31"))
    enforce(usual.model_copy(update={"tokens": {**usual.tokens, NEAR.id: bound}}), replica)
    near = replace(replica.client(NEAR), repository=owner.repository, source="127.0.0.2")
    far = replace(near, source="127.0.0.1")
    forwarded = {"X-Forwarded-For": "127.0.0.2", "Forwarded": "for=127.0.0.2", "X-Real-IP": "127.0.0.2"}
    path, scope = f"{near.base}/manifests/latest", f"repository:{near.repository}:pull"

    given = asked_for(near, scope, headers=login(near))
    assert access(given) == {near.repository: ["list", "pull"]}
    for headers in (login(near), bearer(given)):
        assert near.raw("GET", path, headers=headers).status == 200
        for answer in (
            far.raw("GET", path, headers=headers),
            far.raw("GET", path, headers={**headers, **forwarded}),
            far.raw("GET", "/v2/_catalog", headers=headers),
            far.raw("POST", f"{near.base}/blobs/uploads/", headers=headers),
        ):
            assert refusal(answer) == "the AccessToken may not be used from your network"
    assert refusal(asked_for(far, scope, headers=login(far))).endswith("from your network")
    wrong = Password.generate(NEAR.id).text
    assert far.raw("GET", path, headers=basic(wrong)).status == 401  # told only to who has the password
