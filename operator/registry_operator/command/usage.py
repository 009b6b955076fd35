"""`kubectl roadstead usage`: who uses a Registry, as far as it is known.

Known is what the replicas tell of AccessTokens. What is not measured is said, and not made up.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta
from typing import Any

from registry_operator.command.connection import FINE, Connection
from registry_operator.command.printing import FORMATS, Printer
from registry_operator.models import AccessToken
from registry_operator.models.base import format_time
from registry_operator.why.look import look

HELP = "AccessTokens by their last use, uses left and end; which ones nobody uses"
NOT_TRACKED = (
    "Not told here: bytes stored and transferred, pulls of an image, logins by ID token. "
    "Single requests are in the audit records of the replicas (docs/audit.md)."
)
Object = dict[str, Any]


def describe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("registry", nargs="?", metavar="[NAMESPACE/]REGISTRY", help="of one [of all]")
    parser.add_argument(
        "--unused", type=int, metavar="DAYS", help="only AccessTokens that nobody used for so many days"
    )
    parser.add_argument("-o", "--output", choices=FORMATS, default="text", help="[%(default)s]")


def misuse(options: argparse.Namespace) -> str:
    """What is wrong with the command line; "" where nothing is."""
    return "--unused: days are 0 or more" if options.unused is not None and options.unused < 0 else ""


async def run(options: argparse.Namespace, printer: Printer) -> int:
    connection = Connection.open(options)
    async with connection.cluster() as cluster:
        seen = await look(cluster, connection.namespace)
    tokens = sorted(seen.tokens.values(), key=lambda one: one.key)
    if options.registry:
        key = connection.key(options.registry.removeprefix("registry/"))
        tokens = [one for one in tokens if key in one.registries]
    if options.namespace:
        tokens = [one for one in tokens if one.key.namespace == options.namespace or options.registry]
    if options.unused is not None:
        since = datetime.now(UTC) - timedelta(days=options.unused)
        tokens = [one for one in tokens if is_unused(one, since)]
    documents = [document(one) for one in tokens]
    if options.output != "text":
        printer.document({"accessTokens": documents, "notTracked": NOT_TRACKED}, options.output)
        return FINE
    tell(documents, printer)
    return FINE


def is_unused(token: AccessToken, since: datetime) -> bool:
    """Since then nobody used it, and it was there."""
    last = token.status.last_used_at
    return token.meta.created <= since and (last is None or last < since)


def document(token: AccessToken) -> Object:
    """What is known of its use; None is never, or not limited."""
    status = token.status
    return {
        "accessToken": str(token.key),
        "registries": [str(key) for key in token.registries],
        "lastUsedAt": status.last_used_at and format_time(status.last_used_at),
        "usesLeft": status.uses_left,
        "expiresAt": token.expires and format_time(token.expires),
        "suspended": token.spec.suspended,
    }


def tell(documents: list[Object], printer: Printer) -> None:
    if documents:
        rows = [("ACCESSTOKEN", "LAST USED", "USES LEFT", "ENDS", "")]
        rows += [
            (
                one["accessToken"],
                one["lastUsedAt"] or "never",
                "" if one["usesLeft"] is None else str(one["usesLeft"]),
                one["expiresAt"] or "never",
                "suspended" if one["suspended"] else "",
            )
            for one in documents
        ]
        printer.table(rows)
    else:
        printer.line("There is no such AccessToken.")
    printer.line()
    printer.line(NOT_TRACKED, "faint")
