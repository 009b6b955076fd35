"""The driver of a bucket."""
