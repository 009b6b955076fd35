"""What holds for every test: how long an example takes is the machine's matter, and no test fails for it."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("roadstead", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("roadstead")
