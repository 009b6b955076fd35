"""The resources of the Kubernetes API that the operator touches, and their URLs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from registry_operator.errors import Refused


@dataclass(frozen=True)
class Resource:
    """One resource: `Resource("apps", "v1", "deployments", "Deployment")`."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str = "") -> str:
        """The URL's path; without a namespace it means all of them."""
        words = ["apis", self.group] if self.group else ["api"]
        words.append(self.version)
        if self.namespaced and namespace is not None:
            words += ["namespaces", namespace]
        words.append(self.plural)
        if name is not None:
            words.append(name)
        if subresource:
            words.append(subresource)
        return "/" + "/".join(words)

    def place(self, namespace: str | None, name: str | None) -> str:
        """For people: "Secret shop/deployer-pull"."""
        return f"{self.kind} {'/'.join(word for word in (namespace, name) if word)}".strip()


REGISTRIES = Resource("roadstead.dev", "v1alpha1", "registries", "Registry")
CLAIMS = Resource("roadstead.dev", "v1alpha1", "namespaces", "Namespace")
ACCESS_TOKENS = Resource("roadstead.dev", "v1alpha1", "accesstokens", "AccessToken")
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
SECRETS = Resource("", "v1", "secrets", "Secret")
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
SERVICES = Resource("", "v1", "services", "Service")
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
PODS = Resource("", "v1", "pods", "Pod")
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
BUDGETS = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
AUTOSCALERS = Resource("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
NETWORK_POLICIES = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role")
ROLE_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
ENDPOINT_SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
INGRESSES = Resource("networking.k8s.io", "v1", "ingresses", "Ingress")
# What a cluster may lack: their CRDs come with cert-manager and with Gateway API.
CERTIFICATES = Resource("cert-manager.io", "v1", "certificates", "Certificate")
CERTIFICATE_REQUESTS = Resource("cert-manager.io", "v1", "certificaterequests", "CertificateRequest")
HTTP_ROUTES = Resource("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute")
TLS_ROUTES = Resource("gateway.networking.k8s.io", "v1", "tlsroutes", "TLSRoute")
BACKEND_TLS_POLICIES = Resource("gateway.networking.k8s.io", "v1", "backendtlspolicies", "BackendTLSPolicy")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
EVENTS = Resource("events.k8s.io", "v1", "events", "Event")

# What a namespace opts in to by a RoleBinding: reading its Secrets, and writing these.
BY_CONSENT = frozenset(
    {
        *(SECRETS, CONFIG_MAPS, SERVICES, SERVICE_ACCOUNTS, PODS, DEPLOYMENTS),
        *(AUTOSCALERS, BUDGETS, NETWORK_POLICIES, ROLES, ROLE_BINDINGS),
        *(INGRESSES, CERTIFICATES, HTTP_ROUTES, TLS_ROUTES, BACKEND_TLS_POLICIES),
    }
)

KNOWN = {
    (resource.api_version, resource.kind): resource
    for resource in (
        *(REGISTRIES, CLAIMS, ACCESS_TOKENS, NAMESPACES, SECRETS, CONFIG_MAPS, SERVICES, SERVICE_ACCOUNTS),
        *(PODS, DEPLOYMENTS, AUTOSCALERS, BUDGETS, NETWORK_POLICIES, ROLES, ROLE_BINDINGS, LEASES, EVENTS),
        *(INGRESSES, CERTIFICATES, CERTIFICATE_REQUESTS, HTTP_ROUTES, TLS_ROUTES, BACKEND_TLS_POLICIES),
    )
}


def resource_of(obj: Mapping[str, Any]) -> Resource:
    """The resource of an object by its apiVersion and kind. Raises Refused for one that is not known."""
    try:
        return KNOWN[obj["apiVersion"], obj["kind"]]
    except KeyError:
        raise Refused(f"{obj.get('apiVersion')} {obj.get('kind')}: not a resource of the operator") from None
