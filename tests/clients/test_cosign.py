"""cosign: signatures and attestations by a key pair, without a transparency log, and without the network."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.api.replica import READER, ROBOT
from tests.clients.layout import Layout, attested
from tests.clients.workstation import Program, Workstation

PREDICATE = '{"builder": {"id": "https://builds.test"}}'
# What the two ways of storing share: nobody but the key pair is asked.
OFFLINE = ("--yes", "--use-signing-config=false", "--tlog-upload=false", "--key=cosign.key")
VERIFY = ("--insecure-ignore-tlog", "--key=cosign.pub")
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
TAGS = "--new-bundle-format=false"  # sha256-<hex>.sig and .att, as all versions before 3 made them


def logged_in(workstation: Workstation, password: str = ROBOT.text) -> Program:
    """With a key pair of its own."""
    cosign = workstation.program("cosign", COSIGN_PASSWORD="only for tests")
    cosign("login", workstation.host, "--username=iamapikey", "--password-stdin", stdin=password)
    cosign("generate-key-pair")
    return cosign


@pytest.fixture
def cosign(workstation: Workstation) -> Program:
    return logged_in(workstation)


@pytest.fixture
def reader(elsewhere: Workstation) -> Program:
    """Somebody who may only pull, and has another key pair."""
    return logged_in(elsewhere, READER.text)


@pytest.fixture
def image(crane: Program, cosign: Program, name: str, layout: Layout) -> str:
    """By its digest, as cosign wants it."""
    return crane("push", layout.path, f"{name}:v1")


def sign_and_attest(cosign: Program, image: str, *options: str) -> None:
    """A signature with an annotation, and SLSA's provenance."""
    Path(cosign.environment["HOME"], "predicate.json").write_text(PREDICATE)
    cosign("sign", *OFFLINE, *options, "--annotations=by=tests", image)
    cosign("attest", *OFFLINE, *options, "--type=slsaprovenance", "--predicate=predicate.json", image)


def verify(program: Program, image: str, *options: str) -> None:
    """The signature and the attestation hold, by this program's key."""
    (signature,) = json.loads(program("verify", *VERIFY, *options, "--annotations=by=tests", image))
    assert signature["critical"]["image"]["docker-manifest-digest"] == image.partition("@")[2]
    program("verify-attestation", *VERIFY, *options, "--type=slsaprovenance", image)


def hand_over_key(giver: Program, taker: Program) -> None:
    home, other = (Path(program.environment["HOME"]) for program in (giver, taker))
    shutil.copy(home / "cosign.pub", other)


@pytest.mark.parametrize(
    ("options", "wrong"),
    [((TAGS,), "invalid signature"), ((), "accepted signatures do not match")],
    ids=["tags", "referrers"],
)
def test_only_the_right_key_verifies(
    cosign: Program, reader: Program, image: str, options: tuple[str, ...], wrong: str
) -> None:
    """An image is unsigned at first; signed and attested, a reader verifies both by the signer's key only."""
    assert "no signatures found" in cosign.refused("verify", *VERIFY, *options, image)
    sign_and_attest(cosign, image, *options)
    verify(cosign, image, *options)

    assert wrong in reader.refused("verify", *VERIFY, *options, image)
    hand_over_key(cosign, reader)
    verify(reader, image, *options)


def test_signatures_as_tags(cosign: Program, crane: Program, name: str, image: str) -> None:
    """Their names are made from the image's digest."""
    sign_and_attest(cosign, image, TAGS)
    base = image.partition("@")[2].replace(":", "-")
    assert crane("ls", name).splitlines() == [f"{base}.att", f"{base}.sig", "v1"]


def test_signatures_as_referrers(
    cosign: Program, crane: Program, workstation: Workstation, name: str, image: str
) -> None:
    """Sigstore's bundles refer to the image, and no tag is made."""
    sign_and_attest(cosign, image)
    found = json.loads(workstation.program("oras")("discover", "--format=json", image))["referrers"]
    assert [one["artifactType"] for one in found] == [BUNDLE, BUNDLE]
    assert crane("ls", name) == "v1"


def test_an_index_is_signed_with_all_it_names(
    cosign: Program, crane: Program, name: str, tmp_path: Path
) -> None:
    """`--recursive` signs each image and attestation of a multi-platform index."""
    layout = Layout(tmp_path / "platforms")
    layout.name(attested(layout), "v1")
    index = crane("push", layout.path, f"{name}:v1")
    cosign("sign", *OFFLINE, "--recursive", index)
    for child in json.loads(crane("manifest", index))["manifests"]:
        cosign("verify", *VERIFY, f"{name}@{child['digest']}")
