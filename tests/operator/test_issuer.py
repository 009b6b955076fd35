"""Certificates by cert-manager: its own controllers beside the operator and a real API server."""

from __future__ import annotations

import base64
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from registry_operator.names import CERTIFICATES_ROLE

from registry_runtime.tls import ServedCertificate
from tests.certificates import Authority
from tests.operator.apiserver import Object
from tests.operator.installed import cert_manager, crds
from tests.operator.operator_process import Cluster, Operator, wait

pytestmark = pytest.mark.cluster
API = "/apis/cert-manager.io/v1/namespaces/{}/{}/{}"
HOSTS = {"harbour.example.com", "also.example.com", "private.harbour.example.com"}
ISSUER = "issuer"  # name of the CA by which cert-manager signs
LONG = 90.0  # seconds; cert-manager waits between its tries


def made(cluster: Cluster, namespace: str, plural: str, name: str, spec: Object) -> None:
    kind = {"issuers": "Issuer", "certificates": "Certificate"}[plural]
    body = {"apiVersion": "cert-manager.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
    cluster.server.apply(API.format(namespace, plural, name), body, "kubectl")


def authority(cluster: Cluster, namespace: str, folder: Path) -> None:
    """An issuer called `own` that signs by a CA of the test's.

    One of cert-manager's own making may be another a moment later: in a hurry it issues the same thing twice.
    """
    cluster.secret(namespace, "root-ca", **Authority(folder / "root", ISSUER).pair)
    made(cluster, namespace, "issuers", "own", {"ca": {"secretName": "root-ca"}})


def said(cluster: Cluster, namespace: str) -> Object:
    return cluster.condition("Registry", namespace, "harbour", "TLSReady")


def until(cluster: Cluster, namespace: str, reason: str) -> str:
    """The message that comes with the reason."""
    found = wait(
        lambda: (one := said(cluster, namespace)).get("reason") == reason and one,
        LONG,
        f"not {reason}: {said(cluster, namespace)}",
    )
    return str(found["message"])


def values(cluster: Cluster, namespace: str, name: str) -> dict[str, bytes]:
    data = (cluster.get("Secret", namespace, name) or {}).get("data") or {}
    return {key: base64.b64decode(value) for key, value in data.items()}


def leaf(cluster: Cluster, namespace: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(values(cluster, namespace, "harbour-tls")["tls.crt"])


@pytest.fixture(scope="module")
def installed(operator: Operator) -> Iterator[None]:
    """Not before a Registry has asked for it."""
    cluster = Cluster(operator.server)
    cluster.namespace("early")
    cluster.registry("early", tls={"issuerRef": {"name": "own"}})
    assert "install cert-manager" in until(cluster, "early", "CertManagerNotInstalled")
    crds(operator.server, "cert-manager")
    with cert_manager(operator):
        yield


@pytest.mark.usefixtures("installed")
def test_what_is_missing_is_said_until_a_certificate_is_there(cluster: Cluster, tmp_path: Path) -> None:
    """No cert-manager, no consent, no issuer: each with its remedy, and each mended without a restart."""
    command = until(cluster, "early", "NotPermitted")
    assert f"kubectl create rolebinding {CERTIFICATES_ROLE} --namespace early" in command
    assert cluster.get("Deployment", "early", "harbour")  # nothing else waits for it
    cluster.consent("early", CERTIFICATES_ROLE)
    wait(lambda: "not found" in until(cluster, "early", "CertificatePending"), LONG)
    assert cluster.get("Secret", "early", "harbour-tls") is None
    authority(cluster, "early", tmp_path)
    until(cluster, "early", "CertificateIssued")


@pytest.mark.usefixtures("installed")
def test_an_issued_certificate_has_every_name_and_is_renewed(cluster: Cluster, tmp_path: Path) -> None:
    """For all host names, with a key of its own each time; clients get its CA, the pods hear of a new one."""
    cluster.namespace("issued")
    cluster.consent("issued", CERTIFICATES_ROLE)
    authority(cluster, "issued", tmp_path)
    cluster.registry("issued", tls={"issuerRef": {"name": "own"}}, exposure={"hosts": ["also.example.com"]})
    until(cluster, "issued", "CertificateIssued")
    first = leaf(cluster, "issued")
    names = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.DNSName)) == HOSTS
    bundle = wait(lambda: cluster.get("ConfigMap", "issued", "harbour-ca-bundle"))
    assert bundle["data"]["ca.crt"].encode() == values(cluster, "issued", "root-ca")["tls.crt"]
    secret = cluster.get("Secret", "issued", "harbour-tls")
    assert secret
    wait(lambda: (cluster.get("Secret", "issued", "harbour-tls") or {})["metadata"].get("ownerReferences"))

    path = API.format("issued", "certificates", "harbour-tls")
    certificate = cluster.server.ask("GET", path)
    now = certificate["status"]["conditions"][0]["lastTransitionTime"]
    due = {"type": "Issuing", "status": "True", "reason": "Asked", "message": "", "lastTransitionTime": now}
    certificate["status"]["conditions"].append(due)
    cluster.server.ask("PUT", f"{path}/status", certificate)
    wait(lambda: leaf(cluster, "issued").serial_number != first.serial_number, LONG)
    assert leaf(cluster, "issued").public_key() != first.public_key()
    until(cluster, "issued", "CertificateIssued")


