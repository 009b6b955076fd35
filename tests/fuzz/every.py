"""All formats, by their names."""

from __future__ import annotations

from tests.fuzz.answers import ANSWERS
from tests.fuzz.bodies import BODIES
from tests.fuzz.encryption import ENCRYPTED
from tests.fuzz.formats import FORMATS
from tests.fuzz.vouched import VOUCHED

EVERY = {**FORMATS, **ENCRYPTED, **ANSWERS, **BODIES, **VOUCHED}
