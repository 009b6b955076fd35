"""The tenant's own keys, and what is known of their use."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from registry_operator.models.base import Value
from registry_operator.models.storage import SecretRef

# As the keys of a Secret; one that begins with a dot is none of ours: the kubelet keeps such files beside.
KeyName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-_a-zA-Z0-9][-._a-zA-Z0-9]*$")]


class Encryption(Value):
    """Content and metadata are encrypted before they leave a replica; the bucket never has a key."""

    key_secret_ref: Annotated[
        SecretRef,
        Field(
            description=(
                "Secret with the keys, each of 32 bytes: as they are, as base64 or in hex. All of them "
                "decrypt, so a key stays in it for as long as something needs it."
            )
        ),
    ]
    active_key: Annotated[
        KeyName,
        Field(description="Name in the Secret of the key that encrypts, from when every replica holds it."),
    ]


class HeldKey(Value):
    """A key, told apart from others."""

    name: Annotated[str, Field(description="Name in the Secret.")]
    id: Annotated[str, Field(description="16 hex digits that tell keys apart, and nothing else of them.")]


class Rewrapping(Value):
    """How far the records of other keys are encrypted anew; round figures while it goes on."""

    examined: Annotated[int, Field(description="Records that were looked at.")]
    rewrapped: Annotated[int, Field(description="Of these, encrypted anew under the active key.")]
    left: Annotated[int, Field(description="Of these, that still need another key.")]
    done: Annotated[bool, Field(description="Whether every record was looked at.")]


class EncryptionStatus(Value):
    """What the replicas say of the keys; names and ids only."""

    active: Annotated[HeldKey | None, Field(description="The key that encrypts.")] = None
    keys: dict[str, str] = Field(default={}, description="Ids of the keys that every replica holds, by name.")
    rewrapping: Annotated[
        Rewrapping | None, Field(description="How far other keys are out of use since this one is in use.")
    ] = None
    removable: Annotated[
        tuple[str, ...], Field(description="Keys that nothing needs: they may be taken out of the Secret.")
    ] = ()
