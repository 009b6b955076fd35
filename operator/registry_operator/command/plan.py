"""`kubectl roadstead plan`: what would a change, or an upgrade of the operator, do. docs/plan.md."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

from registry_operator.cluster import Cluster
from registry_operator.cluster.resources import ACCESS_TOKENS, CLAIMS, DEPLOYMENTS, REGISTRIES, Resource
from registry_operator.command.connection import FINE, WRONG, Connection
from registry_operator.command.printing import FORMATS, Printer, diff_colour
from registry_operator.errors import NotFound, NotPermitted, OperatorError
from registry_operator.models import Key
from registry_operator.plan import manifests, rehearse
from registry_operator.plan.changes import Change
from registry_operator.plan.intent import Asked
from registry_operator.plan.outcome import Plan
from registry_operator.settings import Settings

HELP = "what would a change do, or an upgrade of the operator, before it is applied"
CHANGES = 3  # exit code with --exit-code
OPERATOR = "roadstead-operator"
EFFECTS = ("delete", "roll", "lost-access", "condition")
_KINDS: dict[str, Resource] = {
    **dict.fromkeys(("registry", "registries", "reg"), REGISTRIES),
    **dict.fromkeys(("namespace", "namespaces", "rns"), CLAIMS),
    **dict.fromkeys(("accesstoken", "accesstokens", "at"), ACCESS_TOKENS),
}
_SIGNS = {"create": ("+", "green"), "change": ("~", "yellow"), "delete": ("-", "red")}


def describe(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-f", "--filename", action="append", default=[], help="a file, a folder, or - (repeatable)")
    add("--delete", action="append", default=[], metavar="KIND/[NAMESPACE/]NAME", help="would be deleted")
    add(
        "--prune",
        action="store_true",
        help="what no file has, in the Kubernetes namespaces of the files, would be deleted",
    )
    add(
        "--upgrade",
        action="store_true",
        help="what would the operator of this command's version do with all that there is",
    )
    add("--image", help="the runtime's image [the installed operator's RUNTIME_IMAGE]")
    add("--operator-namespace", default="roadstead-system", help="[%(default)s]")
    add("--field-manager", default="", help="who would apply [who did last, else kubectl]")
    add("--refuse", default="", metavar="EFFECTS", help=f"exit 1 with any of {','.join(EFFECTS)}")
    add("--exit-code", action="store_true", help=f"exit {CHANGES} where something changes")
    add("-o", "--output", choices=FORMATS, default="text", help="[%(default)s]")


def misuse(options: argparse.Namespace) -> str:
    """What is wrong with the command line; "" where nothing is."""
    if not (options.filename or options.delete or options.upgrade):
        return "name what changes: -f, --delete or --upgrade"
    if options.prune and not options.filename:
        return "--prune needs -f: it deletes what the files do not have"
    wrong = [one for one in _words(options.refuse) if one not in EFFECTS]
    if wrong:
        return f"--refuse {','.join(wrong)}: must be of {', '.join(EFFECTS)}"
    bad = [one for one in options.delete if one.partition("/")[0].lower() not in _KINDS]
    return f"--delete {bad[0]}: must begin with registry/, namespace/ or accesstoken/" if bad else ""


async def run(options: argparse.Namespace, printer: Printer) -> int:
    """0 also where something changes; 1 where it would be refused, or has an effect that is."""
    connection = Connection.open(options)
    async with connection.cluster() as cluster:
        settings = await _settings(cluster, options)
    try:
        declared = manifests.read(options.filename, sys.stdin, connection.namespace)
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"-f: {error}") from None
    asked = Asked(
        declared,
        deleted=tuple(_place(connection, one) for one in options.delete),
        everything=options.upgrade,
        prune=options.prune,
        manager=options.field_manager,
    )
    found = await rehearse.plan(connection.credentials, settings, asked, datetime.now(UTC))
    if options.output == "text":
        tell(found, printer)
    else:
        printer.document(found.document(), options.output)
    return code(found, options)


def code(found: Plan, options: argparse.Namespace) -> int:
    """The exit code."""
    if found.refused or found.effects & set(_words(options.refuse)):
        return WRONG
    return CHANGES if options.exit_code and found.changes else FINE


def tell(found: Plan, printer: Printer) -> None:
    """For people: what changes, whom it concerns, and what cannot be."""
    for one in found.changes:
        _change(one, printer)
    _section(printer, "Pods", [(f"{one.registry}: {one.why}{_pods(one.pods)}", "") for one in found.rolls])
    for key, shift in (found.clients or {}).items():
        told = [(f"- {one.sentence}", "red") for one in shift.lost]
        told += [(f"+ {one.sentence}", "green") for one in shift.gained]
        _section(printer, f"Clients of {key}", [*told, *((f"~ {one}", "yellow") for one in shift.limits)])
    conditions = [
        (f"✗ {one.kind} {one.key}: {one.type}=False, {one.reason}: {one.message}", "red")
        for one in found.foreseen
    ]
    _section(printer, "Conditions", conditions)
    _section(printer, "Refused", [(f"✗ {one.place}: {one.message}", "red") for one in found.refused])
    _section(printer, "Notes", [(f"· {one}", "") for one in found.notes])
    printer.line(summary(found), "bold")


def summary(found: Plan) -> str:
    if found.refused:
        return f"Cannot be applied as it is: {len(found.refused)} refused."
    if not found.changes:
        return "Nothing changes."
    verbs = Counter(one.verb for one in found.changes)
    rolled = [one for one in found.rolls if one.why.startswith("roll")]
    pods, losing = sum(len(one.pods) for one in rolled), len({one.who for one in found.lost})
    return (
        f"{verbs['create']} to create, {verbs['change']} to change, {verbs['delete']} to delete; "
        f"{_count(len(rolled), 'Registry', 'Registries')} {'rolls' if len(rolled) == 1 else 'roll'} "
        f"({_count(pods, 'pod')}); {_count(losing, 'client')} {'loses' if losing == 1 else 'lose'} access."
    )


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def _change(one: Change, printer: Printer) -> None:
    sign, colour = _SIGNS[one.verb]
    printer.line(f"{sign} {one.kind} {one.key}{f' ({one.note})' if one.note else ''}", colour)
    for line in one.diff:
        printer.line("⋮" if line.startswith("@@") else line, diff_colour(line), indent=4)


def _section(printer: Printer, title: str, lines: list[tuple[str, str]]) -> None:
    if lines:
        printer.line()
        printer.line(title, "bold")
        for text, colour in lines:
            printer.line(text, colour, indent=2)
        printer.line()


def _pods(pods: tuple[tuple[str, str], ...]) -> str:
    told = ", ".join(f"{pod} ({zone or 'no zone'})" for pod, zone in pods)
    return f": {told}" if told else ""


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _place(connection: Connection, text: str) -> tuple[Resource, Key]:
    kind, _, name = text.partition("/")
    return _KINDS[kind.lower()], connection.key(name)


async def _settings(cluster: Cluster, options: argparse.Namespace) -> Settings:
    """Those of the operator that is installed. Raises OperatorError where nothing says the image."""
    namespace = options.operator_namespace
    try:
        deployment = await cluster.get(DEPLOYMENTS, namespace, OPERATOR)
    except (NotFound, NotPermitted) as error:
        if not options.image:
            raise OperatorError(
                f"{error.message}; name the runtime's image by --image, or the operator's namespace"
            ) from None
        return replace(Settings(options.image), namespace=namespace)
    pod = deployment["spec"]["template"]["spec"]
    said = {one["name"]: one["value"] for one in pod["containers"][0].get("env") or () if "value" in one}
    account = pod.get("serviceAccountName", OPERATOR)
    environ = {"OPERATOR_NAMESPACE": namespace, "SERVICE_ACCOUNT": account, **said}
    return Settings.read(environ | ({"RUNTIME_IMAGE": options.image} if options.image else {}))
