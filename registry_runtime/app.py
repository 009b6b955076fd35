"""Every URL, in one place: the registry's, the probes' and the operator's."""

from __future__ import annotations

from collections.abc import Callable

from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from registry_runtime.activity import ActivityBoard
from registry_runtime.api.access import AccessLog
from registry_runtime.api.activity import Activities
from registry_runtime.api.admission import Admission
from registry_runtime.api.blobs import Blobs
from registry_runtime.api.catalog import Base, Catalog
from registry_runtime.api.errors import body
from registry_runtime.api.front import Front
from registry_runtime.api.health import Health
from registry_runtime.api.host import TOKEN_PATH, Hosts
from registry_runtime.api.manifests import Manifests
from registry_runtime.api.referrers import Referrers
from registry_runtime.api.resource import Resource
from registry_runtime.api.routes import Routes
from registry_runtime.api.state import States
from registry_runtime.api.tags import Tags
from registry_runtime.api.token import Tokens
from registry_runtime.api.uploads import Uploads
from registry_runtime.api.why import WHY_PATH, Whys
from registry_runtime.auth.gate import Gate
from registry_runtime.auth.vouching import Vouching
from registry_runtime.contract.config import Limits
from registry_runtime.metrics import Metrics
from registry_runtime.repository import Registry


def registry_app(
    registry: Registry,
    gate: Gate,
    hosts: Hosts,
    limits: Limits,
    metrics: Metrics,
    *,
    admission: Admission,
    vouching: Vouching,
    access: AccessLog,
    doubt: Callable[[], None],
    board: ActivityBoard,
    whys: Whys,
) -> ASGIApp:
    """What docker, containerd and their like talk to.

    `doubt` is told of errors of the storage, `board` of who came.

    https://github.com/opencontainers/distribution-spec/blob/main/spec.md#endpoints
    """
    base, catalog = Base(admission), Catalog(registry, admission)
    tokens = Tokens(gate, vouching)
    blobs, uploads = Blobs(registry, admission), Uploads(registry, admission, limits, metrics.uploads)
    manifests = Manifests(registry, admission, limits)
    tags, referrers = Tags(registry, admission), Referrers(registry, admission)

    session = Resource("upload", GET=uploads.get, PATCH=uploads.patch, PUT=uploads.put, DELETE=uploads.delete)
    blob = Resource("blob", GET=blobs.get, HEAD=blobs.head, DELETE=blobs.delete)
    manifest = Resource(
        "manifest", GET=manifests.get, HEAD=manifests.head, PUT=manifests.put, DELETE=manifests.delete
    )
    routes = [
        ("/v2/{name:path}/manifests/{reference}", manifest),
        ("/v2/{name:path}/blobs/uploads/", Resource("upload", POST=uploads.post)),
        ("/v2/{name:path}/blobs/uploads", Resource("upload", POST=uploads.post)),
        ("/v2/{name:path}/blobs/uploads/{uuid}", session),
        ("/v2/{name:path}/blobs/{digest}", blob),
        ("/v2/{name:path}/tags/list", Resource("tags", GET=tags.get)),
        ("/v2/{name:path}/referrers/{digest}", Resource("referrers", GET=referrers.get)),
        (WHY_PATH, Resource("why", GET=whys.get)),
        ("/v2/_catalog", Resource("catalog", GET=catalog.get)),
        ("/v2/", Resource("base", GET=base.get, HEAD=base.get)),
        ("/v2", Resource("base", GET=base.get, HEAD=base.get)),
        (TOKEN_PATH, Resource("token", GET=tokens.get, POST=tokens.post)),
    ]
    return Front(Routes(routes, _nowhere), hosts, metrics, access, doubt=doubt, board=board)


def probes_app(health: Health) -> ASGIApp:
    """What the kubelet and Prometheus ask."""
    return Router(
        [
            Route("/livez", health.live),
            Route("/readyz", health.ready),
            Route("/metrics", health.metrics),
        ],
        redirect_slashes=False,
    )


def state_app(states: States) -> ASGIApp:
    """What the operator asks of a pod that serves nobody else."""
    return Router([Route("/state", states.get)], redirect_slashes=False)


def internal_app(states: States, activities: Activities, whys: Whys) -> ASGIApp:
    """What the operator asks, by mTLS only."""
    routes = [
        Route("/state", states.get),
        Route("/activity", activities.get),
        Route("/why", whys.get_any),
    ]
    return Router(routes, redirect_slashes=False)


async def _nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    response: Response = body(404, "NAME_UNKNOWN", "there is nothing at this URL")
    await response(scope, receive, send)
