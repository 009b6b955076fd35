"""The runtime: an OCI registry over a bucket or a directory."""
