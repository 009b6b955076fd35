"""Whether an object of the API server still says what was applied."""

from collections.abc import Mapping
from typing import Any

Path = tuple[str | int, ...]


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


def differences(have: Any, want: Any, path: Path = ()) -> list[Path]:
    """Where `have` does not cover `want`, without values."""
    if covers(have, want):
        return []
    if isinstance(want, Mapping) and isinstance(have, Mapping):
        pairs = [(name, have.get(name), value) for name, value in want.items()]
    elif isinstance(want, list) and isinstance(have, list) and len(have) == len(want):
        pairs = [(number, *pair) for number, pair in enumerate(zip(have, want, strict=True))]
    else:
        return [path]
    return [one for step, there, wanted in pairs for one in differences(there, wanted, (*path, step))]


def text(path: Path) -> str:
    """As kubectl's JSONPath writes it: `spec.ports[0].port`, `data['ca.crt']`."""
    words = [f"[{step}]" if isinstance(step, int) else _name(step) for step in path]
    return "".join(words).removeprefix(".")


def _name(step: str) -> str:
    return f".{step}" if step.isidentifier() else f"['{step}']"
