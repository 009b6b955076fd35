"""The vault of a replica: the keys that it holds, what they open and close, and the names they hide."""

from __future__ import annotations

from registry_runtime.encryption.envelope import Envelopes
from registry_runtime.encryption.keys import Keyring
from registry_runtime.encryption.names import HiddenNames


class Vault:
    """Everything that an encrypted registry needs besides its storage; `names` are unlocked by its check."""

    def __init__(self, keys: Keyring) -> None:
        self.keys = keys
        self.envelopes = Envelopes(keys)
        self.names = HiddenNames()
