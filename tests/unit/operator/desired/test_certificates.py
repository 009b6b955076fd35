"""Which certificate is served while the spec goes from one kind to another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from registry_operator import names
from registry_operator.checks.registry import judge
from registry_operator.desired.certificates import CERTIFICATE, certificates
from registry_operator.desired.registry import render
from registry_operator.desired.rendered import Rendered
from registry_operator.models import Key, Registry
from registry_operator.observed import Absence, RegistryObserved, Rollout, SecretData, SecretView

from tests.certificates import Authority
from tests.unit.operator.harbour import NOW, SETTINGS, observed, registry, running, secrets_of

HOSTS = ("harbour.test", "private.harbour.test")
TLS = Key("harbour", "harbour-tls")
ISSUER = {"issuerRef": {"name": "own"}}
GIVEN = {"secretRef": {"name": "public"}}


@pytest.fixture
def other(tmp_path: Path) -> dict[str, bytes]:
    """A certificate of some other CA."""
    folder = Authority(tmp_path / "ca").issue(tmp_path / "tls", *HOSTS)
    return {name: (folder / name).read_bytes() for name in ("tls.crt", "tls.key", "ca.crt")}


def turned(
    seen: RegistryObserved, tls: Mapping[str, object], **secrets: SecretData | None
) -> RegistryObserved:
    """The same Registry with another `spec.tls`, and these Secrets beside what was there; None is gone."""
    found = {**seen.secrets.found, **{Key("harbour", name): one for name, one in secrets.items() if one}}
    left = {key: one for key, one in found.items() if secrets.get(key.name, one) is not None}
    before = mounted(render(seen, SETTINGS))
    rollout = Rollout("", 1, 1, 3, 3, 3, certificate=before)
    return replace(seen, registry=registry(tls=tls), secrets=SecretView(left), rollout=rollout)


def mounted(rendered: Rendered) -> str:
    deployment = rendered.child("Deployment", Key("harbour", "harbour"))
    assert deployment
    volumes = {one["name"]: one for one in deployment["spec"]["template"]["spec"]["volumes"]}
    return str(volumes["tls"]["secret"]["secretName"])


def written(values: dict[str, bytes]) -> SecretData:
    """As cert-manager leaves the Secret that was ours."""
    annotations = {CERTIFICATE: "harbour-tls"}
    return SecretData(values, annotations=annotations, owners=("uid-harbour-harbour",))


def served(of: Registry) -> RegistryObserved:
    return running(observed(of))[0]


def test_the_own_certificate_stays_until_the_issuers_is_there(other: dict[str, bytes]) -> None:
    """It is even kept good; then Roadstead writes no data any more, and clients get the issuer's CA."""
    before = served(registry())
    seen = turned(before, ISSUER)
    rendered = render(seen, SETTINGS)
    secret = rendered.child("Secret", TLS)
    assert secret
    assert secret["data"]
    assert rendered.child("Certificate", TLS)

    seen = turned(before, ISSUER, **{"harbour-tls": written(other)})
    rendered = render(seen, SETTINGS)
    secret = rendered.child("Secret", TLS)
    assert secret
    assert "data" not in secret
    bundle = rendered.child("ConfigMap", names.ca_bundle(seen.registry))
    assert bundle
    assert bundle["data"]["ca.crt"].encode() == other["ca.crt"]


def test_a_public_issuer_leaves_no_bundle(other: dict[str, bytes]) -> None:
    """Nothing is to be trusted beside what clients trust anyhow; the one of before goes."""
    public = {name: value for name, value in other.items() if name != "ca.crt"}
    seen = turned(served(registry()), ISSUER, **{"harbour-tls": written(public)})
    assert certificates(seen).bundle is None
    assert ("ConfigMap", names.ca_bundle(seen.registry)) in render(seen, SETTINGS).unwanted


def test_what_is_served_stays_while_the_users_secret_is_missing(other: dict[str, bytes]) -> None:
    """Pods get another Secret when it can be used; the own one goes when no pod has it any more."""
    before = served(registry())
    for secret in (None, SecretData({"tls.crt": b"no", "tls.key": b"certificate"})):
        seen = turned(before, GIVEN, public=secret)
        rendered = render(seen, SETTINGS)
        assert mounted(rendered) == "harbour-tls"
        assert rendered.child("Secret", TLS)
        assert ("Secret", TLS) not in rendered.unwanted

    seen = turned(before, GIVEN, public=SecretData(other))
    rendered = render(seen, SETTINGS)
    assert mounted(rendered) == "public"
    assert ("Secret", TLS) not in rendered.unwanted  # pods of before have it mounted
    assert seen.rollout
    done = replace(seen, rollout=replace(seen.rollout, certificate="public"))
    assert ("Secret", TLS) in render(done, SETTINGS).unwanted