class Pods:
    """What a client meets while pods come and go: the certificate of the Secret that the Deployment names.

    Or of the one before while that is not there, as the kubelet starts no pod without it.
    """

    def __init__(self, cluster: Cluster, folder: Path, *trusted: bytes) -> None:
        self._cluster = cluster
        self._folder = folder
        self._served: ServedCertificate | None = None
        self.mounted = ""
        self.client = ssl.create_default_context(cadata="".join(one.decode() for one in trusted))

    def ask(self, namespace: str) -> str:
        """The name of the CA that has signed what is served. Raises ssl.SSLError as a client would."""
        deployment = self._cluster.get("Deployment", namespace, "harbour")
        assert deployment
        volumes = {one["name"]: one for one in deployment["spec"]["template"]["spec"]["volumes"]}
        name = volumes["tls"]["secret"]["secretName"]
        found = values(self._cluster, namespace, name)
        if found:
            self.mounted = name
            for key in ("tls.crt", "tls.key"):
                (self._folder / key).write_bytes(found[key])
            self._served = self._served or ServedCertificate.of(self._folder)
            self._served.refresh()
        assert self._served
        return handshake(self.client, self._served.context, "harbour.example.com")


def handshake(client: ssl.SSLContext, server: ssl.SSLContext, host: str) -> str:
    """In memory. Returns the name of the CA that has signed what the client saw."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(to_client, to_server, server_hostname=host)
    answering = server.wrap_bio(to_server, to_client, server_side=True)
    done: set[ssl.SSLObject] = set()
    while len(done) < 2:
        for side in (asking, answering):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                continue
    leaf = x509.load_der_x509_certificate(asking.getpeercert(binary_form=True) or b"")
    return leaf.issuer.rfc4514_string()


@pytest.mark.usefixtures("installed")
def test_another_kind_of_certificate_turns_no_client_away(cluster: Cluster, tmp_path: Path) -> None:
    """Own CA, issuer, user's Secret, issuer, own CA: every handshake goes well for who trusts all of them."""
    cluster.namespace("turns")
    cluster.consent("turns", CERTIFICATES_ROLE)
    authority(cluster, "turns", tmp_path)
    cluster.registry("turns", tls={"selfSigned": {"caGeneration": 2}})
    wait(lambda: cluster.get("Deployment", "turns", "harbour"))
    root = values(cluster, "turns", "root-ca")["tls.crt"]
    user = Authority(tmp_path / "ca")
    own = values(cluster, "turns", "harbour-ca")["ca.crt"]
    pods = Pods(cluster, tmp_path, own, root, user.file.read_bytes())
    seen = [pods.ask("turns")]

    def until_another() -> None:
        before = seen[-1]
        seen.append(wait(lambda: (now := pods.ask("turns")) != before and now, LONG))

    cluster.registry("turns", tls={"issuerRef": {"name": "own"}})
    until_another()
    until(cluster, "turns", "CertificateIssued")

    cluster.registry("turns", tls={"secretRef": {"name": "public"}})
    assert "public" in until(cluster, "turns", "SecretNotFound")
    assert pods.ask("turns") == seen[-1]
    given = user.issue(tmp_path / "given", *HOSTS)
    cluster.secret("turns", "public", **{name: (given / name).read_text() for name in ("tls.crt", "tls.key")})
    until_another()
    assert pods.mounted == "public"
    wait(lambda: said(cluster, "turns").get("reason") == "CertificateProvided")
    path = API.format("turns", "certificates", "").rstrip("/")
    left = [one["metadata"]["name"] for one in cluster.server.ask("GET", path)["items"]]
    assert left == []

    cluster.registry("turns", tls={"issuerRef": {"name": "own"}})
    until_another()
    assert pods.mounted == "harbour-tls"
    until(cluster, "turns", "CertificateIssued")

    cluster.registry("turns", tls={"selfSigned": {}})
    until_another()
    wait(lambda: "by the Registry's CA" in said(cluster, "turns").get("message", ""))
    assert values(cluster, "turns", "harbour-ca")["ca.crt"] == own  # of which nothing else was asked


