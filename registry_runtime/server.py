"""One replica: its listeners, what it follows, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from registry_runtime import app, gauges, issuers
from registry_runtime.activity import ActivityBoard
from registry_runtime.api.access import AccessLog
from registry_runtime.api.activity import Activities
from registry_runtime.api.admission import Admission
from registry_runtime.api.health import Health
from registry_runtime.api.host import Hosts
from registry_runtime.api.state import States
from registry_runtime.api.trace import ENDPOINT, SECURE
from registry_runtime.api.why import Whys
from registry_runtime.auth.gate import Gate
from registry_runtime.auth.identity import Endpoint
from registry_runtime.auth.signing import SigningKeyFile
from registry_runtime.auth.throttle import Throttle
from registry_runtime.auth.tokens import Bearers
from registry_runtime.auth.vouching import Vouching
from registry_runtime.collecting import Collecting
from registry_runtime.contract.config import RuntimeConfig
from registry_runtime.contract.policy import KEY, Policy
from registry_runtime.contract.state import StorageReason, StorageState
from registry_runtime.encryption.keys import Keyring
from registry_runtime.encryption.vault import Vault
from registry_runtime.kubernetes import ApiServer, ServiceAccounts
from registry_runtime.listener import Listener
from registry_runtime.log import fields
from registry_runtime.metrics import Metrics
from registry_runtime.policy import Job, PolicyFollower
from registry_runtime.repository import Registry
from registry_runtime.rotation import Rotation
from registry_runtime.selfcheck import Door, SelfCheck
from registry_runtime.state import Rhythm, StateBoard, Watch
from registry_runtime.storage import open_cache, open_storage
from registry_runtime.storage.calls import Calls
from registry_runtime.tls import ServedCertificate
from registry_runtime.vouchers import Issuers, Reviewing

if TYPE_CHECKING:
    from registry_runtime.tracing import Tracing

_log = logging.getLogger(__name__)
_LINGER_SECONDS = 3.0  # new connections are still served: endpoints drop later than the signal comes
_TICK_SECONDS = 1.0
_JOB_AGAIN = 5.0  # seconds until a job that failed begins again
_STORAGE = Rhythm(again=30.0)
_SILENT = StorageState(
    reason=StorageReason.UNREACHABLE,
    message=f"the storage did not answer a check within {_STORAGE.patience:g} s: see to it, or the network",
)


class TracingUnavailable(Exception):
    """Traces are wanted, and the libraries for them are not there."""


@dataclass(frozen=True)
class Surroundings:
    """What only the process's environment tells."""

    replica: str = ""
    zone: str = ""
    api: ApiServer | None = None  # None: only the files are followed
    policy: Policy | None = None  # in force from the start, where no Secrets are named
    shards: Mapping[str, Path] | None = None  # files of the policy, instead of mounted Secrets
    certificate: tuple[Path, Path] | None = None  # and its key, instead of a mounted Secret


@dataclass
class _Health:
    draining: bool = False
    stored: bool = False  # the storage was good once: readiness never depends on it again


