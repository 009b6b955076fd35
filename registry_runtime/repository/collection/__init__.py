"""Collection: what nothing refers to any more is hidden, kept for a grace, and taken.

`collection` makes a pass, `repositories` and `blobs` walk through the storage and find what is garbage,
`taking` lets it go, `stale` and `audit` find what uploads left, `lease` lets one replica at a time do it, and
`receipt` says what was done. docs/collection.md tells why nothing is taken that anybody relies on.
"""
