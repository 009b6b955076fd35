"""`kubectl roadstead VERB`: also as `kubectl-roadstead` and `python -m registry_operator.command`."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, TextIO

from registry_operator.command import connection, login, plan, report, status, usage, verify, why
from registry_operator.command.connection import MISUSED, WRONG
from registry_operator.command.printing import Printer
from registry_operator.errors import NotPermitted, OperatorError


class Verb(NamedTuple):
    """`misuse` says what is wrong with a command line that argparse takes."""

    help: str
    describe: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, Printer], Awaitable[int]]
    misuse: Callable[[argparse.Namespace], str] = lambda _: ""


VERBS = {
    "status": Verb(status.HELP, status.describe, status.run),
    "plan": Verb(plan.HELP, plan.describe, plan.run, plan.misuse),
    "login": Verb(login.HELP, login.describe, login.run),
    "why": Verb(why.HELP, why.describe, why.run, why.misuse),
    "usage": Verb(usage.HELP, usage.describe, usage.run, usage.misuse),
    "verify": Verb(verify.HELP, verify.describe, verify.run, verify.misuse),
    "report": Verb(report.HELP, report.describe, report.run),
}


def main() -> int:
    """The console script."""
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return command(sys.argv[1:], Printer(sys.stdout, colour), sys.stderr, os.environ)


def command(arguments: Sequence[str], printer: Printer, errors: TextIO, environ: Mapping[str, str]) -> int:
    """0: fine. 1: not fine, or it cannot be told. 2: a wrong command line. Verbs may have more."""
    parser = parser_of()
    options = parser.parse_args(arguments)
    options.environ = environ
    verb = VERBS[options.verb]
    if wrong := verb.misuse(options):
        errors.write(f"kubectl roadstead {options.verb}: {wrong}\n")
        return MISUSED
    try:
        return asyncio.run(_run(verb, options, printer))
    except NotPermitted as error:
        errors.write(f"✗ you lack a right: {error.message}\n")
    except OperatorError as error:
        errors.write(f"✗ {error.message}\n")
    except KeyboardInterrupt:
        errors.write("interrupted\n")
    return WRONG


async def _run(verb: Verb, options: argparse.Namespace, printer: Printer) -> int:
    return await verb.run(options, printer)


def parser_of() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kubectl roadstead", description="Container registries by Roadstead."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, verb in VERBS.items():
        one = verbs.add_parser(name, help=verb.help, description=f"{verb.help[0].upper()}{verb.help[1:]}.")
        connection.describe(one)
        verb.describe(one)
    return parser


if __name__ == "__main__":
    sys.exit(main())
