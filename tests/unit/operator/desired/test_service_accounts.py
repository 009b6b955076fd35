"""What is written into the `imagePullSecrets` of ServiceAccounts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from registry_operator.desired.access_token import render
from registry_operator.desired.service_accounts import Edit, edits, naming, wanted
from registry_operator.models import Key
from registry_operator.observed import PlacedEntry, SecretData, ServiceAccount, TokenObserved

from tests.unit.operator.harbour import NOW, accounts, consents, placed, registry, token, view

UID = "uid-harbour-deployer"
OURS = PlacedEntry("deployer-pull", "AccessToken harbour/deployer")
DEFAULT, BUILDER = Key("shop", "default"), Key("shop", "builder")
PULLS = {"namespaces": ["shop"], "serviceAccounts": ["default", "builder"]}


def account(*names: str, version: str = "5", **entries: PlacedEntry) -> ServiceAccount:
    """With these names in its list; `ours`, `theirs` are entries that tokens placed."""
    uids = {"ours": UID, "theirs": "uid-other"}
    return ServiceAccount(version, names, {uids[who]: entry for who, entry in entries.items()})


def seen(found: Mapping[Key, ServiceAccount], **pulls: object) -> TokenObserved:
    """A token of harbour whose pull secret is in shop, and these ServiceAccounts."""
    of = registry()
    fresh = TokenObserved(
        token(pullSecrets=PULLS | pulls),
        NOW,
        registries={of.key: of},
        kubernetes_namespaces=accounts("shop"),
        consents=consents("shop"),
        service_accounts=found,
        listing=frozenset(key for key, one in found.items() if UID in one.placed),
    )
    return replace(fresh, secrets=view(placed(fresh.token, render(fresh))))


def only(one: TokenObserved) -> Edit:
    (found,) = edits(one)
    return found


def test_an_entry_is_added_to_those_of_others() -> None:
    """In their order, of the version that was seen, with an annotation that says whose it is."""
    made = only(seen({DEFAULT: account("regcred", version="41")}))
    assert (made.key, made.seen.resource_version) == (DEFAULT, "41")
    assert made.patch == {
        "metadata": {
            "annotations": {f"image-pull-secrets.roadstead.dev/{UID}": f"{OURS.secret} {OURS.owner}"},
        },
        "imagePullSecrets": [{"name": "regcred"}, {"name": "deployer-pull"}],
    }


def test_what_is_so_already_is_not_written() -> None:
    """Neither what is ours, nor the same name that somebody put there before."""
    assert edits(seen({DEFAULT: account("regcred", OURS.secret, ours=OURS)})) == ()
    theirs = seen({DEFAULT: account(OURS.secret)})
    assert edits(theirs) == ()
    assert naming(theirs, wanted(theirs)) == (DEFAULT,)


def test_an_entry_that_somebody_took_out_comes_back() -> None:
    """As any other drift."""
    made = only(seen({DEFAULT: account("regcred", ours=OURS)}))
    assert made.pull_secrets == ("regcred", OURS.secret)
    assert made.is_repair
    assert not only(seen({DEFAULT: account("regcred")})).is_repair
    assert not only(seen({DEFAULT: account(OURS.secret, ours=OURS)}, name="pier")).is_repair


def test_an_entry_goes_when_it_is_wanted_no_longer() -> None:
    """The field, the target or the whole of pullSecrets is gone; what others have there stays."""
    there = {DEFAULT: account("regcred", OURS.secret, "last", ours=OURS)}
    for changed in (
        seen(there, serviceAccounts=["builder"]),
        seen(there, namespaces=["harbour"]),
        replace(seen(there), token=token()),
        replace(seen(there), consents=consents("shop", harbour=False)),
    ):
        made = only(changed)
        assert made.pull_secrets == ("regcred", "last")
        assert list(made.patch["metadata"]["annotations"].values()) == [None]


def test_a_pull_secret_of_another_name_takes_the_place_of_the_first() -> None:
    """In one write, so that no pod is made in between."""
    made = only(seen({DEFAULT: account("regcred", OURS.secret, ours=OURS)}, name="pier"))
    assert made.pull_secrets == ("regcred", "pier")
    assert made.placed == PlacedEntry("pier", OURS.owner)


def test_a_name_that_two_tokens_placed_stays_until_both_are_gone() -> None:
    """The successor of a token has the same name for its Secret."""
    other = PlacedEntry(OURS.secret, "AccessToken harbour/deployer")
    joined = only(seen({DEFAULT: account(OURS.secret, theirs=other)}))
    assert (joined.pull_secrets, joined.placed) == ((OURS.secret,), OURS)
    both = {DEFAULT: account(OURS.secret, ours=OURS, theirs=other)}
    left = only(seen(both, serviceAccounts=[]))
    assert (left.pull_secrets, left.placed) == ((OURS.secret,), None)


def test_the_secret_comes_before_who_names_it() -> None:
    """No ServiceAccount names a Secret that is not there yet, or is somebody else's."""
    found = {DEFAULT: account()}
    whole = seen(found)
    assert len(edits(whole)) == 1
    assert edits(replace(whole, secrets=view())) == ()
    assert edits(replace(whole, secrets=view({Key("shop", OURS.secret): SecretData({})}))) == ()
    named_once = seen({DEFAULT: account(OURS.secret, ours=OURS)})
    assert edits(replace(named_once, secrets=view())) == ()


def test_nothing_is_written_without_the_right_to() -> None:
    """A namespace that withdrew its RoleBinding keeps what is there."""
    there = seen({DEFAULT: account(OURS.secret, ours=OURS)}, serviceAccounts=[])
    assert len(edits(there)) == 1
    assert edits(replace(there, secrets=view(refused=["shop"]))) == ()


def test_who_should_name_the_secret_and_who_does() -> None:
    """Of two that are wanted one is there."""
    one = seen({DEFAULT: account(OURS.secret, ours=OURS)})
    assert wanted(one) == (BUILDER, DEFAULT)
    assert naming(one, wanted(one)) == (DEFAULT,)
