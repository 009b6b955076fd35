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