class Replica:
    """A runtime from its configuration to its end."""

    def __init__(
        self, config: RuntimeConfig, surroundings: Surroundings, bearers: Bearers, access: AccessLog
    ) -> None:
        """Raises CertificateInvalid and TracingUnavailable."""
        self._config = config
        self._surroundings = surroundings
        self._board = StateBoard(surroundings.replica, surroundings.zone, _now())
        mounted = {name: config.policy.directory / name / KEY for name in config.policy.secrets}
        shards = surroundings.shards if surroundings.shards is not None else mounted
        self._policy = PolicyFollower(shards, start=surroundings.policy, changed=self._tell)
        self._vault = Vault(Keyring(config.encryption.keys)) if config.encryption is not None else None
        self._rotation = (
            Rotation(self._vault, self._policy.policy, self._board) if self._vault is not None else None
        )
        self._gate = Gate(
            self._policy.policy,
            bearers,
            Throttle(clock=time.monotonic),
            bearer_seconds=config.limits.bearer_seconds,
            clock=_now,
        )
        self._cluster = ServiceAccounts(surroundings.api) if surroundings.api is not None else None
        self._vouching = Vouching(
            self._policy.policy,
            self._gate,
            issuers.published,
            self._cluster,
            clock=_now,
            ticks=time.monotonic,
        )
        file = config.signing_key
        self._signing_key = SigningKeyFile(file, bearers) if file is not None else None
        self._health = _Health()
        self._metrics = Metrics()
        self._tracing = _tracing(config, surroundings) if config.tracing is not None else None
        self._access = access
        self._collecting = Collecting(config.collection, self._board, self._metrics)
        self._server_certificate = (
            ServedCertificate(*surroundings.certificate)
            if surroundings.certificate is not None
            else _served(config.tls.server)
        )
        self._internal_certificate = _served(config.tls.internal, clients=True)
        self.listeners: dict[str, Listener] = {}
        self._end: Callable[[], None] = lambda: None
        self._self_check = (  # who has nobody to tell makes none
            SelfCheck(
                self._board,
                bearers,
                self._doors,
                config.listeners.address,
                secure=self._server_certificate is not None,
            )
            if config.listeners.internal is not None and self._internal_certificate is not None
            else None
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Serves until `stop`, then drains. Raises ListenError before anything is served."""
        storage = await open_storage(self._config.storage, self._calls())
        config = self._config
        self._end = stop.set
        registry = Registry(
            storage,
            config.limits,
            _now,
            config.owner,
            self._vault,
            collecting=config.collection,
            cache=open_cache(config.cache, self._metrics),
        )
        watch = Watch(lambda write: registry.check(write=write), self._checked, _SILENT, _STORAGE)
        board = ActivityBoard(self._policy.policy, registry.uses.known)
        try:
            self._poll()
            self.listeners.update(self._listeners(registry, watch, board))
            for listener in self.listeners.values():
                await listener.start()
            ports = {name: listener.port for name, listener in self.listeners.items()}
            _log.info("listening", extra=fields(**ports))
            async with asyncio.TaskGroup() as group:
                jobs = [group.create_task(_kept(job)) for job in self._jobs(registry, watch, board)]
                await stop.wait()
                await self._drain()
                for job in jobs:
                    job.cancel()
        finally:
            for listener in self.listeners.values():
                listener.stop_accepting()
                await listener.cut()
            await storage.close()
            if self._tracing is not None:
                await self._tracing.close()

    def _calls(self) -> Calls:
        if self._tracing is None:
            return Calls(self._metrics)
        return self._tracing.calls(self._metrics, getattr(self._config.storage, "bucket", None))

    def _listeners(
        self, registry: Registry, watch: Watch[StorageState], board: ActivityBoard
    ) -> dict[str, Listener]:
        config = self._config
        hosts = Hosts(
            {Endpoint.PUBLIC: config.hosts, Endpoint.PRIVATE: config.private_hosts or config.hosts},
            config.registry,
        )
        admission = self._tracing.admission(self._gate) if self._tracing else Admission(self._gate)
        whys = Whys(Admission(self._gate), self._policy, _now)
        front = app.registry_app(
            registry,
            self._gate,
            hosts,
            config.limits,
            self._metrics,
            admission=admission,
            vouching=self._vouching,
            access=self._access,
            doubt=partial(self._doubt, watch),
            board=board,
            whys=whys,
        )
        if self._tracing is not None:
            front = self._tracing.app(front)
        address, ports = config.listeners.address, config.listeners
        secure = self._server_certificate is not None
        made = {
            "public": Listener(
                "public",
                front,
                (address, ports.public),
                state={ENDPOINT: Endpoint.PUBLIC, SECURE: secure},
                tls=self._server_certificate,
            )
        }
        if ports.private is not None:
            made["private"] = Listener(
                "private",
                front,
                (address, ports.private),
                state={ENDPOINT: Endpoint.PRIVATE, SECURE: secure},
                tls=self._server_certificate,
            )
        if ports.internal is not None and self._internal_certificate is not None:
            internal = app.internal_app(States(self._board), Activities(board), whys)
            made["internal"] = Listener(
                "internal", internal, (address, ports.internal), tls=self._internal_certificate
            )
        if ports.probes is not None:
            sources = gauges.Sources(self._board, self._policy, self.listeners, self._access)
            gauges.read(self._metrics, sources)
            probes = app.probes_app(Health(self._unready, self._metrics))
            made["probes"] = Listener("probes", probes, (address, ports.probes))
        return made

    def _jobs(self, registry: Registry, watch: Watch[StorageState], board: ActivityBoard) -> list[Job]:
        collect = partial(self._collecting.run, registry.collection, watch.doubt)
        jobs: list[Job] = [self._tick, watch.run, board.run, collect]
        if self._rotation is not None and registry.rewrap is not None:
            jobs.append(partial(self._rotation.rewrapping, registry.rewrap, watch.doubt))
        if self._self_check is not None:
            jobs.append(self._self_check.run)
        jobs.append(Issuers(self._vouching.look, self._board).run)
        if self._cluster is not None:
            reviews = self._cluster.reviews
            jobs.append(Reviewing(self._policy.policy, reviews, self._board, time.monotonic).run)
        namespace = self._config.policy.namespace
        if self._surroundings.api is not None and namespace is not None:
            jobs += self._policy.watches(self._surroundings.api, namespace)
        return jobs

    def _doors(self) -> tuple[Door, ...]:
        """The listeners that clients use, the public one first."""
        config, hosts = self._config, self._config.private_hosts or self._config.hosts
        named = (("public", config.hosts[0]), ("private", hosts[0]))
        return tuple(
            Door(name, self.listeners[name].port, host) for name, host in named if name in self.listeners
        )

    def _doubt(self, watch: Watch[StorageState]) -> None:
        """A request met an error of the storage."""
        watch.doubt()
        if self._self_check is not None:
            self._self_check.doubt()

    async def _tick(self) -> None:
        """Once a second: files that may have changed, and the time."""
        while True:
            now = time.time()
            for listener in self.listeners.values():
                listener.tick(now)
            for certificate in (self._server_certificate, self._internal_certificate):
                if certificate is not None:
                    certificate.refresh()
            if self._signing_key is not None:
                self._signing_key.refresh(now)
            self._poll()
            if self._self_check is not None:
                self._self_check.look()
            due = time.monotonic() + _TICK_SECONDS
            await asyncio.sleep(_TICK_SECONDS)
            self._metrics.lag.observe(max(0.0, time.monotonic() - due))

    def _poll(self) -> None:
        self._policy.poll()
        if self._rotation is not None:
            self._rotation.poll()

    def _checked(self, state: StorageState) -> None:
        good = state.good
        if state != self._board.state.storage:
            log = _log.info if good else _log.error
            log("the storage was checked", extra=fields(reason=state.reason, detail=state.message))
        self._health.stored = self._health.stored or good
        self._metrics.storage_checked.set(time.time())
        self._board.update(storage=state)
        self._tell()
        if state.reason is StorageReason.EMPTYING:
            self._end()  # what it wrote from now on might never be deleted

    async def _drain(self) -> None:
        """Readiness fails first, then no new connection, then what runs may end."""
        self._health.draining = True
        self._tell()
        _log.info("draining")
        ends = time.monotonic() + self._config.limits.drain_seconds
        await asyncio.sleep(min(_LINGER_SECONDS, self._config.limits.drain_seconds))
        serving = [self.listeners[name] for name in ("public", "private") if name in self.listeners]
        for listener in serving:
            listener.stop_accepting()
        while time.monotonic() < ends and (busy := sum(listener.busy() for listener in serving)):
            _log.info("waiting for requests", extra=fields(running=busy))
            await asyncio.sleep(min(0.2, self._config.limits.drain_seconds))
        _log.info("drained", extra=fields(cut=sum(listener.busy() for listener in serving)))

    def _unready(self) -> str | None:
        if self._health.draining:
            return "draining"
        if self._policy.revision is None:
            return "no policy yet"
        if not self._health.stored:
            return f"storage: {self._board.state.storage.reason}"
        return None

    def _tell(self) -> None:
        if self._rotation is not None:
            self._rotation.poll()
        self._board.update(
            ready=self._unready() is None,
            policy_revision=self._policy.revision,
            policy_problem=self._policy.problem,
        )


async def _kept(job: Job) -> None:
    """A job that a fault nobody foresaw has ended begins again: what it serves goes on meanwhile."""
    while True:
        try:
            await job()
        except Exception:  # noqa: BLE001 - a fault of a side job must not end the pulls
            _log.exception("a job failed and begins again")
        await asyncio.sleep(_JOB_AGAIN)


def _served(directory: Path | None, *, clients: bool = False) -> ServedCertificate | None:
    return ServedCertificate.of(directory, clients=clients) if directory is not None else None


def _tracing(config: RuntimeConfig, surroundings: Surroundings) -> Tracing:
    assert config.tracing is not None
    try:
        from registry_runtime.tracing import Tracing  # noqa: PLC0415 - 15 MiB, for those who want it
    except ImportError as error:
        raise TracingUnavailable(f"tracing: {error}: install the extra `tracing` of roadstead") from error
    return Tracing(config.tracing, config.registry, surroundings.replica, surroundings.zone)


def _now() -> datetime:
    return datetime.now(UTC)
