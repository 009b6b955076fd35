"""The policy in force, followed from files and from an API server that plays tricks."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from registry_runtime.contract.policy import KEY, Claim, Policy, Token
from registry_runtime.kubernetes import ApiServer
from registry_runtime.policy import PolicyFollower


def policy(owner: str, namespace: str = "team") -> Policy:
    return Policy(namespaces={namespace: Claim(account="a", owner=owner)})


class Api:
    """The part of an API server that lists and watches one Secret each; real HTTP, made-up content."""

    def __init__(self) -> None:
        self.secrets: dict[str, dict[str, Any]] = {}
        self.version = 10
        self.watchers: list[tuple[str, web.StreamResponse]] = []
        self.requests: list[dict[str, str]] = []
        self.refuse: int | None = None
        self.gone = False

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append({**request.query, "token": request.headers["Authorization"]})
        if self.refuse is not None:
            return web.Response(status=self.refuse)
        name = request.query["fieldSelector"].removeprefix("metadata.name=")
        if "watch" not in request.query:
            items = [self.secrets[name]] if name in self.secrets else []
            return web.json_response({"metadata": {"resourceVersion": str(self.version)}, "items": items})
        stream = web.StreamResponse()
        await stream.prepare(request)
        if self.gone:
            self.gone = False
            await self.write(stream, "ERROR", {"code": 410, "message": "too old resource version"})
            return stream
        self.watchers.append((name, stream))
        with contextlib.suppress(asyncio.CancelledError):
            while not stream.task.done() if stream.task else True:
                await asyncio.sleep(0.01)
                if (name, stream) not in self.watchers:
                    break
        return stream

    async def write(self, stream: web.StreamResponse, kind: str, item: dict[str, Any]) -> None:
        line = json.dumps({"type": kind, "object": item}).encode() + b"\n"
        half = len(line) // 2  # events come in any pieces
        await stream.write(line[:half])
        await stream.write(line[half:])

    def store(self, name: str, content: bytes | None) -> dict[str, Any]:
        self.version += 1
        data = {KEY: base64.b64encode(content).decode()} if content is not None else {}
        self.secrets[name] = {"metadata": {"name": name, "resourceVersion": str(self.version)}, "data": data}
        return self.secrets[name]

    async def put(self, name: str, content: bytes | None, kind: str = "MODIFIED") -> None:
        item = self.store(name, content)
        for watched, stream in self.watchers:
            if watched == name:
                await self.write(stream, kind, item)

    def cut(self) -> None:
        for _, stream in self.watchers:
            if stream._req is not None and stream._req.transport is not None:
                stream._req.transport.abort()
        self.watchers.clear()


@pytest.fixture
async def api() -> AsyncIterator[tuple[Api, str]]:
    served = Api()
    app = web.Application()
    app.router.add_get("/api/v1/namespaces/tenant/secrets", served.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield served, f"http://127.0.0.1:{runner.addresses[0][1]}"
    served.watchers.clear()
    await runner.cleanup()


class Followed:
    """A follower of two shards with its watches running."""

    def __init__(self, directory: Path, url: str | None, start: Policy | None = None) -> None:
        self.files = {name: directory / name / KEY for name in ("p-0", "p-1")}
        for file in self.files.values():
            file.parent.mkdir(exist_ok=True)
        self.changes = 0
        self.follower = PolicyFollower(self.files, start=start, changed=self.count)
        self.tasks: list[asyncio.Task[None]] = []
        if url is not None:
            (directory / "token").write_text("first\n")
            server = ApiServer(url, directory / "token", None)
            self.tasks = [asyncio.create_task(job()) for job in self.follower.watches(server, "tenant")]

    def count(self) -> None:
        self.changes += 1

    def mount(self, shard: str, content: bytes) -> None:
        new = self.files[shard].with_suffix(".new")
        new.write_bytes(content)
        new.replace(self.files[shard])

    async def until(self, condition: Callable[[], bool], seconds: float = 5) -> float:
        """How many seconds it took."""
        started = time.perf_counter()
        while not condition():
            assert time.perf_counter() - started < seconds, "it never came"
            await asyncio.sleep(0.001)
        return time.perf_counter() - started

    async def follows(self, expected: Policy) -> float:
        return await self.until(lambda: self.follower.revision == expected.revision)

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@pytest.fixture
async def follow(tmp_path: Path) -> AsyncIterator[Callable[[str | None], Followed]]:
    made: list[Followed] = []

    def make(url: str | None) -> Followed:
        made.append(Followed(tmp_path, url))
        return made[-1]

    yield make
    for followed in made:
        await followed.close()


FIRST, SECOND = policy("one"), policy("two", "other")
BOTH = Policy.merge((FIRST, SECOND))
Make = Callable[[str | None], Followed]


async def test_nobody_may_anything_before_all_is_read(follow: Make) -> None:
    """With one shard of two there is no revision, and an empty policy."""
    followed = follow(None)
    followed.mount("p-0", FIRST.encode())
    followed.follower.poll()
    assert followed.follower.revision is None
    assert followed.follower.policy() == Policy()
    followed.mount("p-1", SECOND.encode())
    followed.follower.poll()
    assert followed.follower.revision == BOTH.revision
    assert followed.follower.policy() == BOTH


async def test_files_alone_are_followed_back_and_forth(follow: Make) -> None:
    """Without an API server each change of a file counts, a return to an old content too."""
    followed = follow(None)
    followed.mount("p-1", SECOND.encode())
    for one in (FIRST, policy("three"), FIRST):
        followed.mount("p-0", one.encode())
        followed.follower.poll()
        assert followed.follower.revision == Policy.merge((one, SECOND)).revision


async def test_the_watch_brings_changes_at_once(follow: Make, api: tuple[Api, str]) -> None:
    """Each change is in force in less than 100 ms, in any number of pieces."""
    server, url = api
    server.store("p-0", FIRST.encode())
    server.store("p-1", SECOND.encode())
    followed = follow(url)
    await followed.follows(BOTH)
    await followed.until(lambda: len(server.watchers) == 2)
    for number in range(20):
        changed = policy(f"uid-{number}" * 5000)  # far longer than a line of the reader
        await server.put("p-0", changed.encode())
        assert await followed.follows(Policy.merge((changed, SECOND))) < 0.1


async def test_a_bookmark_moves_on_and_the_token_is_read_again(follow: Make, api: tuple[Api, str]) -> None:
    """The next watch goes on from the bookmark's version, as the identity that the file now holds."""
    server, url = api
    server.store("p-0", FIRST.encode())
    server.store("p-1", SECOND.encode())
    followed = follow(url)
    await followed.until(lambda: len(server.watchers) == 2)
    (followed.files["p-0"].parent.parent / "token").write_text("second")
    for _, stream in server.watchers:
        await server.write(stream, "BOOKMARK", {"metadata": {"resourceVersion": "777"}})
    server.watchers.clear()  # ends the streams in good order
    await followed.until(lambda: len(server.watchers) == 2)
    again = server.requests[-2:]
    assert {request["resourceVersion"] for request in again} == {"777"}
    assert {request["token"] for request in again} == {"Bearer second"}
    assert all(request["allowWatchBookmarks"] == "true" for request in again)


