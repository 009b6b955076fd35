"""A replica's life: start, certificates that are renewed, the operator's port, drain, end."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

from tests.api.client import CONFIG, Client, basic, descriptor, digest_of
from tests.api.replica import ROBOT, Replica
from tests.certificates import Authority
from tests.s3_server import S3Server, s3_server


@pytest.fixture
def replica(tmp_path: Path) -> Iterator[Replica]:
    with Replica(tmp_path, {"kind": "directory", "path": str(tmp_path / "data")}, secure=True) as running:
        yield running


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


def serial(replica: Replica, listener: str = "public") -> str:
    """The serial number of the certificate that a new connection is shown."""
    trust = ssl.create_default_context(cafile=str(replica.authority.file))
    with (
        socket.create_connection(("127.0.0.1", replica.ports[listener]), timeout=5) as plain,
        trust.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        shown = connection.getpeercert()
        assert shown is not None
        return str(shown["serialNumber"])


def test_a_renewed_certificate_is_taken_over(replica: Replica) -> None:
    """New connections get the new one, an open one goes on under the old."""
    before = serial(replica)
    client = replica.client()
    with_old = client.connect()
    with_old.request("GET", "/v2/", headers=basic(ROBOT.text))
    with_old.getresponse().read()
    replica.authority.issue(replica.directory / "server", "127.0.0.1")
    until(lambda: serial(replica) != before)
    with_old.request("GET", "/v2/", headers=basic(ROBOT.text))
    assert with_old.getresponse().status == 200
    with_old.close()
    assert serial(replica, "private") == serial(replica)


def test_a_bad_certificate_is_not_taken_over(replica: Replica) -> None:
    """A key that does not fit, or half a file, and the old one goes on; the log says so; mending works."""
    before = serial(replica)
    other = Authority(replica.directory / "other").issue(replica.directory / "other-server", "127.0.0.1")
    key = replica.directory / "server" / "tls.key"
    key.write_bytes((other / "tls.key").read_bytes())
    until(lambda: bool(replica.lines("a renewed certificate is refused, the old one stays")))
    assert serial(replica) == before
    key.write_bytes(b"-----BEGIN PRIV")
    time.sleep(1.2)
    assert serial(replica) == before
    key.unlink()
    time.sleep(1.2)
    assert serial(replica) == before
    replica.authority.issue(replica.directory / "server", "127.0.0.1")
    until(lambda: serial(replica) != before)


@dataclass
class Operator:
    """Asks for the state on one connection, as the operator does; `certificate` says who it is."""

    replica: Replica
    certificate: Path | None

    def __enter__(self) -> Self:
        trust = ssl.create_default_context(cafile=str(self.replica.authority.file))
        if self.certificate is not None:
            trust.load_cert_chain(self.certificate / "tls.crt", self.certificate / "tls.key")
        self.connection = http.client.HTTPSConnection(
            "127.0.0.1", self.replica.ports["internal"], timeout=10, context=trust
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def state(self, query: str = "") -> dict[str, Any]:
        self.connection.request("GET", f"/state{query}")
        answer = self.connection.getresponse()
        assert answer.status == 200
        read: dict[str, Any] = json.loads(answer.read())
        return read

    def after(self, told: dict[str, Any], what: str, reason: str) -> dict[str, Any]:
        """The first state after this one in which `what` has this reason; others may change meanwhile."""
        for _ in range(60):
            told = self.state(f"?after={told['version']}&wait=9")
            if told[what]["reason"] == reason:
                return told
        raise AssertionError(told)


def state(replica: Replica, certificate: Path | None) -> dict[str, Any]:
    with Operator(replica, certificate) as operator:
        return operator.state()


def test_the_operator_reads_the_state(replica: Replica) -> None:
    """With a client certificate of the internal CA: who it is, and what is in force."""
    certificate = replica.authority.issue(replica.directory / "operator", "operator", client=True)
    told = state(replica, certificate)
    assert (told["replica"], told["zone"], told["ready"]) == ("replica-0", "zone-a", True)
    assert told["storage"]["reason"] == "Ready"
    assert len(told["policy_revision"]) == 16
    assert told["self_check"]["reason"] in {"Checking", "Passed"}


def test_the_state_is_polled_long(replica: Replica) -> None:
    """An answer comes when something changed, or when the wait is over."""
    certificate = replica.authority.issue(replica.directory / "op", "op", client=True)
    with Operator(replica, certificate) as operator:
        told = operator.state()
        if told["self_check"]["reason"] != "Passed":
            told = operator.after(told, "self_check", "Passed")
        started = time.monotonic()
        assert operator.state(f"?after={told['version']}&wait=0.5") == told
        assert 0.4 < time.monotonic() - started < 2
        threading.Timer(0.5, lambda: replica.set_policy(b'{"namespaces": {}}')).start()
        started = time.monotonic()
        changed = operator.state(f"?after={told['version']}&wait=30")
        assert time.monotonic() - started < 5
        assert changed["version"] != told["version"]
        assert changed["policy_revision"] != told["policy_revision"]
        replica.set_policy(b"{")
        refused = operator.state(f"?after={changed['version']}&wait=30")
        assert refused["policy_revision"] == changed["policy_revision"]
        assert refused["policy_problem"].startswith("shard-0: ")
        for wait in ("nan", "-5", "1e999"):
            operator.state(f"?wait={wait}")


def test_nobody_else_reads_the_state(replica: Replica) -> None:
    """No certificate, one of another CA, a server's, one that names no purpose: none is let in."""
    foreign = Authority(replica.directory / "foreign")
    wrong = [
        None,
        foreign.issue(replica.directory / "foreign-operator", "operator", client=True),
        replica.authority.issue(replica.directory / "a-server", "127.0.0.1"),
        replica.authority.issue(replica.directory / "anything", "operator", purpose=None),
    ]
    for certificate in wrong:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            state(replica, certificate)
    public = replica.client()
    assert public.raw("GET", "/state", headers=basic(ROBOT.text)).status == 404


