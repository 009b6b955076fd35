"""Kubeconfigs, as kubernetes.config reads them: with plugins that are asked, and certificates within."""

from pathlib import Path

from kubernetes import config
from kubernetes.client import Configuration

from registry_operator.errors import Unavailable

DEFAULT = "default"  # the Kubernetes namespace of who names none


def load(kubeconfig: Path | None, context: str | None) -> Configuration:
    """Of a file, or the user's own. Raises Unavailable, with what to do, when there is none."""
    found = Configuration()
    try:
        config.load_kube_config(
            config_file=str(kubeconfig) if kubeconfig else None, context=context, client_configuration=found
        )
    except config.ConfigException as error:
        raise Unavailable(f"no credentials for a cluster: {error}; set KUBECONFIG or run in a pod") from None
    if found.tls_server_name:
        raise Unavailable(
            "kubeconfig: tls-server-name is not supported; use a server name of the certificate"
        )
    return found


def authorization(found: Configuration) -> str | None:
    """The header of now: a plugin is asked again when its token has ended. None with a client certificate."""
    header = found.get_api_key_with_prefix("BearerToken", alias="authorization")
    if header:
        _, _, token = str(header).partition(" ")
        return f"Bearer {token.strip()}"
    return str(found.get_basic_auth_token()) if found.username else None


def namespace_of(kubeconfig: Path | None = None, context: str | None = None) -> str:
    """The Kubernetes namespace of a context, as kubectl takes it where none is named."""
    try:
        every, current = config.list_kube_config_contexts(str(kubeconfig) if kubeconfig else None)
    except config.ConfigException:
        return DEFAULT
    chosen = next((one for one in every if one["name"] == context), current)
    return str(chosen["context"].get("namespace") or DEFAULT)
