"""The policy in force: from mounted files at the start, from the Kubernetes API ever after."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from registry_runtime.auth.changes import changes
from registry_runtime.contract.policy import KEY, Claim, Policy, Token, number, text
from registry_runtime.kubernetes import ApiServer, Secret, SecretWatch
from registry_runtime.log import AUDIT, fields

_log = logging.getLogger(__name__)
Job = Callable[[], Coroutine[object, object, None]]
E = TypeVar("E", Claim, Token)
_REMEMBERED = 256  # contents of one shard, to tell an old file from a new one


@dataclass
class _Shard:
    file: Path
    watch: SecretWatch | None = None
    policy: Policy | None = None
    keyed: int = 0  # of the policy
    problem: str | None = None
    stamp: tuple[int, int] | None = None
    mounted: bytes = b""  # digest of what the file held when it was last looked into
    watched: dict[bytes, None] = field(default_factory=dict)  # digests of what the watch brought

    def remember(self, content: bytes) -> None:
        self.watched[_digest(content)] = None
        while len(self.watched) > _REMEMBERED:
            del self.watched[next(iter(self.watched))]

    def is_newer(self, content: bytes) -> bool:
        """Whether the file has changed to something that the watch did not bring before."""
        digest = _digest(content)
        before, self.mounted = self.mounted, digest
        return digest != before and digest not in self.watched


class PolicyFollower:
    """Holds the merge of all shards. Before each was read once, nobody may do anything.

    `shards` are the Secrets' names, in the order of the merge, with the file that is mounted of each.
    What cannot be read is refused whole, and what was in force stays.
    """

    def __init__(
        self, shards: Mapping[str, Path], *, start: Policy | None, changed: Callable[[], None]
    ) -> None:
        """`start` is in force at once, and stays where there are no shards."""
        self._shards = {name: _Shard(file) for name, file in shards.items()}
        self._changed = changed
        self.refusals = 0
        self._policy = start if start is not None else Policy()
        self._revision = start.revision if start is not None else None
        self.since = time.time()

    def policy(self) -> Policy:
        return self._policy

    @property
    def revision(self) -> str | None:
        """None before every shard was read."""
        return self._revision

    @property
    def problem(self) -> str | None:
        """What is wrong with a shard that was refused."""
        problems = [f"{name}: {shard.problem}" for name, shard in self._shards.items() if shard.problem]
        return "; ".join(problems) or None

    @property
    def watched(self) -> bool:
        """Whether news of every shard would arrive now."""
        return all(one.watch is not None and one.watch.connected for one in self._shards.values())

    def watches(self, api: ApiServer, namespace: str) -> list[Job]:
        """One endless job for each Secret, to be run beside `poll`."""
        return [self._watching(name, SecretWatch(api, namespace, name)) for name in self._shards]

    def poll(self) -> None:
        """Looks at the mounted files: cheap, to be called every second.

        The kubelet is slower than the watch, so a file counts only at the start, and while the watch
        is away; and then only with a content that the watch has not brought before.
        """
        for name, shard in self._shards.items():
            stamp = _stamp(shard.file)
            if stamp is None or stamp == shard.stamp:
                continue
            if shard.policy is not None and shard.watch is not None and shard.watch.connected:
                continue
            try:
                content = shard.file.read_bytes()
            except OSError:
                continue
            shard.stamp = stamp
            if shard.is_newer(content):
                self._take(name, content, "file")

    def _watching(self, name: str, watch: SecretWatch) -> Job:
        self._shards[name].watch = watch

        def changed(secret: Secret | None) -> None:
            content = secret.get(KEY) if secret is not None else None
            if content is None:
                _log.warning(
                    "the policy's Secret is empty or absent; what is known stays", extra=fields(secret=name)
                )
                return
            self._shards[name].remember(content)
            self._take(name, content, "watch")

        return lambda: watch.follow(changed)

    def _take(self, name: str, content: bytes, origin: str) -> None:
        shard = self._shards[name]
        try:
            read, problem = Policy.read(content)
            shard.keyed += _renew(read, shard.policy or Policy())
            shard.policy = read
        except ValueError as error:
            self._refused(name, _problem(error), "a policy is refused, the old one stays")
            self._changed()
            return
        shard.problem = None
        if problem is not None:
            self._refused(name, problem, "tokens of a policy are refused")
        self._merge(origin)

    def _refused(self, name: str, problem: str, sentence: str) -> None:
        self.refusals += 1
        self._shards[name].problem = problem
        told = {"secret": name, "problem": problem, "revision": self._revision}
        _log.error(sentence, extra=fields(**AUDIT, event="policy.refused", **told))

    def _merge(self, origin: str) -> None:
        known = tuple(shard.policy for shard in self._shards.values() if shard.policy is not None)
        if len(known) == len(self._shards):
            policy = Policy.merge(known)
            revision = policy.revision_with(self._keyed(policy, known))
            if revision != self._revision:
                told = {"revision": revision, "before": self._revision, "origin": origin}
                told |= changes(self._policy, policy)
                self._policy, self._revision, self.since = policy, revision, time.time()
                _log.info("a policy is in force", extra=fields(**AUDIT, event="policy", **told))
        self._changed()

    def _keyed(self, policy: Policy, parts: Iterable[Policy]) -> int:
        """The parts' sum, unless a name stands in two of them, of which only one counts."""
        if policy.size == sum(part.size for part in parts):
            return sum(shard.keyed for shard in self._shards.values())
        return policy.keyed()


def _renew(read: Policy, before: Policy) -> int:
    """Puts what stands in both in place of what was read; by how much the number of all entries is another.

    Of thousands of tokens one has changed: only that one is hashed, and who compares sees the same objects.
    """
    return _renew_kind("namespaces", read.namespaces, before.namespaces) + _renew_kind(
        "tokens", read.tokens, before.tokens
    )


def _renew_kind(kind: str, read: dict[str, E], before: dict[str, E]) -> int:
    more = -sum(number(kind, name, text(before[name])) for name in before.keys() - read.keys())
    for name, entry in read.items():
        was = before.get(name)
        if was == entry:
            read[name] = was
        else:
            more += number(kind, name, text(entry)) - (number(kind, name, text(was)) if was else 0)
    return more


def _problem(error: ValueError) -> str:
    """The first fault and its place; never the content, which holds hashes of passwords."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['type']}" if where else str(first["type"])


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
