"""The policy's document: the same policy gives the same bytes, in every process."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib

import pytest

from registry_runtime.contract.policy import Action, Claim, Grant, Policy, Sparse, Token, packed
from registry_runtime.contract.subject import SELF_CHECK, OidcProvider

GRANT = Grant(repositories=("team/**", "*"), actions=frozenset(Action))
POLICY = Policy(
    namespaces={name: Claim(account=name, owner=f"uid-{name}") for name in ("b", "a")},
    tokens={id_: Token(account="a", owner="u", hashes=("00",), grants=(GRANT,)) for id_ in ("t2", "t1")},
    anonymous=(GRANT,),
)


def test_reading_back_changes_nothing() -> None:
    """Neither the content nor the revision."""
    again = Policy.model_validate_json(POLICY.encode())
    assert again == POLICY
    assert again.revision == POLICY.revision


def test_the_order_of_keys_is_no_content() -> None:
    """Namespaces and tokens in another order are the same policy."""
    other = POLICY.model_copy(
        update={
            "namespaces": dict(reversed(POLICY.namespaces.items())),
            "tokens": dict(reversed(POLICY.tokens.items())),
        }
    )
    assert other.encode() == POLICY.encode()


def test_every_process_finds_the_same_revision() -> None:
    """Sets are ordered by a seed of the process: the revision must not be."""
    program = (
        "import sys; from registry_runtime.contract.policy import Policy;"
        "print(Policy.model_validate_json(sys.stdin.buffer.read()).revision)"
    )
    for seed in ("0", "1", "2", "3"):
        found = subprocess.run(
            [sys.executable, "-c", program],
            input=POLICY.encode(),
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            check=True,
        )
        assert found.stdout.decode().strip() == POLICY.revision


def test_what_manifests_may_lack_is_the_namespace_s_to_say() -> None:
    """A claimed namespace has its own rule, others that of the policy, in whichever shard it stands."""
    lean = Sparse(indexes=False, images=True)
    claims = {"mirror": Claim(account="a", owner="a", sparse=lean), "team": Claim(account="a", owner="a")}
    whole = Policy.merge((Policy(namespaces=claims), Policy(sparse=lean), Policy()))
    assert whole.sparse_in("mirror") == lean
    assert whole.sparse_in("team") == Sparse(indexes=True, images=False)
    assert whole.sparse_in("nobody-s") == lean
    assert Policy().sparse_in("nobody-s") == Sparse()
    assert Policy.model_validate_json(whole.encode()) == whole


def test_a_revision_is_known_by_its_parts() -> None:
    """Whoever has the numbers of the shards need not look at what has not changed; any change is another."""
    one = Policy(namespaces=POLICY.namespaces, anonymous=(GRANT,))
    other = Policy(tokens=POLICY.tokens)
    assert POLICY.revision_with(one.keyed() + other.keyed()) == POLICY.revision
    moved = {"t1": POLICY.tokens["t1"], "t3": POLICY.tokens["t2"]}
    closed = POLICY.model_copy(update={"private_only": True})
    fewer = {"t1": POLICY.tokens["t1"]}
    changed = [POLICY.model_copy(update={"tokens": tokens}).revision for tokens in (moved, fewer, {})]
    assert len({POLICY.revision, closed.revision, *changed}) == 5


def test_a_packed_document_is_the_same_and_the_same_each_time() -> None:
    """As the Secret holds it; a plain one, of a file that somebody wrote, is read as well."""
    content = packed(POLICY.encode())
    assert Policy.decode(content) == Policy.decode(POLICY.encode()) == POLICY
    assert content == packed(POLICY.encode())
    assert content[4:8] == bytes(4), "no time of making"
    assert len(packed(b"0" * 100_000)) < 1000


BOMB = zlib.compressobj(wbits=31)
TOO_LONG = BOMB.compress(b" " * (64 * 2**20 + 1)) + BOMB.flush()


@pytest.mark.parametrize(
    "content", [packed(b"{}")[:-9], b"\x1f\x8b" + bytes(20), TOO_LONG, packed(b"{"), b"", packed(b"[]")]
)
def test_what_is_no_document_is_refused(content: bytes) -> None:
    """Cut off, no gzip, longer than anybody needs, or no policy: one kind of error, and no memory spent."""
    with pytest.raises(ValueError, match=r"."):
        Policy.decode(content)


def test_no_provider_is_called_as_a_replica_calls_itself() -> None:
    """Its word would open the repository of the self-check."""
    policy = Policy.model_construct(oidc={SELF_CHECK: OidcProvider(issuer="https://i.test", audience="a")})
    with pytest.raises(ValueError, match="is what a replica calls itself"):
        Policy.decode(policy.encode())
