"""A fleet: a thousand Registries on one cluster, ten with real pods, the others played by simulated nodes."""
