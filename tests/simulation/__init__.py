"""Many replicas, clients and collectors on one event loop, on a bucket as weak as a real one may be.

A scheduler decides at each call to the storage who goes on and what becomes of the call: so a history is a
list of choices, and comes again from the same ones. `python -m tests.simulation` plays them for as long as
it is told to.
"""