def test_the_internal_ca_is_renewed_too(replica: Replica) -> None:
    """When ca.crt changes, clients of the new CA are let in and those of the old are not."""
    old = replica.authority.issue(replica.directory / "op", "op", client=True)
    state(replica, old)
    replica.authority = Authority(replica.directory / "next")
    new = replica.authority.issue(replica.directory / "op2", "op", client=True)
    replica.authority.issue(replica.directory / "internal", "127.0.0.1")

    def let_in() -> bool:
        try:
            return bool(state(replica, new))
        except OSError:
            return False

    until(let_in)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        state(replica, old)


def test_a_drain_fails_nothing(replica: Replica) -> None:
    """Readiness fails at once, new connections are served a moment longer, a slow push ends well, exit 0."""
    client = replica.client()
    location = client.send("POST", f"{client.base}/blobs/uploads/").location
    content = b"slow" * 1000
    answers: list[int] = []

    def slowly() -> Iterator[bytes]:
        for start in range(0, len(content), 500):
            yield content[start : start + 500]
            time.sleep(0.45)

    pushing = threading.Thread(
        target=lambda: answers.append(client.send("PATCH", location, slowly()).status), daemon=True
    )
    client.send("PATCH", location, b"")  # the bearer that the push will use
    pushing.start()
    time.sleep(0.3)
    replica.terminate()
    until(lambda: replica.probe("/readyz")[0] == 503, 1)
    assert replica.probe("/livez")[0] == 200
    assert client.raw("GET", "/v2/", headers=basic(ROBOT.text)).status == 200
    pushing.join(timeout=10)
    assert answers == [202]
    assert replica.process is not None
    assert replica.process.wait(timeout=10) == 0
    with pytest.raises(ConnectionRefusedError):
        client.raw("GET", "/v2/")
    replica.start()
    again = replica.client()
    assert again.send("PUT", f"{location}?digest={digest_of(content)}").status == 201


def test_what_does_not_end_is_cut(tmp_path: Path) -> None:
    """After drain_seconds a hanging request is cut, and the exit is still in good order."""
    storage = {"kind": "directory", "path": str(tmp_path / "data")}
    with Replica(tmp_path, storage, limits={"drain_seconds": 1}) as own:
        client = own.client()
        location = client.send("POST", f"{client.base}/blobs/uploads/").location
        hanging = socket.create_connection(("127.0.0.1", own.ports["public"]))
        hanging.sendall(f"PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc".encode())
        time.sleep(0.3)
        started = time.monotonic()
        own.terminate()
        assert own.process is not None
        assert own.process.wait(timeout=10) == 0
        assert 0.9 < time.monotonic() - started < 4
        hanging.close()


