"""The one door to the Kubernetes API: find credentials, read, apply, delete, watch.

credentials   where the API server is and who we are (kubernetes.config), renewed while we run
resources     the resources that the operator touches, and their URLs
api           requests and answers as plain JSON objects; faults as the operator's errors
wire          how a request gets there: HTTP/1.1 (aiohttp), and HTTP/2 for watches
connections   as few of HTTP/2 as the API server allows
http2         one of them, and the answers on it
stream        list and watch that never ends, whatever the wire does
"""

from registry_operator.cluster.api import Cluster, Page, Scope, Seen, Version
from registry_operator.cluster.credentials import Credentials
from registry_operator.cluster.resources import Resource
from registry_operator.cluster.stream import Stream

__all__ = ["Cluster", "Credentials", "Page", "Resource", "Scope", "Seen", "Stream", "Version"]
