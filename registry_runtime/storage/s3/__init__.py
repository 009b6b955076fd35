"""The driver of a bucket, with two hands.

`wire` carries what is frequent or large: small objects, parts, streams, listings; asynchronous.
`administration` carries what is broad: batches, multiparts; boto3 in threads.
"""

from registry_runtime.storage.s3.bucket import Bucket

__all__ = ["Bucket"]
