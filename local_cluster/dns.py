"""DNS: a CoreDNS on every node, at one address that each node has for itself.

So losing a zone leaves clients elsewhere with the DNS that they had, and a query never leaves its node.
"""

import secrets
import socket
import struct

from local_cluster.layout import DNS_ADDRESS, DNS_DOMAIN
from local_cluster.namespaces import socket_in

HOSTS_RELOAD_SECONDS = 1
NOWHERE = "127.0.0.1:5353"
CONFIG = "/etc/coredns/Corefile"
QUESTION_SECONDS = 0.3


def corefile() -> bytes:
    """Names of the cluster from the API, those of the node's /etc/hosts; there is no world outside.

    That the rest does not exist is said by a block of its own, behind `forward`: plugins are asked in a fixed
    order, in which `template` comes before `kubernetes` and `hosts`.
    """
    return f"""{DNS_DOMAIN}:53 in-addr.arpa:53 {{
    bind {DNS_ADDRESS}
    errors
    kubernetes {DNS_DOMAIN} in-addr.arpa {{
        kubeconfig /etc/kubernetes/dns.kubeconfig dns
        pods insecure
        ttl 5
    }}
}}
.:53 {{
    bind {DNS_ADDRESS}
    errors
    hosts /etc/hosts {{
        ttl 5
        reload {HOSTS_RELOAD_SECONDS}s
        fallthrough
    }}
    forward . {NOWHERE}
}}
.:{NOWHERE.rpartition(":")[2]} {{
    bind {NOWHERE.rpartition(":")[0]}
    template ANY ANY . {{
        rcode NXDOMAIN
    }}
}}
""".encode()


def question(name: str, number: int) -> bytes:
    """A query for the A record of a name (RFC 1035 §4.1)."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">6H", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", 1, 1)


def answered(reply: bytes, number: int) -> bool:
    """Whether the reply belongs to the query, reports no error and holds at least one record."""
    if len(reply) < struct.calcsize(">6H"):
        return False
    identity, flags, _questions, answers, _, _ = struct.unpack_from(">6H", reply)
    return bool(identity == number and flags & 0x8000 and not flags & 0x000F and answers)


def resolves(process: int, name: str) -> bool:
    """Whether the DNS of the machine whose PID 1 is `process` knows the name at this moment."""
    number = secrets.randbelow(1 << 16)
    try:
        with socket_in(process, socket.SOCK_DGRAM) as asker:
            asker.settimeout(QUESTION_SECONDS)
            asker.connect((DNS_ADDRESS, 53))
            asker.send(question(name, number))
            return answered(asker.recv(4096), number)
    except OSError:
        return False