async def test_a_version_that_is_gone_is_listed_anew(follow: Make, api: tuple[Api, str]) -> None:
    """410 in the stream: everything is read again, and nothing is missed."""
    server, url = api
    server.store("p-0", FIRST.encode())
    server.store("p-1", SECOND.encode())
    followed = follow(url)
    await followed.until(lambda: len(server.watchers) == 2)
    changed = policy("meanwhile")
    server.store("p-0", changed.encode())
    server.gone = True
    server.watchers.clear()
    await followed.follows(Policy.merge((changed, SECOND)))


@pytest.mark.parametrize("status", [401, 403, 410, 429, 500, 503])
async def test_an_api_that_refuses_is_asked_again(follow: Make, api: tuple[Api, str], status: int) -> None:
    """The mounted copies are in force meanwhile; then the watch takes over, without a touch."""
    server, url = api
    server.refuse = status
    followed = follow(url)
    followed.mount("p-0", FIRST.encode())
    followed.mount("p-1", SECOND.encode())
    followed.follower.poll()
    assert followed.follower.revision == BOTH.revision
    await followed.until(lambda: len(server.requests) >= 4)
    newer = policy("newer")
    server.store("p-0", newer.encode())
    server.store("p-1", SECOND.encode())
    server.refuse = None
    await followed.follows(Policy.merge((newer, SECOND)))


async def test_an_outage_forgets_nothing(follow: Make, api: tuple[Api, str]) -> None:
    """What is known stays; a stale mounted copy does not undo it, a newer one counts, the API's word last."""
    server, url = api
    server.store("p-0", FIRST.encode())
    server.store("p-1", SECOND.encode())
    followed = follow(url)
    await followed.until(lambda: len(server.watchers) == 2)
    second = policy("second")
    await server.put("p-0", second.encode())
    await followed.follows(Policy.merge((second, SECOND)))
    server.refuse = 503
    server.cut()
    watch = followed.follower._shards["p-0"].watch
    assert watch is not None
    await followed.until(lambda: not watch.connected)
    for stale in (FIRST, second):
        followed.mount("p-0", stale.encode())
        followed.follower.poll()
        assert followed.follower.revision == Policy.merge((second, SECOND)).revision
    third = policy("third")
    followed.mount("p-0", third.encode())
    followed.follower.poll()
    assert followed.follower.revision == Policy.merge((third, SECOND)).revision
    server.store("p-0", second.encode())
    server.refuse = None
    await followed.follows(Policy.merge((second, SECOND)))


async def test_a_file_says_nothing_while_the_watch_is_there(follow: Make, api: tuple[Api, str]) -> None:
    """The kubelet is late: its copy never undoes what the watch brought."""
    server, url = api
    server.store("p-0", FIRST.encode())
    server.store("p-1", SECOND.encode())
    followed = follow(url)
    await followed.until(lambda: len(server.watchers) == 2)
    followed.mount("p-0", policy("late").encode())
    followed.follower.poll()
    assert followed.follower.revision == BOTH.revision


