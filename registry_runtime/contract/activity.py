"""`Activity`: the way back of what was done. Each replica serves it on its internal port, beside its state.

`GET /activity?after=<cursor>` answers at once with what changed since the answer of that `cursor`; without
one, or with one of another life of the replica, with all that it remembers. With `more`, asking again after
this cursor gives the rest. All values are absolute: what is told twice says the same.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from registry_runtime.contract.config import Told
from registry_runtime.contract.policy import Action

_TOKEN = r"^[0-9a-z]{16}$"  # noqa: S105 - the form of an id
_REPOSITORY = r"^[a-z0-9._/-]*$"  # of names that were parsed; nothing else becomes part of a sentence
_WORD = r"^[A-Za-z0-9-]*$"

TokenId = Annotated[str, Field(pattern=_TOKEN)]
Second = Annotated[int, Field(ge=0, le=2**38)]  # of Unix


class Refusal(Told):
    """What was refused, how often since the replica's start (or since it was forgotten), and last when.

    `token` is the id of an AccessToken whose password was good, `provider` who vouched for another identity;
    without either the client had no credentials, or wrong ones. `namespace` is one that is bound, "" for
    any other. `action` is None for a login that asked for no repository.
    """

    token: TokenId | None = None
    provider: Annotated[str, Field(max_length=63, pattern=_WORD)] = ""
    namespace: Annotated[str, Field(max_length=255, pattern=_REPOSITORY)] = ""
    repository: Annotated[str, Field(max_length=255, pattern=_REPOSITORY)] = ""
    action: Action | None = None
    reason: Annotated[str, Field(min_length=1, max_length=64, pattern=_WORD)]
    endpoint: Literal["public", "private"]
    count: Annotated[int, Field(ge=1)] = 1
    last: Second = 0


class Activity(Told):
    """What changed. `epoch` is another one after each start of the replica, which counts from nothing then.

    `used` is when each AccessToken was last let in, `spent` how many of its uses are known to be spent.
    """

    epoch: Annotated[str, Field(max_length=32)]
    cursor: Annotated[str, Field(max_length=64)]
    more: bool = False
    used: dict[TokenId, Second] = Field(default_factory=dict)
    spent: dict[TokenId, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    refusals: tuple[Refusal, ...] = ()
