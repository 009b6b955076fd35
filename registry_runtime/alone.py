"""The registry alone: on a directory, without Kubernetes."""

from __future__ import annotations

import argparse
import ipaddress
from pathlib import Path

from pydantic import ValidationError

from registry_runtime.contract.config import (
    DirectoryStorage,
    Encryption,
    Limits,
    Listeners,
    PolicySource,
    RuntimeConfig,
)
from registry_runtime.contract.policy import Action, Grant, KeyUse, Policy, Sparse
from registry_runtime.server import Surroundings

_NAME = "roadstead/alone"
_HIGHEST_PORT = 65535
_EVERYTHING = Policy(anonymous=(Grant(repositories=("**",), actions=frozenset(Action)),))


class Misused(Exception):
    """Options that cannot be served together; the sentence says which."""


def add_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("alone, with --data")
    group.add_argument("--listen", default="127.0.0.1:5000", metavar="HOST:PORT", help="[%(default)s]")
    group.add_argument("--policy", type=Path, metavar="FILE", help="who may do what; followed as it changes")
    group.add_argument(
        "--sparse-images",
        action="store_true",
        help="without --policy: an image's manifest may name blobs that are not there",
    )
    group.add_argument(
        "--complete-indexes",
        action="store_true",
        help="without --policy: an index may name only manifests that are there",
    )
    group.add_argument("--encryption-keys", type=Path, metavar="DIR", help="files of 32 bytes, one a key")
    group.add_argument("--active-key", metavar="NAME", help="without --policy: the key that encrypts")
    group.add_argument("--tls-cert", type=Path, metavar="FILE")
    group.add_argument("--tls-key", type=Path, metavar="FILE")
    group.add_argument("--probes", type=int, metavar="PORT", help="/livez, /readyz and /metrics")
    group.add_argument(
        "--anybody-may-do-everything",
        action="store_true",
        help="without --policy also on an address that others reach",
    )


def configuration(options: argparse.Namespace) -> RuntimeConfig:
    """Raises Misused."""
    host, port = _address(options.listen)
    if options.policy is None and not options.anybody_may_do_everything and not _is_loopback(host):
        raise Misused(
            f"--listen {options.listen} is reached by others and anybody may do everything: name a --policy, "
            "or say --anybody-may-do-everything"
        )
    _check_directory(options.data)
    listeners = Listeners(address=host, public=port, private=None, internal=None, probes=options.probes)
    return kept_in(options.data).model_copy(
        update={
            "hosts": (f"{host}:{port}", "localhost", "127.0.0.1", "[::1]"),
            "listeners": listeners,
            "encryption": None
            if options.encryption_keys is None
            else Encryption(keys=options.encryption_keys),
            "limits": Limits(drain_seconds=5),
        }
    )


def kept_in(directory: Path) -> RuntimeConfig:
    """What must be known of a registry alone to work on its directory."""
    return RuntimeConfig(
        registry=_NAME,
        owner=_NAME,
        hosts=("localhost",),
        storage=DirectoryStorage(path=directory.absolute()),
        policy=PolicySource(directory=Path(), secrets=()),
    )


def surroundings(options: argparse.Namespace) -> Surroundings:
    """Raises Misused."""
    if (options.tls_cert is None) != (options.tls_key is None):
        raise Misused("--tls-cert and --tls-key belong together")
    certificate = (options.tls_cert, options.tls_key) if options.tls_cert is not None else None
    if (options.encryption_keys is None) != (options.active_key is None) and options.policy is None:
        raise Misused("--encryption-keys and --active-key belong together")
    sparse = Sparse(indexes=not options.complete_indexes, images=options.sparse_images)
    if options.policy is None:
        use = None
        if options.active_key is not None:
            use = KeyUse(active=options.active_key, settled=True, turn=options.active_key)
        policy = _EVERYTHING.model_copy(update={"sparse": sparse, "encryption": use})
        return Surroundings(policy=policy, certificate=certificate)
    if sparse != Sparse() or options.active_key is not None:
        raise Misused("--sparse-images, --complete-indexes, --active-key: the --policy says it")
    _check_policy(options.policy)
    return Surroundings(shards={str(options.policy): options.policy}, certificate=certificate)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (host and port.isascii() and port.isdigit() and int(port) <= _HIGHEST_PORT):
        raise Misused(f"--listen {text}: say it as HOST:PORT")
    return ("127.0.0.1" if host == "localhost" else host), int(port)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        raise Misused(f"--listen: {host} is no IP address") from None


def _check_directory(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Misused(f"--data: cannot have the directory {directory}: {error.strerror}") from error


def _check_policy(file: Path) -> None:
    try:
        Policy.decode(file.read_bytes())
    except OSError as error:
        raise Misused(f"--policy: cannot read {file}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise Misused(f"--policy: {file}: {where}: {first['msg']}") from error
    except ValueError as error:
        raise Misused(f"--policy: {file}: {error}") from error
