"""`python -m registry_runtime`: serves, in a pod or alone on a directory; or collects, or empties."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import uvloop
from pydantic import ValidationError

from registry_runtime import alone, errand, log
from registry_runtime.api.access import AccessLog
from registry_runtime.auth.gate import CLOCK_SKEW
from registry_runtime.auth.tokens import Bearers
from registry_runtime.contract.config import RuntimeConfig
from registry_runtime.emptying import EmptyingPod
from registry_runtime.kubernetes import ApiServer
from registry_runtime.listener import ListenError
from registry_runtime.server import Replica, Surroundings, TracingUnavailable
from registry_runtime.tls import CertificateInvalid

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_MISUSED = 2


class ConfigInvalid(Exception):
    """The configuration cannot be served; the sentence says the field and the remedy."""


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """The exit code: 0 after a drain, 2 with one sentence where the configuration is wrong."""
    options = _parser().parse_args(arguments)
    try:
        if options.verb == "collect":
            return _collect(options)
        if options.verb == "empty":
            return _empty(_configured(options.config), _surroundings(environment))
        if options.config is not None:
            config, surroundings = _configured(options.config), _surroundings(environment)
        else:
            config, surroundings = alone.configuration(options), alone.surroundings(options)
        bearers = _bearers(config)
        lines = log.configure()
        replica = Replica(config, surroundings, bearers, AccessLog(lines))
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_serve(replica))
        finally:
            lines.flush()
    except (ConfigInvalid, alone.Misused, CertificateInvalid, ListenError, TracingUnavailable) as error:
        sys.stderr.write(f"registry_runtime: {error}\n")
        return _MISUSED
    return 0


def _collect(options: argparse.Namespace) -> int:
    """The exit code: 0 with the receipt on standard output, 1 with a sentence where there is none."""
    config = _configured(options.config) if options.config else alone.kept_in(options.data)
    work = errand.collect(config, preview=options.preview, audit=options.audit)
    try:
        sys.stdout.write(json.dumps(asyncio.run(work), indent=2) + "\n")
    except errand.Failed as failed:
        sys.stderr.write(f"registry_runtime: {failed}\n")
        return 1
    return 0


def _empty(config: RuntimeConfig, surroundings: Surroundings) -> int:
    lines = log.configure()
    try:
        asyncio.run(_serve(EmptyingPod(config, surroundings.replica, surroundings.zone)))
    finally:
        lines.flush()
    return 0


async def _serve(pod: Replica | EmptyingPod) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await pod.run(stop)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m registry_runtime", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB", dest="verb")
    serve = verbs.add_parser("serve", help="serve a registry until SIGTERM")
    _add_source(serve)
    alone.add_options(serve)
    collect = verbs.add_parser(
        "collect", help="take what nothing refers to and is past its grace; the receipt as JSON"
    )
    _add_source(collect)
    collect.add_argument("--preview", action="store_true", help="only say what would be done")
    collect.add_argument("--audit", action="store_true", help="and compare the data with the pointers")
    empty = verbs.add_parser(
        "empty", help="delete all content of a Registry that goes, and tell how far it is until SIGTERM"
    )
    empty.add_argument("--config", type=Path, metavar="FILE", required=True, help="RuntimeConfig as JSON")
    return parser


def _add_source(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--config", type=Path, metavar="FILE", help="RuntimeConfig as JSON, in a pod")
    source.add_argument("--data", type=Path, metavar="DIR", help="everything is in this directory, alone")


def _configured(file: Path) -> RuntimeConfig:
    try:
        return RuntimeConfig.model_validate_json(file.read_bytes())
    except OSError as error:
        raise ConfigInvalid(f"--config: cannot read {file}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise ConfigInvalid(f"--config: {file}: {where}: {first['msg']}") from error


def _bearers(config: RuntimeConfig) -> Bearers:
    if config.signing_key is None:
        return Bearers.generate(config.registry)
    seconds = config.limits.bearer_seconds + CLOCK_SKEW
    try:
        return Bearers.load(config.registry, config.signing_key.read_bytes(), seconds)
    except OSError as error:
        raise ConfigInvalid(f"signing_key: cannot read {config.signing_key}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigInvalid(f"signing_key: {config.signing_key}: {error}") from error


def _surroundings(environment: Mapping[str, str]) -> Surroundings:
    host = environment.get("KUBERNETES_SERVICE_HOST")
    api = None
    if host is not None:
        port = environment.get("KUBERNETES_SERVICE_PORT", "443")
        host = f"[{host}]" if ":" in host else host
        api = ApiServer(f"https://{host}:{port}", _ACCOUNT / "token", _ACCOUNT / "ca.crt")
    return Surroundings(environment.get("POD_NAME", ""), _zone(environment), api)


def _zone(environment: Mapping[str, str]) -> str:
    """The node's zone: a label that the downward API wrote into a file, or a variable."""
    file = environment.get("ZONE_FILE")
    if file is not None and Path(file).is_file():
        return Path(file).read_text().strip()
    return environment.get("ZONE", "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
