"""How a verb reaches the cluster: by the caller's own kubeconfig, as kubectl does."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from registry_operator.cluster import Cluster, Credentials
from registry_operator.cluster.kubeconfig import namespace_of
from registry_operator.models import Key

FINE, WRONG, MISUSED = 0, 1, 2  # exit codes: as asked for; not so, or cannot be told; a wrong command line


@dataclass(frozen=True)
class Connection:
    """`namespace` is the Kubernetes namespace of what is named without one."""

    credentials: Credentials
    namespace: str

    @classmethod
    def open(cls, options: argparse.Namespace) -> Connection:
        """Raises Unavailable where there are no credentials."""
        found = Credentials.find(options.environ, options.kubeconfig, options.context)
        return cls(found, options.namespace or namespace_of(options.kubeconfig, options.context))

    def cluster(self) -> Cluster:
        return Cluster(self.credentials, lambda *_: None)

    def key(self, text: str) -> Key:
        """Of NAME or NAMESPACE/NAME."""
        first, slash, rest = text.partition("/")
        return Key(first, rest) if slash else Key(self.namespace, first)


def describe(parser: argparse.ArgumentParser) -> None:
    """What every verb takes, by the names that kubectl gives it."""
    parser.add_argument("-n", "--namespace", help="Kubernetes namespace [the context's]")
    parser.add_argument("--context", help="a context of the kubeconfig [the current one]")
    parser.add_argument("--kubeconfig", type=Path, help="[the usual one]")
