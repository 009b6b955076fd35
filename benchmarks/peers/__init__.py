"""Roadstead beside other registries: the same machine, storage and client, in turn."""
