"""Audit records: what was done leaves a line, with all that docs/audit.md promises, and no secret."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from registry_runtime.contract.credential import Password
from tests.api.client import OCI_INDEX, Client, basic, digest_of
from tests.api.replica import READER, ROBOT, STRANGER, Replica, closed

WRONG = Password.generate(ROBOT.id)


def records(replica: Replica, **wanted: Any) -> list[dict[str, Any]]:
    """Audit records with these values, in order."""
    lines = [json.loads(line) for line in replica.log.splitlines() if '"audit": 1' in line]
    return [line for line in lines if all(line.get(name) == value for name, value in wanted.items())]


def test_a_push_and_a_pull_are_told(replica: Replica, client: Client) -> None:
    """Blobs, manifest, tags and digests: who did it, where, and what was served under a tag."""
    blob = client.push_blob(b"of the record")
    digest, _ = client.push_image("v1", annotations={"a": client.repository})
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}).encode()
    answer = client.put_manifest(f"{digest_of(index)}?tag=a&tag=b", index, OCI_INDEX)
    assert answer.status == 201
    client.send("GET", f"{client.base}/manifests/v1")
    client.send("GET", f"{client.base}/blobs/{blob}")
    client.send("DELETE", f"{client.base}/manifests/{digest}")

    own = {"repository": client.repository, "decision": "allowed"}
    pushed = records(replica, event="blob.push", digest=blob, **own)
    assert [one["status"] for one in pushed] == [201]
    image, listed = records(replica, event="manifest.push", **own)
    assert (image["reference"], image["digest"], image["action"]) == ("v1", digest, "push")
    assert (listed["digest"], listed["tags"]) == (digest_of(index), ["a", "b"])
    (pulled,) = records(replica, event="manifest.pull", **own)
    assert (pulled["reference"], pulled["digest"], pulled["action"]) == ("v1", digest, "pull")
    assert len(records(replica, event="blob.pull", digest=blob, **own)) == 1
    (deleted,) = records(replica, event="manifest.delete", **own)
    assert (deleted["reference"], deleted["status"]) == (digest, 202)
    for one in (*pushed, image, pulled, deleted):
        assert (one["client"], one["endpoint"]) == ("127.0.0.1", "public")
        assert (one["who"], one["account"]) == ((ROBOT.id, "ours") if replica.secure else (None, None))


def test_a_mount_says_from_where(replica: Replica, client: Client) -> None:
    """And it is no push of bytes."""
    blob = client.push_blob(b"to be mounted")
    other = replica.client()
    answer = other.send("POST", f"{other.base}/blobs/uploads/?mount={blob}&from={client.repository}")
    assert answer.status == 201
    (mounted,) = records(replica, event="blob.mount", repository=other.repository)
    assert (mounted["from"], mounted["digest"]) == (client.repository, blob)


def test_logins_are_told(replica: Replica) -> None:
    """Who logged in, and who claimed to be somebody: by the id only, for nobody knows who that was."""
    if not replica.secure:
        pytest.skip("nobody logs in")
    client = replica.client()
    agent = {"User-Agent": "audit-test/1"}
    for password, status in ((ROBOT, 200), (WRONG, 401)):
        path = f"/token?scope=repository:{client.repository}:pull,push"
        assert client.raw("GET", path, headers=basic(password.text) | agent).status == status
    good, bad = records(replica, event="login", agent="audit-test/1")
    assert (good["decision"], good["reason"], good["who"]) == ("allowed", "Granted", ROBOT.id)
    assert (bad["decision"], bad["reason"], bad["who"]) == ("refused", "TokenUnknown", None)
    assert bad["claimed"] == ROBOT.id


def test_refusals_are_told_with_their_reason(replica: Replica) -> None:
    """Which the client, who may be a stranger, is not told."""
    if not replica.secure:
        pytest.skip("nobody is refused")
    for password, method, path, reason in (
        (STRANGER, "GET", "team/refused/manifests/x", "OtherAccount"),
        (READER, "DELETE", "team/refused/manifests/x", "NotGranted"),
        (READER, "GET", "nobodys/refused/manifests/x", "NamespaceUnbound"),
    ):
        answer = replica.client().raw(method, f"/v2/{path}", headers=basic(password.text))
        told = {"request": answer["X-Request-Id"], "decision": "refused", "reason": reason}
        (one,) = records(replica, who=password.id, **told)
        assert one["repository"] == path.partition("/manifests")[0]
        assert one["status"] == 403
        assert reason not in answer.body.decode()


def test_a_policy_is_told_by_what_it_changed(replica: Replica) -> None:
    """From which revision to which; and the hash of no password."""
    if not replica.secure:
        pytest.skip("its policy has no tokens")
    before = closed()
    other = Password.generate("9" * 16)
    added = before.tokens | {other.id: before.tokens[ROBOT.id].model_copy(update={"hashes": (other.sha256,)})}
    try:
        replica.set_policy(before.model_copy(update={"tokens": added}))
        ends = time.monotonic() + 10
        while not (told := [one for one in records(replica, event="policy") if other.id in str(one)]):
            assert time.monotonic() < ends
    finally:
        replica.set_policy(before)
    assert told[0]["tokens"] == {"added": {"count": 1, "names": [other.id]}}
    assert told[0]["before"] != told[0]["revision"]
    assert other.sha256 not in replica.log


def test_a_reader_that_stands_still_stops_no_pull(tmp_path: Path) -> None:
    """Requests are answered, a metric counts what is lost, and the gap is told when the log is read again.

    After SIGTERM the process ends when all that waited was written.
    """
    with _alone(tmp_path) as process:
        ports = _listening(process)
        connection = http.client.HTTPConnection("127.0.0.1", ports["public"], timeout=30)
        path = "/v2/open/x/manifests/" + "x"
        for _ in range(13_000):
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 404
        connection.close()
        page = Client("127.0.0.1", ports["probes"]).raw("GET", "/metrics").body.decode()
        (lost,) = [
            float(line.split()[1])
            for line in page.splitlines()
            if line.startswith("roadstead_log_lost_total ")
        ]
        assert lost > 0
        process.terminate()
        written, _ = process.communicate(timeout=30)
    lines = [json.loads(line) for line in written.splitlines()]
    (gap,) = [line["lost"] for line in lines if line.get("event") == "log.lost"]
    assert gap >= lost  # what the replica says of its end is lost, too
    assert len([line for line in lines if line.get("event") == "manifest.pull"]) == 13_000 - lost


def _alone(folder: Path) -> subprocess.Popen[bytes]:
    ports = ["--listen", "127.0.0.1:0", "--probes", "0"]
    argv = [sys.executable, "-m", "registry_runtime", "serve", "--data", str(folder / "data"), *ports]
    return subprocess.Popen(argv, stdout=subprocess.PIPE)


def _listening(process: subprocess.Popen[bytes]) -> dict[str, int]:
    """The ports; what comes after that is not read."""
    assert process.stdout is not None
    while True:
        line: dict[str, Any] = json.loads(process.stdout.readline())
        if line["message"] == "listening":
            return line