def test_a_certificate_of_cert_manager_is_not_replaced_by_ours_meanwhile(other: dict[str, bytes]) -> None:
    """On the way to the user's Secret, it goes on being served as it is."""
    seen = turned(served(registry()), ISSUER, **{"harbour-tls": written(other)})
    seen = turned(seen, GIVEN)
    rendered = render(seen, SETTINGS)
    assert mounted(rendered) == "harbour-tls"
    assert rendered.child("Secret", TLS) is None
    assert ("Certificate", TLS) in rendered.unwanted


def test_the_users_certificate_stays_until_the_issuers_is_there(other: dict[str, bytes]) -> None:
    """Also where an own one is left over from before: clients trust the user's."""
    before = served(registry())
    given = turned(before, GIVEN, public=SecretData(other))
    for left in (None, before.secrets.found[TLS]):
        seen = turned(given, ISSUER, **{"harbour-tls": left})
        assert mounted(render(seen, SETTINGS)) == "public"
    seen = turned(given, ISSUER, **{"harbour-tls": written(other)})
    assert mounted(render(seen, SETTINGS)) == "harbour-tls"


LEFT = frozenset({"Certificate"})


def test_cert_manager_is_not_fought_while_its_certificate_may_not_be_deleted(
    other: dict[str, bytes],
) -> None:
    """It would write over ours, and we over its, again and again: its goes on being served, and is said."""
    issued = turned(served(registry()), ISSUER, **{"harbour-tls": written(other)})
    seen = replace(turned(issued, {}), left=LEFT)
    rendered = render(seen, SETTINGS)
    assert rendered.child("Secret", TLS) is None
    assert mounted(rendered) == "harbour-tls"
    bundle = rendered.child("ConfigMap", names.ca_bundle(seen.registry))
    assert bundle
    assert bundle["data"]["ca.crt"].encode() == other["ca.crt"]
    said = judge(seen, rendered, SETTINGS).condition("TLSReady")
    assert said
    assert (said.status, said.reason) == ("False", "NotPermitted")
    assert f"rolebinding {names.CERTIFICATES_ROLE} --namespace harbour" in said.message

    own = render(replace(seen, left=frozenset()), SETTINGS).child("Secret", TLS)
    assert own
    assert own["data"]


def test_the_secret_of_a_certificate_that_stays_is_not_deleted(other: dict[str, bytes]) -> None:
    """The user's is served; cert-manager would make the other again, and it would be nobody's."""
    seen = turned(served(registry()), ISSUER, **{"harbour-tls": written(other)})
    seen = turned(seen, GIVEN, public=SecretData(other))
    assert seen.rollout
    done = replace(seen, rollout=replace(seen.rollout, certificate="public"))
    assert {("Secret", TLS), ("Certificate", TLS)} <= {*render(done, SETTINGS).unwanted}
    rendered = render(replace(done, left=LEFT), SETTINGS)
    assert mounted(rendered) == "public"
    assert not {("Secret", TLS), ("Certificate", TLS)} & {*rendered.unwanted}


def test_no_certificate_is_asked_for_in_vain() -> None:
    """Not where the API server has no such kind, and not over a Secret of somebody else."""
    seen = observed(registry(tls=ISSUER))
    assert render(seen, SETTINGS).child("Certificate", TLS)
    lacking = replace(seen, unserved={"Certificate": Absence.MISSING})
    assert render(lacking, SETTINGS).child("Certificate", TLS) is None
    foreign = replace(seen, secrets=SecretView({**seen.secrets.found, TLS: SecretData({"mine": b"1"})}))
    assert render(foreign, SETTINGS).child("Certificate", TLS) is None
    assert foreign.now == NOW


SECOND_CA = {"selfSigned": {"caGeneration": 2, "caNotice": "30d"}}


@pytest.mark.parametrize("away", [ISSUER, GIVEN])
@pytest.mark.parametrize("back", [SECOND_CA, {"selfSigned": {}}, {}])
def test_who_goes_and_comes_back_has_the_ca_that_clients_trust(
    other: dict[str, bytes], away: Mapping[str, object], back: Mapping[str, object]
) -> None:
    """A spec without a number of the CA asks for no other one, however long it is so."""
    seen = later(served(registry(tls=SECOND_CA)), timedelta(0))
    trusted = certificates(seen).ca
    there = {"public": SecretData(other), "harbour-tls": written(other)}
    seen = turned(seen, away, **there)
    for days in (0, 8, 400):
        seen = later(seen, timedelta(days=days))
        assert certificates(seen).ca == trusted
    seen = later(turned(seen, back), timedelta(days=8))
    assert certificates(seen).bundle == trusted["ca.crt"]


def later(seen: RegistryObserved, passed: timedelta) -> RegistryObserved:
    """After this time, with all applied that was to be."""
    seen = replace(seen, now=seen.now + passed)
    made = [child for child in render(seen, SETTINGS).children if "data" in child]
    return replace(seen, secrets=SecretView({**seen.secrets.found, **secrets_of(made)}))
