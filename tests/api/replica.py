"""A replica as it runs in a pod: a process with a configuration file, on loopback."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from registry_runtime.auth.scope import Scopes
from registry_runtime.auth.tokens import Bearers, Claims
from registry_runtime.contract.credential import Password
from registry_runtime.contract.policy import KEY as POLICY_KEY
from registry_runtime.contract.policy import Action, Claim, Grant, KeyUse, Policy, Sparse, Token
from tests.api.client import Client
from tests.certificates import Authority

ROBOT = Password.generate("0" * 16)  # may do everything in team/**, mirror/** and strict/**
READER = Password.generate("1" * 16)  # may pull in team/**
STRANGER = Password.generate("2" * 16)  # of another account, which owns foreign/**
EVERYTHING = frozenset(Action)
KEY = b"a key of the tenant, of 32 bytes"
MIRROR = Claim(account="ours", owner="ours", sparse=Sparse(images=True))  # may lack what it names
STRICT = Claim(account="ours", owner="ours", sparse=Sparse(indexes=False))  # holds all that it names
_OPEN = Policy(
    anonymous=(Grant(repositories=("**",), actions=EVERYTHING),),
    namespaces={"mirror": MIRROR, "strict": STRICT},
)
_NAME = "tests/registry"
_START_SECONDS = 30


def token(password: Password, owner: str, globs: str, actions: frozenset[Action], **more: Any) -> Token:
    grant = Grant(repositories=tuple(globs.split()), actions=actions)
    return Token(account=owner, owner=owner, hashes=(password.sha256,), grants=(grant,), **more)


def closed() -> Policy:
    """Accounts that own one Namespace each, and nothing for anybody."""
    return Policy(
        namespaces={
            "team": Claim(account="ours", owner="ours"),
            "foreign": Claim(account="theirs", owner="theirs"),
            "mirror": MIRROR,
            "strict": STRICT,
        },
        tokens={
            ROBOT.id: token(ROBOT, "ours", "team/** mirror/** strict/**", EVERYTHING),
            READER.id: token(READER, "ours", "team/**", frozenset({Action.PULL})),
            STRANGER.id: token(STRANGER, "theirs", "**", EVERYTHING),
        },
    )


@dataclass
class Replica:
    """`directory` holds its configuration; `secure` means TLS and accounts, else anybody over HTTP.

    `encrypted` means that content and metadata are, under a key of the tenant's.
    """

    directory: Path
    storage: dict[str, Any]
    secure: bool = False
    encrypted: bool = False
    limits: dict[str, Any] = field(default_factory=lambda: {"drain_seconds": 5})
    tracing: dict[str, Any] | None = None
    ports: dict[str, int] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    marks: list[str] = field(default_factory=list)  # ids of requests of ours, which the log is read without

    def __enter__(self) -> Self:
        self.prepare()
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    @property
    def log(self) -> str:
        """What it has logged of all that it answered so far: lines are written in order, a moment later."""
        file = self.directory / "log"
        mark, ends = self._mark(), time.monotonic() + 10
        while mark and mark not in file.read_text():
            assert time.monotonic() < ends, "it does not write its log"
            time.sleep(0.02)
        return self.written

    @property
    def written(self) -> str:
        """The log as it is at this moment."""
        file = self.directory / "log"
        lines = file.read_text().splitlines(keepends=True) if file.exists() else []
        return "".join(line for line in lines if not any(one in line for one in self.marks))

    def _mark(self) -> str:
        """The id of a request that is logged behind all before it; "" where none is answered."""
        if not self.ports or self.process is None or self.process.poll() is not None:
            return ""
        try:
            mark = self.client().raw("GET", "/mark").headers.get("X-Request-Id", "")
        except (OSError, HTTPException):
            return ""
        self.marks.append(mark)
        return mark

    def prepare(self) -> None:
        self.authority = Authority(self.directory / "authority")
        if self.encrypted:
            self.keys.mkdir()
            (self.keys / "k1").write_bytes(KEY)
        self.set_policy(closed() if self.secure else _OPEN)
        self.authority.issue(self.directory / "server", "127.0.0.1", "public.test", "private.test")
        self.authority.issue(self.directory / "internal", "127.0.0.1")
        self.renew_signing_key()

    def renew_signing_key(self) -> None:
        """Another key in the mounted file; `bearer` signs with it."""
        key = ec.generate_private_key(ec.SECP256R1())
        self._signing_key = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        new = self.directory / "signing.new"
        new.write_bytes(self._signing_key)
        new.replace(self.directory / "signing.pem")

    @property
    def keys(self) -> Path:
        """The tenant's keys, as they are mounted."""
        return self.directory / "keys"

    def set_policy(self, policy: Policy | bytes) -> bytes:
        """Replaces the mounted file as the kubelet does: at once. What is mounted now."""
        if self.encrypted and isinstance(policy, Policy):
            policy = policy.model_copy(update={"encryption": KeyUse(active="k1", settled=True)})
        file = self.directory / "policy" / "shard-0" / POLICY_KEY
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_suffix(".new")
        content = policy if isinstance(policy, bytes) else policy.encode()
        new.write_bytes(content)
        new.replace(file)
        return content

    def config(self) -> dict[str, Any]:
        tls = {"server": str(self.directory / "server"), "internal": str(self.directory / "internal")}
        return {
            "registry": _NAME,
            "owner": "owner-uid",
            "hosts": ["public.test", "127.0.0.1"],
            "private_hosts": ["private.test"],
            "storage": self.storage,
            "listeners": {
                "address": "127.0.0.1",
                "public": 0,
                "private": 0,
                "internal": 0 if self.secure else None,
                "probes": 0,
            },
            "signing_key": str(self.directory / "signing.pem"),
            "tls": tls if self.secure else {},
            "policy": {"directory": str(self.directory / "policy"), "secrets": ["shard-0"]},
            "encryption": {"keys": str(self.keys)} if self.encrypted else None,
            "limits": self.limits,
            "tracing": self.tracing,
        }

    def start(self) -> None:
        """Returns when it is ready."""
        self.launch()
        self.until_ready()

    def launch(self) -> None:
        """Starts the process, and does not wait for it."""
        file = self.directory / "config.json"
        file.write_text(json.dumps(self.config()))
        with (self.directory / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "registry_runtime", "serve", "--config", str(file)],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "POD_NAME": "replica-0", "ZONE": "zone-a"},
            )

    def until_ready(self, seconds: float = _START_SECONDS) -> None:
        assert self.process is not None
        ends = time.monotonic() + seconds
        while not self.ready():
            assert self.process.poll() is None, self.log
            assert time.monotonic() < ends, f"not ready: {self.log}"
            time.sleep(0.05)

    def operator(self) -> Client:
        """Asks at the internal port, with the operator's certificate."""
        certificate = self.authority.issue(self.directory / "operator", "roadstead-operator", client=True)
        trust = ssl.create_default_context(cafile=str(self.authority.file))
        trust.load_cert_chain(certificate / "tls.crt", certificate / "tls.key")
        return Client("127.0.0.1", self.ports["internal"], trust)

    def client(self, password: Password | None = ROBOT, listener: str = "public") -> Client:
        if not self.secure:
            return Client("127.0.0.1", self.ports[listener])
        trust = ssl.create_default_context(cafile=str(self.authority.file))
        return Client("127.0.0.1", self.ports[listener], trust, password.text if password else None)

    def probe(self, path: str) -> tuple[int, str]:
        answer = Client("127.0.0.1", self.ports["probes"]).raw("GET", path)
        return answer.status, answer.body.decode()

    def bearer(self, repository: str, seconds: int) -> dict[str, str]:
        """A bearer of ROBOT's for everything in the repository, as another replica may have signed it."""
        now = int(time.time())
        return self.sign(Claims(ROBOT.id, now - 60, now + seconds, Scopes({repository: EVERYTHING})))

    def sign(self, claims: Claims, registry: str = _NAME) -> dict[str, str]:
        """A bearer with these claims, under this replica's key."""
        return {"Authorization": f"Bearer {Bearers.load(registry, self._signing_key).sign(claims)}"}

    def terminate(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    def lines(self, message: str) -> list[dict[str, Any]]:
        """Lines of the log with this message."""
        return _with(message, self.log)

    @property
    def revision(self) -> str | None:
        """Of the policy in force."""
        told = self.lines("a policy is in force")
        return told[-1]["revision"] if told else None

    def ready(self) -> bool:
        """Whether it says so itself."""
        heard = _with("listening", self.written)
        if not heard:
            return False
        names = {"public", "private", "internal", "probes"}
        self.ports = {name: port for name, port in heard[-1].items() if name in names}
        return self.probe("/readyz")[0] == 200


def _with(message: str, log: str) -> list[dict[str, Any]]:
    whole, _, _ = log.rpartition("\n")
    read = [json.loads(line) for line in whole.splitlines() if line.startswith("{")]
    return [line for line in read if line["message"] == message]
