"""`kubectl roadstead login`: an AccessToken's password into the auth file of docker, podman and skopeo."""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from registry_operator.cluster.resources import ACCESS_TOKENS, REGISTRIES, SECRETS
from registry_operator.command.connection import FINE, Connection
from registry_operator.command.printing import Printer
from registry_operator.errors import NotFound, OperatorError
from registry_operator.models import AccessToken, Registry
from registry_operator.secrets import read

HELP = "log docker, podman or skopeo in as an AccessToken"
_HELPER = re.compile(r"^[A-Za-z0-9._-]+$")
_SECONDS = 30
Object = dict[str, Any]


def describe(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("token", metavar="[NAMESPACE/]TOKEN", help="an AccessToken")
    add("--private", action="store_true", help="the private domain, too")
    add("--auth-file", type=Path, help="[$REGISTRY_AUTH_FILE, $DOCKER_CONFIG/config.json, the usual one]")
    add("--print", action="store_true", help="nothing but the password, for `… --password-stdin`")


async def run(options: argparse.Namespace, printer: Printer) -> int:
    """Needs the right to read the password's Secret."""
    connection = Connection.open(options)
    async with connection.cluster() as cluster:
        key = connection.key(options.token.removeprefix("accesstoken/"))
        token = AccessToken.parse(await cluster.get(ACCESS_TOKENS, *key))
        values = read(await cluster.get(SECRETS, *token.secret)).values
        registries = [Registry.parse(await cluster.get(REGISTRIES, *one)) for one in token.registries]
    password = values.get("password", b"").decode()
    if not password:
        raise NotFound(f"Secret {token.secret} has no password yet: look at AccessToken {key}")
    if options.print:
        printer.line(password)
        return FINE
    user = values.get("username", token.meta.name.encode()).decode()
    place = options.auth_file or auth_file(options.environ)
    for host in [host for one in registries for host in hosts(one, private=options.private)]:
        where = store(place, host, user, password)
        printer.line(f"✓ {host}: logged in as {user} ({where})", "green")
    for bundle in {(one.key.namespace, one.status.ca_bundle) for one in registries if one.status.ca_bundle}:
        namespace, name = bundle
        printer.line(f"· its own CA, for clients to trust: ConfigMap {namespace}/{name}, key ca.crt")
    return FINE


def hosts(registry: Registry, *, private: bool) -> tuple[str, ...]:
    return (*registry.spec.public_hosts, *([registry.spec.private_host] if private else []))


def auth_file(environ: Mapping[str, str]) -> Path:
    """Where the clients look: podman's and skopeo's variable, docker's folder, docker's usual one.

    https://github.com/containers/image/blob/main/docs/containers-auth.json.5.md
    """
    if named := environ.get("REGISTRY_AUTH_FILE"):
        return Path(named)
    folder = environ.get("DOCKER_CONFIG")
    return (
        Path(folder) if folder else Path(environ.get("HOME", "~")).expanduser() / ".docker"
    ) / "config.json"


def store(place: Path, host: str, user: str, password: str) -> str:
    """By the credential helper that the file names, else in the file. Returns where. Raises OperatorError."""
    document = _read(place)
    helper = (document.get("credHelpers") or {}).get(host) or document.get("credsStore")
    if helper:
        _help(str(helper), host, user, password)
        return f"docker-credential-{helper}"
    entry = {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}
    _write(place, {**document, "auths": {**(document.get("auths") or {}), host: entry}})
    return str(place)


def _read(place: Path) -> Object:
    """Raises OperatorError for what would be destroyed by writing over it."""
    try:
        document = json.loads(place.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise OperatorError(f"{place}: cannot be read as an auth file: {type(error).__name__}") from None
    if not isinstance(document, dict) or not isinstance(document.get("auths") or {}, dict):
        raise OperatorError(f"{place}: is no auth file")
    return document


def _write(place: Path, document: Object) -> None:
    """At once, and for nobody else to read."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile("w", dir=place.parent, delete=False) as file:  # it is made 0600
            json.dump(document, file, indent="\t")
        Path(file.name).replace(place.resolve())
    except OSError as error:
        with suppress(OSError, UnboundLocalError):
            os.unlink(file.name)  # noqa: PTH108 - the name is all there is
        raise OperatorError(f"{place}: cannot be written: {error.strerror}") from None


def _help(helper: str, host: str, user: str, password: str) -> None:
    """The credential helpers' protocol: https://github.com/docker/docker-credential-helpers"""
    if not _HELPER.match(helper):
        raise OperatorError(f"credential helper {helper!r}: is no name of a program")
    asked = json.dumps({"ServerURL": host, "Username": user, "Secret": password})
    try:
        ran = subprocess.run(
            [f"docker-credential-{helper}", "store"],
            input=asked,
            text=True,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OperatorError(f"docker-credential-{helper}: {type(error).__name__}") from None
    if ran.returncode:
        raise OperatorError(f"docker-credential-{helper}: ended with {ran.returncode}")
