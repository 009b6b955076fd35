"""Encryption under the tenant's keys: records whole, content in frames, digests by hidden names."""
