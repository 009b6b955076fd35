"""Globs of repository names, as a user writes them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

COMPONENT = r"[a-z0-9*._-]+"
Glob = Annotated[str, Field(min_length=1, max_length=255, pattern=rf"^{COMPONENT}(/{COMPONENT})*$")]