@pytest.mark.usefixtures("installed")
def test_a_certificate_that_may_not_be_deleted_is_served_until_it_may(
    cluster: Cluster, tmp_path: Path
) -> None:
    """Whoever took the consent back: nobody writes over the other, and the condition has the command."""
    cluster.namespace("kept")
    cluster.consent("kept", CERTIFICATES_ROLE)
    authority(cluster, "kept", tmp_path)
    cluster.registry("kept", tls={"issuerRef": {"name": "own"}})
    until(cluster, "kept", "CertificateIssued")
    first = leaf(cluster, "kept")
    cluster.withdraw("kept", CERTIFICATES_ROLE)
    cluster.registry("kept", replicas=5, tls={})
    assert f"rolebinding {CERTIFICATES_ROLE} --namespace kept" in until(cluster, "kept", "NotPermitted")
    wait(lambda: (cluster.get("Deployment", "kept", "harbour") or {})["spec"]["replicas"] == 5)
    time.sleep(3)  # cert-manager would have answered within one
    assert leaf(cluster, "kept").issuer == first.issuer

    cluster.consent("kept", CERTIFICATES_ROLE)
    wait(lambda: "by the Registry's CA" in said(cluster, "kept").get("message", ""))
    assert (
        leaf(cluster, "kept").issuer
        == x509.load_pem_x509_certificate(values(cluster, "kept", "harbour-ca")["ca.crt"]).subject
    )
    wait(lambda: ready(cluster, "kept").get("reason") != "NotPermitted")


@pytest.mark.usefixtures("installed")
def test_a_secret_of_somebody_else_is_not_overwritten(cluster: Cluster, tmp_path: Path) -> None:
    """cert-manager would write into it; no Certificate is made, and the condition says why."""
    cluster.namespace("taken")
    cluster.consent("taken", CERTIFICATES_ROLE)
    authority(cluster, "taken", tmp_path)
    cluster.secret("taken", "harbour-tls", mine="stays")
    cluster.registry("taken", tls={"issuerRef": {"name": "own"}})
    assert "delete it" in until(cluster, "taken", "NameConflict")
    assert values(cluster, "taken", "harbour-tls") == {"mine": b"stays"}


@pytest.mark.usefixtures("installed")
def test_a_certificate_of_somebody_else_is_not_taken_over(cluster: Cluster) -> None:
    """It has the name of the Registry's own, and stays as it is."""
    cluster.namespace("held")
    cluster.consent("held", CERTIFICATES_ROLE)
    theirs = {"secretName": "theirs", "dnsNames": ["theirs.example.com"], "issuerRef": {"name": "none"}}
    made(cluster, "held", "certificates", "harbour-tls", theirs)
    cluster.registry("held", tls={"issuerRef": {"name": "own"}})
    wait(lambda: "Certificate held/harbour-tls" in str(ready(cluster, "held").get("message")), LONG)
    kept = cluster.server.ask("GET", API.format("held", "certificates", "harbour-tls"))
    assert kept["spec"]["secretName"] == "theirs"


def ready(cluster: Cluster, namespace: str) -> Object:
    return cluster.condition("Registry", namespace, "harbour", "Ready")