STRANGE = b'{"anonymous": [{"repositories": ["pier/**"], "actions": ["pull"], "moonPhase": "s3cret"}]}'


@pytest.mark.parametrize(
    "wrong", [b"", b"{", b"[]", b'{"tokens": {"t": {"hashes": ["s3cret"]}}}', STRANGE, None]
)
async def test_what_is_malformed_is_refused_whole(
    follow: Make, api: tuple[Api, str], wrong: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    """The old policy stays, the problem is told without its content, and a good one mends it."""
    server, url = api
    server.store("p-0", FIRST.encode())
    server.store("p-1", SECOND.encode())
    followed = follow(url)
    await followed.until(lambda: len(server.watchers) == 2)
    before = followed.follower.refusals
    await server.put("p-0", wrong)
    if wrong is None:  # a Secret without its key: absent for a moment
        await followed.until(lambda: any("absent" in record.message for record in caplog.records))
        assert followed.follower.problem is None
    else:
        await followed.until(lambda: followed.follower.refusals == before + 1)
        assert followed.follower.problem is not None
        assert followed.follower.problem.startswith("p-0: ")
        assert "s3cret" not in f"{followed.follower.problem}{caplog.text}"
    assert followed.follower.revision == BOTH.revision
    mended = policy("mended")
    await server.put("p-0", mended.encode())
    await followed.follows(Policy.merge((mended, SECOND)))
    assert followed.follower.problem is None


@pytest.mark.parametrize(
    ("strange", "place"),
    [
        ({"moonPhase": "full"}, "moonPhase"),
        ({"grants": [{"repositories": ["pier/**"], "actions": ["pull", "sign"]}]}, "grants.0.actions.1"),
    ],
)
async def test_a_token_of_a_newer_operator_opens_nothing(
    follow: Make, api: tuple[Api, str], strange: dict[str, object], place: str
) -> None:
    """It may have a limit that would not be held; all others follow the policy, so revocations go on."""
    server, url = api
    server.store("p-0", FIRST.encode())
    server.store("p-1", SECOND.encode())
    followed = follow(url)
    await followed.until(lambda: len(server.watchers) == 2)
    document = json.loads(policy("known").encode())
    token = {"account": "a", "owner": "u", "hashes": ["0"], "grants": []}
    document["tokens"] = {"strange": token | strange}
    await server.put("p-0", json.dumps(document).encode())
    await followed.follows(Policy.merge((policy("known"), SECOND)))
    problem = followed.follower.problem
    assert problem is not None
    assert problem.startswith(f"p-0: tokens.strange.{place}: not known to this runtime")
    refused = {**document, "moonPhase": "full"}
    await server.put("p-0", json.dumps(refused).encode())
    await followed.until(lambda: followed.follower.problem not in {None, problem})
    assert followed.follower.revision == Policy.merge((policy("known"), SECOND)).revision


async def test_a_secret_deleted_and_made_again(follow: Make, api: tuple[Api, str]) -> None:
    """What is known stays while it is away."""
    server, url = api
    server.store("p-0", FIRST.encode())
    server.store("p-1", SECOND.encode())
    followed = follow(url)
    await followed.until(lambda: len(server.watchers) == 2)
    await server.put("p-0", FIRST.encode(), "DELETED")
    await server.put("p-0", policy("again").encode(), "ADDED")
    await followed.follows(Policy.merge((policy("again"), SECOND)))


async def test_garbage_in_the_stream(follow: Make, api: tuple[Api, str]) -> None:
    """Lines that are no events end the watch, not the follower."""
    server, url = api
    server.store("p-0", FIRST.encode())
    server.store("p-1", SECOND.encode())
    followed = follow(url)
    await followed.until(lambda: len(server.watchers) == 2)
    for _, stream in server.watchers:
        await stream.write(b"not json\n")
    changed = policy("after the garbage")
    server.store("p-1", changed.encode())
    await followed.follows(Policy.merge((FIRST, changed)))


ENTRIES = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["one", "two", "three"]), max_size=4)
CONTENTS = st.builds(
    lambda claims, tokens: Policy(
        namespaces={name: Claim(account=account, owner=account) for name, account in claims.items()},
        tokens={
            name: Token(account=account, owner=account, hashes=(), grants=())
            for name, account in tokens.items()
        },
    ),
    ENTRIES,
    ENTRIES,
)


@given(st.lists(CONTENTS, min_size=1, max_size=6))
def test_the_revision_never_depends_on_what_was_known(history: list[Policy]) -> None:
    """Entries that stay are kept and others are hashed: policy and revision are the last content."""
    follower = PolicyFollower({"p": Path("/nowhere")}, start=None, changed=lambda: None)
    for content in history:
        before = follower.policy()
        follower._take("p", content.encode(), "test")
        assert follower.policy() == content
        assert follower.revision == content.revision
        for name, token in before.tokens.items():
            assert follower.policy().tokens.get(name) != token or follower.policy().tokens[name] is token
