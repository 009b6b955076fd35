"""kubectl, as a user has it: apply files, read objects, wait."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quickstart.command import run
from quickstart.errors import CommandFailed, NotReady

Object = dict[str, Any]


@dataclass(frozen=True)
class Kubectl:
    """One cluster, by the kubeconfig of its administrator."""

    program: str
    kubeconfig: Path

    def __call__(self, *words: str, stdin: str | None = None, timeout: float = 300) -> str:
        return run(self.program, "--kubeconfig", str(self.kubeconfig), *words, stdin=stdin, timeout=timeout)

    def apply(self, *objects: Object) -> str:
        """Server-side apply of objects, Secrets included: they travel by standard input."""
        bundle = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        return self("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(bundle))

    def apply_file(self, path: Path) -> str:
        """Server-side apply of a file, or of a folder with a kustomization."""
        flag = "-k" if path.is_dir() else "-f"
        return self("apply", "--server-side", "--force-conflicts", flag, str(path))

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """The object, or None where there is none."""
        scope = ("--namespace", namespace) if namespace else ()
        text = self("get", kind, name, *scope, "--ignore-not-found", "--output", "json")
        found: Object | None = json.loads(text) if text.strip() else None
        return found

    def list(self, kind: str, *words: str) -> list[Object]:
        """Objects of a kind; `words` choose (a namespace, a selector)."""
        items: list[Object] = json.loads(self("get", kind, *words, "--output", "json"))["items"]
        return items

    def secret(self, name: str, namespace: str) -> dict[str, str]:
        """The decoded values of a Secret; empty where there is none."""
        found = self.get("secret", name, namespace) or {}
        return {key: base64.b64decode(value).decode() for key, value in found.get("data", {}).items()}

    def until(
        self,
        what: str,
        check: Callable[[], bool],
        *,
        seconds: float = 120,
        every: float = 0.2,
        why: Callable[[], str] | None = None,
    ) -> None:
        """Ask until `check` holds. Raises NotReady with what `why` tells."""
        deadline = time.monotonic() + seconds
        while not _holds(check):
            if time.monotonic() > deadline:
                raise NotReady(f"{what}: not after {seconds:g} s.\n{why() if why else ''}")
            time.sleep(every)

    def until_ready(self, kind: str, name: str, namespace: str, seconds: float = 120) -> None:
        """Until Ready=True is said of the generation that is there now."""
        self.until(
            f"{kind} {namespace}/{name} Ready",
            lambda: is_ready(self.get(kind, name, namespace)),
            seconds=seconds,
            why=lambda: sentences(self.get(kind, name, namespace)),
        )

    def until_rolled_out(self, names: Iterable[str], namespace: str, seconds: float = 120) -> None:
        """Until each Deployment has all its replicas, updated and available."""
        for name in names:
            self("rollout", "status", f"deployment/{name}", "-n", namespace, f"--timeout={seconds:g}s")


def conditions(found: Object | None) -> dict[str, Object]:
    """Conditions by type."""
    status = (found or {}).get("status", {})
    return {condition["type"]: condition for condition in status.get("conditions", [])}


def is_ready(found: Object | None) -> bool:
    """Whether Ready=True speaks of the object's present generation."""
    if not found or found.get("status", {}).get("observedGeneration") != found["metadata"].get("generation"):
        return False
    return conditions(found).get("Ready", {}).get("status") == "True"


def sentences(found: Object | None) -> str:
    """What the conditions say, a line each."""
    if not found:
        return "It does not exist."
    return "\n".join(
        f"  {kind}={condition['status']} {condition['reason']}: {condition.get('message', '')}"
        for kind, condition in conditions(found).items()
    )


def _holds(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except CommandFailed:
        return False  # the API server may be away for a moment
