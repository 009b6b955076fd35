"""Where the API server is and who we are, as kubernetes.config finds it, in a pod or on a workstation."""

import ssl
from pathlib import Path
from typing import Self

from kubernetes import config
from kubernetes.client import Configuration

from registry_operator.errors import Unavailable

DEFAULT = "default"  # the Kubernetes namespace of who names none


class Credentials:
    """Credentials that renew themselves: a pod's token is read again each minute, a plugin is asked again."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration

    @classmethod
    def find(cls, kubeconfig: Path | None = None, context: str | None = None) -> Self:
        """The kubeconfig that is given, else the pod's ServiceAccount, else the user's own kubeconfig.

        `context` is one of a kubeconfig's, None for its current one.

        Raises Unavailable, with what to do, when there is none.
        """
        configuration = Configuration()
        try:
            if kubeconfig is None and context is None and _load_service_account(configuration):
                return cls(configuration)
            config.load_kube_config(
                config_file=str(kubeconfig) if kubeconfig else None,
                context=context,
                client_configuration=configuration,
            )
        except config.ConfigException as error:
            raise Unavailable(
                f"no credentials for a cluster: {error}; set KUBECONFIG or run in a pod"
            ) from None
        return cls(configuration)

    @property
    def server(self) -> str:
        """URL of the API server, without a slash at its end."""
        return str(self._configuration.host).rstrip("/")

    @property
    def ca_file(self) -> str | None:
        return self._configuration.ssl_ca_cert or None

    @property
    def client_certificate(self) -> tuple[str, str] | None:
        """Files of the certificate and its key, where the API server knows us by one."""
        found = self._configuration
        return (found.cert_file, found.key_file) if found.cert_file and found.key_file else None

    def authorization(self) -> str | None:
        """The header of now: "Bearer …", or None with a client certificate."""
        found = self._configuration
        header = found.get_api_key_with_prefix("BearerToken", alias="authorization")
        if header:
            _, _, token = str(header).partition(" ")
            return f"Bearer {token.strip()}"
        return found.get_basic_auth_token() if found.username else None

    def ssl_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca_file)
        if not self._configuration.verify_ssl:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif self._configuration.tls_server_name:
            raise Unavailable(
                "kubeconfig: tls-server-name is not supported; use a server name of the certificate"
            )
        if self.client_certificate:
            context.load_cert_chain(*self.client_certificate)
        return context


def namespace_of(kubeconfig: Path | None = None, context: str | None = None) -> str:
    """The Kubernetes namespace of a context, as kubectl takes it where none is named."""
    try:
        every, current = config.list_kube_config_contexts(str(kubeconfig) if kubeconfig else None)
    except config.ConfigException:
        return DEFAULT
    chosen = next((one for one in every if one["name"] == context), current)
    return str(chosen["context"].get("namespace") or DEFAULT)


def _load_service_account(configuration: Configuration) -> bool:
    try:
        config.load_incluster_config(client_configuration=configuration)
    except config.ConfigException:
        return False
    return True
