"""`kubectl roadstead status`: all Registries as a table, or one with all that it has as a tree."""

from __future__ import annotations

import argparse
from typing import Any

from registry_operator.command.connection import FINE, WRONG, Connection
from registry_operator.command.printing import FORMATS, Printer
from registry_operator.errors import NotFound
from registry_operator.models import AccessToken, Key, Namespace, OwnStatus, Registry
from registry_operator.why.look import look
from registry_operator.why.seen import Seen

HELP = "all Registries, or one with its conditions, zones, Namespaces and AccessTokens"
MARKS = {"True": ("✓", "green"), "False": ("✗", "red"), "Unknown": ("?", "yellow")}
_QUIET = frozenset({"Reconciling", "Stalled"})  # they say what Ready says
_BAD_WHEN_TRUE = frozenset({"Expiring"})
Object = dict[str, Any]


def describe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("registry", nargs="?", metavar="[NAMESPACE/]REGISTRY", help="one of them [all]")
    parser.add_argument("-o", "--output", choices=FORMATS, default="text", help="[%(default)s]")


async def run(options: argparse.Namespace, printer: Printer) -> int:
    """0 where what is shown is Ready; 1 where not."""
    connection = Connection.open(options)
    async with connection.cluster() as cluster:
        seen = await look(cluster, connection.namespace)
    if options.registry is None:
        wanted = [one for _, one in sorted(seen.registries.items())]
        if options.namespace:
            wanted = [one for one in wanted if one.key.namespace == options.namespace]
    else:
        key = connection.key(options.registry.removeprefix("registry/"))
        if key not in seen.registries:
            raise NotFound(f"there is no Registry {key} that you may see")
        wanted = [seen.registries[key]]
    documents = [tree(seen, one) for one in wanted]
    if options.output != "text":
        printer.document(documents if options.registry is None else documents[0], options.output)
    elif options.registry is None:
        tell_all(documents, printer)
    else:
        tell(documents[0], printer)
    for hidden in sorted(seen.hidden) if options.output == "text" else ():
        printer.line(f"· you may not list {hidden} of all namespaces: there may be more", "yellow")
    return FINE if all(one["ready"] for one in documents) else WRONG


def tree(seen: Seen, registry: Registry) -> Object:
    """All that is known of a Registry, and of what names it."""
    status = registry.status
    claims = sorted((one for one in seen.namespaces if one.registry == registry.key), key=lambda one: one.key)
    tokens = sorted((one for one in seen.tokens.values() if registry.key in one.registries), key=_key)
    return {
        "registry": str(registry.key),
        "ready": is_ready(registry),
        "reason": _reason(status),
        "endpoints": [status.endpoints.public, status.endpoints.private] if status.endpoints else [],
        "replicas": {
            "wanted": status.desired_replicas or registry.spec.replicas,
            "serving": status.ready_replicas,
        },
        "zones": dict(sorted(status.zones.items())),
        "policy": {
            "revision": status.policy_revision,
            "acknowledgedBy": len(status.policy_acknowledged_by),
        },
        "conditions": conditions(status),
        "namespaces": [_of(one, one.spec.name) for one in claims],
        "accessTokens": [_of(one, one.meta.name) for one in tokens],
    }


def _key(one: AccessToken) -> Key:
    return one.key


def is_ready(one: Registry | Namespace | AccessToken) -> bool:
    """In this generation."""
    ready = one.status.condition("Ready")
    return ready is not None and ready.status == "True" and ready.observed_generation == one.meta.generation


def conditions(status: OwnStatus) -> list[Object]:
    return [
        {"type": one.type, "status": one.status, "reason": one.reason, "message": one.message}
        for one in status.conditions
        if one.type not in _QUIET
    ]


def tell_all(documents: list[Object], printer: Printer) -> None:
    """A line a Registry."""
    if not documents:
        printer.line("There is no Registry.")
        return
    rows = [("REGISTRY", "READY", "REPLICAS", "ZONES", "NAMESPACES", "TOKENS", "REASON")]
    rows += [
        (
            one["registry"],
            "yes" if one["ready"] else "no",
            f"{one['replicas']['serving']}/{one['replicas']['wanted']}",
            str(sum(count > 0 for count in one["zones"].values())),
            str(len(one["namespaces"])),
            str(len(one["accessTokens"])),
            one["reason"],
        )
        for one in documents
    ]
    printer.table(rows)


def tell(one: Object, printer: Printer) -> None:
    """The tree of one Registry."""
    mark, colour = MARKS["True" if one["ready"] else "False"]
    printer.line(f"{mark} Registry {one['registry']}", colour)
    printer.lines(one["endpoints"], indent=4)
    zones = ", ".join(f"{zone or 'no zone'}: {count}" for zone, count in one["zones"].items())
    replicas = one["replicas"]
    printer.line(
        f"replicas {replicas['serving']}/{replicas['wanted']}{f' ({zones})' if zones else ''}", indent=4
    )
    policy = one["policy"]
    if policy["revision"]:
        printer.line(
            f"policy {policy['revision']}, in force in {policy['acknowledgedBy']} replicas", indent=4
        )
    for condition in one["conditions"]:
        tell_condition(condition, printer, 4)
    for title, kind in (("Namespaces", "namespaces"), ("AccessTokens", "accessTokens")):
        if one[kind]:
            printer.line(title, "bold", 2)
        for each in one[kind]:
            mark, colour = MARKS["True" if each["ready"] else "False"]
            printer.line(f"{mark} {each['name']} ({each['resource']})", colour, 4)
            for condition in each["conditions"] if not each["ready"] else ():
                if condition["status"] != "True":
                    tell_condition(condition, printer, 8)


def tell_condition(one: Object, printer: Printer, indent: int) -> None:
    """Its reason; its sentence where it is not as it should be."""
    good = (
        one["status"] if one["type"] not in _BAD_WHEN_TRUE else {"True": "False"}.get(one["status"], "True")
    )
    mark, colour = MARKS[good]
    message = f": {one['message']}" if good != "True" and one["message"] else ""
    printer.line(f"{mark} {one['type']}: {one['reason']}{message}", colour, indent)


def _of(one: Namespace | AccessToken, name: str) -> Object:
    return {
        "name": name,
        "resource": str(one.key),
        "ready": is_ready(one),
        "conditions": conditions(one.status),
    }


def _reason(status: OwnStatus) -> str:
    ready = status.condition("Ready")
    return ready.reason if ready is not None else "NotSeen"
