"""What holds for every test: how long an example takes is the machine's matter, and no test fails for it.

Each run tries the same examples, so that one that fails is the fault of what was changed. Others are tried
with `--hypothesis-profile=explore`.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "roadstead", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
settings.register_profile("explore", settings.get_profile("roadstead"), derandomize=False)
settings.load_profile("roadstead")
