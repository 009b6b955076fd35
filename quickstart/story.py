"""The story that `make up` tells: a cluster, a bucket, the operator, a Registry, an image in three zones."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from quickstart import hosts, install, s3
from quickstart.command import run
from quickstart.kubectl import Kubectl
from quickstart.progress import Progress
from quickstart.provider import Provider

SAMPLES = Path("manifests/samples")
REGISTRY, TENANT, APPLICATION = "harbour", "harbour", "shop"
NAMESPACE, TOKEN, DEPLOYMENT = "pier-one", "deployer", "hello"
HOSTNAME = "harbour.roadstead.test"


@dataclass(frozen=True)
class Story:
    """One telling: where, and under which mark in this machine's /etc/hosts."""

    provider: Provider
    mark: str
    progress: Progress
    addresses: dict[str, str] = field(default_factory=dict)  # of the domains on this machine, once published

    def up(self) -> None:
        """From nothing, or from where the last telling stopped."""
        step = self.progress.step
        with step("build: the cluster's programs and the images (skipped where built)"):
            images = self.provider.build()
        with step("cluster: three nodes in three zones"):
            self.provider.up(HOSTNAME)
        kubectl = Kubectl(self.provider.kubectl, self.provider.kubeconfig)
        with step("images: into the nodes"):
            self.provider.load(images.preloaded)
        with step("S3 server, with a bucket for the tenant"):
            s3.install(kubectl, images.versitygw.reference, TENANT)
        with step("operator, from manifests/"):
            install.operator(kubectl, images.operator.reference, images.runtime.reference)
        with step("Registry, Namespace, AccessToken: apply to Ready"):
            self._resources(kubectl)
        with step("push with skopeo, through the public domain over TLS"):
            self._push(kubectl, images.hello.archive)
        with step("pull: a pod in each zone, with the generated pull secret"):
            kubectl.apply_file(SAMPLES / "app.yaml")
            kubectl.until_rolled_out([DEPLOYMENT], APPLICATION)
        print(self._ending(kubectl))

    def down(self) -> None:
        """Every trace goes."""
        with self.progress.step("down"):
            self.provider.down()
            hosts.write(self.mark, {})

    def _resources(self, kubectl: Kubectl) -> None:
        for sample in ("registry.yaml", "namespace.yaml", "accesstoken.yaml"):
            kubectl.apply_file(SAMPLES / sample)
        kubectl.until_ready("reg", REGISTRY, TENANT)
        kubectl.until_ready("rns", NAMESPACE, TENANT)
        kubectl.until_ready("at", TOKEN, TENANT)
        self.publish(kubectl)

    def publish(self, kubectl: Kubectl) -> None:
        """The registry's two domains, reachable and trusted from the nodes and from this machine."""
        names = self.provider.publish(self._services(kubectl), self.ca(kubectl).encode())
        self.addresses.update(names)
        hosts.write(self.mark, names)

    def _services(self, kubectl: Kubectl) -> Mapping[str, str]:
        """The public and the private host name, each with its Service's ClusterIP."""
        names = {HOSTNAME: REGISTRY, f"private.{HOSTNAME}": f"{REGISTRY}-private"}
        found = {service["metadata"]["name"]: service for service in kubectl.list("service", "-n", TENANT)}
        return {name: found[service]["spec"]["clusterIP"] for name, service in names.items()}

    def ca(self, kubectl: Kubectl) -> str:
        """The registry's own CA, PEM."""
        bundle = kubectl.get("configmap", f"{REGISTRY}-ca-bundle", TENANT) or {}
        return str(bundle["data"]["ca.crt"])

    def _push(self, kubectl: Kubectl, archive: Path) -> None:
        password = kubectl.secret(TOKEN, TENANT)["password"]
        with tempfile.TemporaryDirectory() as folder:
            trust = Path(folder) / "certs"
            trust.mkdir()
            (trust / "ca.crt").write_text(self.ca(kubectl))
            auth = ("--authfile", f"{folder}/auth.json", "--cert-dir", str(trust))
            run("skopeo", "login", *auth, "--username", TOKEN, "--password-stdin", HOSTNAME, stdin=password)
            image = f"docker://{HOSTNAME}/{NAMESPACE}/hello:1"
            destination = ("--dest-authfile", f"{folder}/auth.json", "--dest-cert-dir", str(trust))
            run("skopeo", "copy", "--insecure-policy", *destination, f"docker-archive:{archive}", image)

    def _path(self) -> str:
        """What makes kubectl known to a shell, where it is not on PATH."""
        folder = Path(self.provider.kubectl).parent
        return "" if folder == Path() else f" PATH={folder}:$PATH"

    def _ending(self, kubectl: Kubectl) -> str:
        resources = kubectl("get", "reg,rns,at", "--all-namespaces")
        pods = kubectl("get", "pods", "-n", APPLICATION, "-L", "topology.kubernetes.io/zone")
        secret = f"kubectl get secret {TOKEN} -n {TENANT} -o jsonpath='{{.data.password}}'"
        ca = f"kubectl get configmap {REGISTRY}-ca-bundle -n {TENANT} -o jsonpath='{{.data.ca\\.crt}}'"
        folder = f"/etc/containers/certs.d/{HOSTNAME}"
        zones = "\n".join(f"  {command}" for command in self.provider.break_a_zone())
        return f"""
{resources}
{pods}
Try next:
  export KUBECONFIG={self.provider.kubeconfig}{self._path()}
  kubectl get reg,rns,at -A
  kubectl describe reg {REGISTRY} -n {TENANT}
Log in and push from this machine (docker reads /etc/docker/certs.d instead):
  mkdir -p {folder} && {ca} > {folder}/ca.crt
  {secret} | base64 -d | skopeo login -u {TOKEN} --password-stdin {HOSTNAME}
  skopeo copy docker://{HOSTNAME}/{NAMESPACE}/hello:1 docker://{HOSTNAME}/{NAMESPACE}/hello:2
Break a zone, watch ZoneRedundant, mend it:
{zones}
Remove every trace: make down

Where the time went:
{self.progress.table()}"""
