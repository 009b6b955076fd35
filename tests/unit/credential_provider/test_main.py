"""The kubelets' credential provider: JSON in, JSON out, and what it refuses."""

from __future__ import annotations

import json
import re
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from local_cluster.build import cache_root
from local_cluster.node import keyless_files
from local_cluster.parts import CLUSTER, CREDENTIAL_PROVIDER, build

PAGE = Path(__file__).parents[3] / "docs" / "keyless.md"
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOlsiaGFyYm91ci5leGFtcGxlIl19.c2lnbmF0dXJl"
HOST = "harbour.example"


@pytest.fixture(scope="module")
def program() -> Path:
    wanted = [part for part in CLUSTER if part.name == CREDENTIAL_PROVIDER]
    return build(cache_root(), print, wanted).binary(CREDENTIAL_PROVIDER)


def request(**fields: Any) -> dict[str, Any]:
    """As the kubelet encodes it."""
    return {
        "kind": "CredentialProviderRequest",
        "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
        "image": f"{HOST}/pier-one/hello",
        "serviceAccountToken": TOKEN,
        **fields,
    }


def run(program: Path, content: dict[str, Any] | bytes, *hosts: str) -> subprocess.CompletedProcess[bytes]:
    """Without an environment, and with the sample's host unless others are given."""
    stdin = content if isinstance(content, bytes) else json.dumps(content).encode()
    argv = [str(program), *(hosts or (HOST,))]
    return subprocess.run(argv, input=stdin, capture_output=True, env={}, check=False, timeout=10)


def test_the_token_that_came_in_is_the_password_for_the_one_host(program: Path) -> None:
    """The answer is what the kubelet's v1 API asks for, and tells it to keep nothing."""
    done = run(program, request(serviceAccountAnnotations={"a": "b"}), "other.example", HOST)

    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout) == {
        "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
        "kind": "CredentialProviderResponse",
        "cacheKeyType": "Registry",
        "cacheDuration": "0s",
        "auth": {HOST: {"username": "serviceaccount", "password": TOKEN}},
    }


@pytest.mark.parametrize(
    ("pattern", "host"),
    [
        ("harbour.example:5000", "harbour.example:5000"),
        ("*.example", "harbour.example"),
        ("private.*.example", "private.harbour.example"),
        ("har*.example", "harbour.example"),
        ("localhost:5000", "localhost:5000"),
    ],
)
def test_hosts_match_as_in_the_kubelets_match_images(program: Path, pattern: str, host: str) -> None:
    """Label by label, with the port."""
    done = run(program, request(image=f"{host}/a/b"), pattern)

    assert done.returncode == 0, done.stderr
    assert list(json.loads(done.stdout)["auth"]) == [host]


@pytest.mark.parametrize(
    ("pattern", "host"),
    [
        (HOST, "evil.example"),
        (HOST, "harbour.example:5000"),
        (HOST, "harbour.example.evil.example"),
        ("*.example", "a.harbour.example"),
        ("*.example", "harbour.example:5000"),
        ("harbour.*", "harbour.example:5000"),
        ("*", "harbour.example"),
        ("harbour.[", "harbour.example"),
    ],
)
def test_no_other_host_sees_the_token(program: Path, pattern: str, host: str) -> None:
    """Whatever `matchImages` let through: the sentence names the host and where to correct it."""
    done = run(program, request(image=f"{host}/a/b"), pattern)

    refused(done, f"{host} is none of the hosts that may see a token", "matchImages")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (request(apiVersion="credentialprovider.kubelet.k8s.io/v1beta1"), 'v1beta1", not '),
        (request(apiVersion=None), 'apiVersion is "", not'),
        (request(kind="CredentialProviderResponse"), 'kind is "CredentialProviderResponse", not'),
        (request(image=""), 'image "" does not begin with a registry'),
        (request(image=HOST), "does not begin with a registry's host"),
        (request(image=f"{HOST}/"), "does not begin with a registry's host"),
        (request(image=f"user@{HOST}/a"), "does not begin with a registry's host"),
        (request(image=f"https://{HOST}/a"), "does not begin with a registry's host"),
        (request(serviceAccountToken=""), "requireServiceAccount: true"),
        (request(serviceAccountToken="a\nb"), "serviceAccountToken is no JWT"),
        (request(serviceAccountToken="a.b"), "serviceAccountToken is no JWT"),
        (request(serviceAccountToken=["a.b.c"]), "no JSON of a CredentialProviderRequest"),
        (b"", "no JSON of a CredentialProviderRequest"),
        (b"[]", "no JSON of a CredentialProviderRequest"),
        (json.dumps(request()).encode() * 2, "no JSON of a CredentialProviderRequest"),
        (json.dumps(request()).encode() + b" " * 2**20, "more than 1048576 bytes"),
    ],
)
def test_what_is_no_request_is_refused(program: Path, content: dict[str, Any] | bytes, sentence: str) -> None:
    """Status 1, one sentence that says what is wrong, and nothing on standard output."""
    refused(run(program, content), sentence)


def refused(done: subprocess.CompletedProcess[bytes], *sentences: str) -> None:
    said = done.stderr.decode()
    assert (done.returncode, done.stdout) == (1, b"")
    assert said.startswith("roadstead-credential-provider: ")
    assert said.count("\n") == 1
    for sentence in sentences:
        assert sentence in said
    for part in TOKEN.split("."):
        assert part not in said, "the kubelet logs it"


def test_without_hosts_it_says_what_to_write(program: Path) -> None:
    """A provider that answers for every host is a mistake of its configuration: status 2."""
    done = subprocess.run([program], input=json.dumps(request()).encode(), capture_output=True, check=False)

    assert (done.returncode, done.stdout) == (2, b"")
    assert b"`args` in the kubelet's CredentialProviderConfig" in done.stderr


def test_it_is_static_and_speaks_to_nobody(program: Path) -> None:
    """One file for every Linux of its architecture; Go's network packages are not in it."""
    content = program.read_bytes()
    (module,) = [part for part in CLUSTER if part.name == CREDENTIAL_PROVIDER]

    assert b"ld-linux" not in content
    assert b"net.(*Dialer)" not in content
    assert "require" not in (module.sources / "go.mod").read_text()


def test_the_documented_configuration_is_that_of_the_local_clusters_nodes(program: Path) -> None:
    """So what the end-to-end tests run is what the page says; the name is that of the program."""
    blocks = re.findall(r"```yaml\n(.*?)\n *```", PAGE.read_text(), re.DOTALL)
    (told,) = [one for one in map(textwrap.dedent, blocks) if "kind: CredentialProviderConfig" in one]
    sample = "harbour.roadstead.test"
    (content,) = keyless_files(sample, [sample, f"private.{sample}"]).values()

    assert yaml.safe_load(told) == json.loads(content)
    assert [one["name"] for one in json.loads(content)["providers"]] == [program.name]
