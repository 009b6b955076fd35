"""Where the API server is and who we are, in a pod or on a workstation."""

import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from registry_operator.errors import Unavailable

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")  # of every pod that has a token mounted
HOST, PORT = "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"  # set by the kubelet
REREAD = 60.0  # seconds after which the kubelet may have written another token


class Credentials:
    """`authorize` gives the header of now ("Bearer …"), or None with a client certificate: two files."""

    def __init__(
        self,
        server: str,
        authorize: Callable[[], str | None],
        ca_file: str | None = None,
        client_certificate: tuple[str, str] | None = None,
        *,
        verify: bool = True,
    ) -> None:
        self.server = server.rstrip("/")  # URL of the API server
        self.authorization = authorize
        self.ca_file = ca_file
        self.client_certificate = client_certificate
        self._verify = verify

    @classmethod
    def find(
        cls,
        environ: Mapping[str, str],
        kubeconfig: Path | None = None,
        context: str | None = None,
        account: Path = ACCOUNT,
    ) -> Self:
        """The kubeconfig that is given, else the pod's ServiceAccount, else the user's own kubeconfig.

        `context` is one of a kubeconfig's, None for its current one.

        Raises Unavailable, with what to do, when there is none.
        """
        token = account / "token"
        if kubeconfig is None and context is None and HOST in environ and token.exists():
            host = environ[HOST]
            authority = f"[{host}]" if ":" in host else host
            server = f"https://{authority}:{environ.get(PORT, '443')}"
            return cls(server, MountedToken(token), str(account / "ca.crt"))
        # The library brings models of every kind, 41 MiB that an operator in a pod has no use for.
        from registry_operator.cluster import kubeconfig as library  # noqa: PLC0415

        found = library.load(kubeconfig, context)
        return cls(
            found.host,
            lambda: library.authorization(found),
            found.ssl_ca_cert or None,
            (found.cert_file, found.key_file) if found.cert_file and found.key_file else None,
            verify=bool(found.verify_ssl),
        )

    def ssl_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca_file)
        if not self._verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.client_certificate:
            context.load_cert_chain(*self.client_certificate)
        return context


class MountedToken:
    """A ServiceAccount's token, which the kubelet writes anew before it ends."""

    def __init__(self, file: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = file
        self._clock = clock
        self._read_at = float("-inf")
        self._header = ""

    def __call__(self) -> str:
        """The header. Raises Unavailable where the file cannot be read and never could."""
        if self._clock() - self._read_at >= REREAD:
            try:
                self._header = f"Bearer {self._file.read_text().strip()}"
                self._read_at = self._clock()
            except (OSError, UnicodeDecodeError) as error:
                if not self._header:
                    raise Unavailable(f"{self._file}: {type(error).__name__}") from None
        return self._header