def test_a_storage_that_is_away_at_the_start(tmp_path: Path, server: S3Server) -> None:
    """The process lives, is not ready and says why; when the bucket is there, it is ready by itself."""
    settings = server.settings("tests-late").model_dump(mode="json")
    own = Replica(tmp_path, settings, secure=True)
    own.prepare()
    own.launch()
    try:
        until(lambda: bool(own.lines("the storage was checked")))
        with pytest.raises(AssertionError, match="not ready"):
            own.until_ready(seconds=0)
        assert own.probe("/livez")[0] == 200
        assert own.probe("/readyz") == (503, "storage: BucketNotFound\n")
        client = own.client()
        answer = client.send("GET", f"{client.base}/manifests/x")
        assert (answer.status, answer.code) == (503, "UNAVAILABLE")
        assert "tests-late" not in answer.body.decode()
        server.client().create_bucket(Bucket="tests-late")
        own.until_ready()
    finally:
        own.kill()


def test_a_storage_that_goes_away_later(tmp_path: Path) -> None:
    """Readiness stays, or all replicas would go at once; requests say 503, and nothing of the inside."""
    with s3_server(tmp_path / "s3") as server:
        settings = server.bucket("tests-going").model_dump(mode="json")
        own = Replica(tmp_path, settings)
        own.prepare()
        own.start()
        own.client().push_image("latest")
    try:
        client = own.client()
        answer = client.send("GET", f"{client.base}/manifests/latest")
        assert (answer.status, answer.code) == (503, "UNAVAILABLE")
        assert answer["Retry-After"] is not None
        assert "tests-going" not in answer.body.decode()
        assert own.probe("/readyz") == (200, "ok\n")
        assert client.send("GET", "/v2/").status == 200
    finally:
        own.kill()


def test_an_outage_is_in_the_state_at_once(tmp_path: Path, server: S3Server) -> None:
    """The first request that meets it wakes the check, and the check the operator's long poll; and back."""
    settings = server.bucket("tests-outage").model_dump(mode="json")
    with Replica(tmp_path, settings, secure=True) as own:
        client = own.client()
        client.push_image("latest")
        certificate = own.authority.issue(own.directory / "op", "op", client=True)
        with Operator(own, certificate) as operator:
            good = operator.state()
            assert good["storage"]["reason"] == "Ready"
            moved = server.folder / "buckets" / "tests-outage"
            moved.rename(server.folder / "elsewhere")
            started = time.monotonic()
            assert client.send("GET", f"{client.base}/manifests/latest").status >= 404
            bad = operator.after(good, "storage", "BucketNotFound")
            assert time.monotonic() - started < 6
            assert bad["ready"]
            (server.folder / "elsewhere").rename(moved)
            operator.after(bad, "storage", "Ready")
            assert client.send("GET", f"{client.base}/manifests/latest").status == 200


def test_a_new_signing_key_is_taken_over(replica: Replica) -> None:
    """Bearers of a replica that started with the new key are good here, and so are our own of before."""
    repository = replica.client().repository
    base = f"/v2/{repository}/manifests/x"
    before = replica.bearer(repository, seconds=60)
    client = replica.client(None)
    assert client.raw("GET", base, headers=before).status == 404
    replica.renew_signing_key()
    of_the_new = replica.bearer(repository, seconds=60)
    until(lambda: client.raw("GET", base, headers=of_the_new).status == 404)
    assert client.raw("GET", base, headers=before).status == 404
    (replica.directory / "signing.pem").write_bytes(b"-----BEGIN PRIV")
    until(lambda: bool(replica.lines("a new signing key is refused, the old one stays")))
    for held in (before, of_the_new):
        assert client.raw("GET", base, headers=held).status == 404
    assert "PRIV" not in replica.log


