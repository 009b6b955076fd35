"""`kubectl roadstead why`: why a pull was denied, or who may do what. docs/why.md."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator

from registry_operator.cluster import Cluster
from registry_operator.command.connection import Connection
from registry_operator.command.printing import Printer
from registry_operator.errors import OperatorError
from registry_operator.models import AccessToken, Key
from registry_operator.why import chain, decided, look, rights
from registry_operator.why.decided import Domain, Question
from registry_operator.why.image import Image
from registry_operator.why.rights import Step
from registry_operator.why.seen import Seen, names_of
from registry_runtime.contract.credential import token_id

HELP = "why a pull was denied, or who may do what"
_MARKS = {True: "✓", False: "✗", None: "·"}
_COLOURS = {True: "green", False: "red", None: ""}
_ACTIONS = ("pull", "push", "delete", "list")
_UNKNOWN = 2


def misuse(options: argparse.Namespace) -> str:
    """What is wrong with the command line; "" where nothing is."""
    return "--token needs --repository" if options.token and not options.repository else ""


async def run(options: argparse.Namespace, printer: Printer) -> int:
    """The exit code: 0 where it is allowed, 1 where not, 2 where that cannot be told."""
    connection = Connection.open(options)
    try:
        async with connection.cluster() as cluster:
            chains = await _chains(cluster, connection, options)
    except OperatorError as error:
        printer.line(f"{_MARKS[False]} {error.message}")
        return _UNKNOWN
    return tell(chains, printer)


def tell(chains: Iterable[Iterable[Step]], printer: Printer) -> int:
    """Prints them; the exit code. How a chain ends is what it says."""
    ends = []
    for steps in chains:
        end = None
        for step in steps:
            end = step.good
            printer.line(f"{_MARKS[step.good]} {step.text}", _COLOURS[step.good])
            for part, indent in ((step.remedy, 4), (step.yaml, 8)):
                printer.lines(part.splitlines(), indent)
        ends.append(end)
    if False in ends:
        return 1
    return 0 if ends and None not in ends else _UNKNOWN


async def _chains(
    cluster: Cluster, connection: Connection, options: argparse.Namespace
) -> list[Iterator[Step]]:
    if options.token is not None:
        key = connection.key(options.token)
        seen = await look.look(cluster, key.namespace)
        token, named = seen.tokens.get(key), seen.serving(Image.parse(options.repository))
        own = token.registries if token is not None else ()
        wanted = [seen.registries.get(one) for one in own] if named is None else [named]
        return _of_token(await look.policies(cluster, seen, wanted), key, options)
    if options.claim is not None:
        key = connection.key(options.claim)
        seen = await look.look(cluster, key.namespace)
        wanted = [seen.registries.get(one.registry) for one in seen.namespaces if one.key == key]
        return [_of_namespace(await look.policies(cluster, seen, wanted), key)]
    key = Key(connection.namespace, options.pod.removeprefix("pod/"))
    pod = await look.pod(cluster, key)
    seen = await look.look(cluster, key.namespace, [Key(key.namespace, name) for name in pod.pull_secrets])
    wanted = [seen.serving(Image.parse(one.image)) for one in pod.containers]
    return chain.of_pod(await look.policies(cluster, seen, wanted), pod)


def _of_token(seen: Seen, key: Key, options: argparse.Namespace) -> list[Iterator[Step]]:
    """In each of its Registries; in the one that the repository's host name names, where it has one."""
    token = seen.tokens.get(key)
    if token is None:
        return [iter([Step(False, f"there is no AccessToken {key} that you may see")])]
    named = seen.serving(Image.parse(options.repository))
    wanted = token.registries if named is None else (named.key,)
    return [_in_registry(seen, token, one, options) for one in wanted]


def _in_registry(seen: Seen, token: AccessToken, key: Key, options: argparse.Namespace) -> Iterator[Step]:
    registry = seen.registries.get(key)
    if registry is None:
        yield Step(None, f"you may not see Registry {key} of its spec.registryRefs")
        return
    image = Image.parse(options.repository)
    by_host = image.hostname in names_of(registry)
    repository = image.repository if by_host else options.repository
    domain: Domain = "private" if options.private else "public"
    if by_host:
        domain = chain.domain_of(registry, image.hostname)
    yield Step(None, f"AccessToken {token.key} in Registry {registry.key}, by its {domain} domain")
    known = decided.known(seen, registry)
    asked = Question(registry, known, domain, repository, options.action, options.address)
    yield from rights.of_token(seen, asked, token_id(token.meta.uid))


def _of_namespace(seen: Seen, key: Key) -> Iterator[Step]:
    namespace = next((one for one in seen.namespaces if one.key == key), None)
    if namespace is None:
        yield Step(False, f"there is no Namespace (rns) {key} that you may see")
        return
    yield from rights.of_namespace(seen, namespace)


def describe(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("pod", nargs="?", metavar="pod/NAME", help="why its images can be pulled, or cannot")
    what.add_argument("--token", metavar="[NAMESPACE/]NAME", help="an AccessToken; with --repository")
    what.add_argument(
        "--claim", metavar="[NAMESPACE/]NAME", help="a Namespace (rns): is it bound, who has it"
    )
    parser.add_argument("--repository", metavar="[HOST/]NAME", help="such as harbour.example.com/team/app")
    parser.add_argument("--action", choices=_ACTIONS, default="pull", help="[%(default)s]")
    parser.add_argument("--private", action="store_true", help="by the private domain")
    parser.add_argument("--address", default="", help="from which the request comes; default: not judged")
