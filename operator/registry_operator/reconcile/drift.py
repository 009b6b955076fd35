"""Whether an object of the API server still says what was applied."""

from collections.abc import Mapping
from typing import Any


def covers(have: Any, want: Any) -> bool:
    """Whether all of `want` stands in `have`; what the API server or others added does not matter.

    Lists must have as many elements. An empty or null value covers a missing one: the API server drops these.
    """
    if isinstance(want, Mapping):
        if not isinstance(have, Mapping):
            return not want and have is None
        return all(covers(have.get(name), value) for name, value in want.items())
    if isinstance(want, list):
        if have is None:
            return not want
        same = isinstance(have, list) and len(have) == len(want)
        return same and all(covers(*pair) for pair in zip(have, want, strict=True))
    if have is None:
        return want in (None, "", 0, False)
    return type(have) is type(want) and bool(have == want)


def differences(have: Any, want: Any, path: str = "") -> list[str]:
    """Where `have` does not cover `want`: paths such as `spec.ports[0].port`, without values."""
    if covers(have, want):
        return []
    if isinstance(want, Mapping) and isinstance(have, Mapping):
        below = [differences(have.get(name), value, _join(path, name)) for name, value in want.items()]
        return [one for found in below for one in found]
    if isinstance(want, list) and isinstance(have, list) and len(have) == len(want):
        pairs = enumerate(zip(have, want, strict=True))
        return [one for number, pair in pairs for one in differences(*pair, f"{path}[{number}]")]
    return [path]


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
