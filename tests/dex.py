"""A real provider of OpenID Connect on the loopback, with TLS: Dex, which forgets all when it ends."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

from local_cluster.parts import Parts
from tests.certificates import Authority
from tests.s3_server import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

ANNA = "anna@example.test"
GROUP = "authors"  # of who logs in by the connector `mock`
PASSWORD = "password"
_HASH = "$2a$10$2b2cU8CPhOTaGrs1HRQuAueS7JTT5ZHsHSzYiFPm1leZck7Mc8T4W"
_BACK = "http://127.0.0.1:1/back"  # where a browser would be sent, and nobody goes
_START_SECONDS = 20.0


@dataclass
class Dex:
    """`issuer` is its name; `client_id` of a token is its audience."""

    folder: Path
    authority: Authority
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def issuer(self) -> str:
        return f"https://127.0.0.1:{self.port}/dex"

    def start(self) -> None:
        """With new keys, each time."""
        file = self.folder / "dex.json"
        file.write_text(json.dumps(self._config()))
        parts = Parts(Path(os.environ.get("ROADSTEAD_CACHE", Path.home() / ".cache" / "roadstead")))
        with (self.folder / "dex.log").open("ab") as log:
            self.process = subprocess.Popen(
                [parts.binary("dex"), "serve", file], stdout=log, stderr=subprocess.STDOUT
            )
        ends = time.monotonic() + _START_SECONDS
        while not self._answers():
            assert self.process.poll() is None, (self.folder / "dex.log").read_text()
            assert time.monotonic() < ends, (self.folder / "dex.log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def by_password(self, client_id: str = "registry", user: str = ANNA) -> str:
        """An ID token by OAuth 2.0's password grant, as a command line asks for one."""
        asked = {"grant_type": "password", "scope": "openid email", "username": user, "password": PASSWORD}
        return str(self._exchange(client_id, asked)["id_token"])

    def by_browser(self, client_id: str = "registry") -> str:
        """An ID token with groups by the code flow: each redirect is followed, up to our own door."""
        asked = {"client_id": client_id, "redirect_uri": _BACK, "response_type": "code"}
        url = f"{self.issuer}/auth/mock?{urlencode({**asked, 'scope': 'openid email groups'})}"
        while not url.startswith(_BACK):
            try:
                with self._opener().open(url, timeout=10) as answer:
                    raise AssertionError(f"{url} sends nobody on: {answer.read()!r}")
            except urllib.error.HTTPError as error:
                url = urljoin(url, error.headers["Location"])
        code = parse_qs(urlsplit(url).query)["code"][0]
        asked = {"grant_type": "authorization_code", "code": code, "redirect_uri": _BACK}
        return str(self._exchange(client_id, asked)["id_token"])

    def _exchange(self, client_id: str, form: dict[str, str]) -> dict[str, Any]:
        content = urlencode({**form, "client_id": client_id, "client_secret": "secret"}).encode()
        with self._opener().open(f"{self.issuer}/token", content, timeout=10) as answer:
            read: dict[str, Any] = json.load(answer)
        return read

    def _answers(self) -> bool:
        try:
            with self._opener().open(f"{self.issuer}/.well-known/openid-configuration", timeout=5):
                return True
        except OSError:
            return False

    def _opener(self) -> urllib.request.OpenerDirector:
        trust = ssl.create_default_context(cafile=str(self.authority.file))
        return urllib.request.build_opener(urllib.request.HTTPSHandler(context=trust), _NotFollowed())

    def _config(self) -> dict[str, Any]:
        tls = self.authority.issue(self.folder / "tls", "127.0.0.1")
        clients = ("registry", "another")
        return {
            "issuer": self.issuer,
            "storage": {"type": "memory"},
            "web": {
                "https": f"127.0.0.1:{self.port}",
                "tlsCert": str(tls / "tls.crt"),
                "tlsKey": str(tls / "tls.key"),
            },
            "oauth2": {"skipApprovalScreen": True, "passwordConnector": "local"},
            "connectors": [{"type": "mockCallback", "id": "mock", "name": "mock"}],
            "enablePasswordDB": True,
            "staticPasswords": [
                {"email": user, "username": user, "userID": user, "hash": _HASH}
                for user in (ANNA, "eve@example.test")
            ],
            "staticClients": [
                {"id": name, "name": name, "secret": "secret", "redirectURIs": [_BACK]} for name in clients
            ],
        }


class _NotFollowed(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """A redirect is an HTTPError with a Location."""


@contextmanager
def dex(folder: Path) -> Iterator[Dex]:
    """A provider that is up; it keeps its port when it is started again."""
    running = Dex(folder, Authority(folder / "ca"), free_port())
    try:
        running.start()
        yield running
    finally:
        running.stop()