def test_metrics(replica: Replica) -> None:
    """Prometheus' text: requests by noun, method and code, bytes, the policy's revision, the storage."""
    client = replica.client()
    client.push_image("latest")
    client.send("GET", f"{client.base}/manifests/latest")
    client.raw("BREW", "/v2/")
    status, page = replica.probe("/metrics")
    assert status == 200
    for expected in (
        'roadstead_requests_total{noun="manifest",method="PUT",code="201",domain="public"} 1',
        'roadstead_requests_total{noun="manifest",method="GET",code="200",domain="public"} 1',
        'roadstead_request_seconds_count{noun="manifest",method="GET"} ',
        'roadstead_storage{reason="Ready"} 1',
        'roadstead_refused_total{reason="CredentialsMissing"}',
        "roadstead_ready 1",
        'roadstead_received_bytes_total{domain="public"}',
    ):
        assert expected in page
    assert 'method="BREW"' not in page
    for line in page.splitlines():
        assert line.startswith("#") or len(line.rsplit(" ", 1)) == 2


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "registry_runtime", "serve", *arguments],
        capture_output=True,
        text=True,
        timeout=20,
        env={**os.environ, **environment},
        check=False,
    )


def test_bad_configurations_are_one_sentence(replica: Replica, tmp_path: Path) -> None:
    """Exit code 2 and one line that names the field, never a traceback."""
    good = replica.config()
    file = tmp_path / "bad.json"
    cases: list[tuple[str | dict[str, Any], str]] = [
        ("{", "JSON"),
        ("", "JSON"),
        ({**good, "surprise": 1}, "surprise"),
        ({**good, "storage": {"kind": "tape"}}, "storage"),
        ({**good, "signing_key": str(tmp_path / "none.pem")}, "signing_key"),
        ({**good, "signing_key": str(replica.authority.file)}, "signing_key"),
        ({**good, "tls": {"server": str(tmp_path)}}, "tls.crt"),
        ({**good, "listeners": {**good["listeners"], "public": replica.ports["public"]}}, "public"),
        ({**good, "listeners": {"address": "192.0.2.1"}}, "192.0.2.1"),
    ]
    for document, named in cases:
        file.write_text(document if isinstance(document, str) else json.dumps(document))
        ended = run("--config", str(file))
        assert ended.returncode == 2, ended
        assert named in ended.stderr
        assert ended.stderr.count("\n") == 1
    assert run("--config", str(tmp_path / "none.json")).returncode == 2


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--listen", "0.0.0.0:0"], "--anybody-may-do-everything"),
        (["--listen", "nonsense"], "HOST:PORT"),
        (["--listen", "example.com:80"], "example.com"),
        (["--listen", "127.0.0.1:99999"], "HOST:PORT"),
        (["--tls-cert", "x"], "--tls-key"),
        (["--policy", "/nowhere/policy.json"], "/nowhere/policy.json"),
        (["--policy", "/dev/null", "--sparse-images"], "--sparse-images"),
    ],
)
def test_options_that_do_not_fit(tmp_path: Path, options: list[str], named: str) -> None:
    """The registry alone refuses, in a sentence, what would be open to everybody by mistake."""
    ended = run("--data", str(tmp_path), *options)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert named in ended.stderr


def test_alone(tmp_path: Path) -> None:
    """On loopback anybody may do everything, also push what lacks a layer; SIGINT ends it in good order."""
    options = ["--data", str(tmp_path / "data"), "--listen", "127.0.0.1:0", "--sparse-images"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "registry_runtime", "serve", *options], stdout=log)
    try:
        own = Replica(tmp_path, {})
        until(lambda: bool(own.lines("listening")))
        client = Client("127.0.0.1", own.lines("listening")[0]["public"])
        assert client.raw("GET", "/v2/").status == 200
        _, content = client.push_image("latest")
        assert client.send("GET", f"{client.base}/manifests/latest").body == content
        missing = descriptor(CONFIG, digest_of(b"never pushed"), 12)
        lacking = json.dumps({"schemaVersion": 2, "config": missing, "layers": []}).encode()
        assert client.put_manifest("sparse", lacking).status == 201
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0
    finally:
        process.kill()
        process.wait()


def test_idle_memory(tmp_path: Path, server: S3Server) -> None:
    """A replica on S3 with all its listeners stays below 100 MiB while it is idle."""
    settings = server.bucket("tests-memory").model_dump(mode="json")
    with Replica(tmp_path, settings, secure=True) as own:
        time.sleep(2)
        assert own.process is not None
        status = Path(f"/proc/{own.process.pid}/status").read_text()
        resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
        assert resident < 100 * 1024
