"""Sockets inside another process's network namespace (setns(2); Python has os.setns only since 3.12)."""

import ctypes
import os
import socket
import threading
from pathlib import Path

CLONE_NEWNET = 0x40000000
CONNECT_SECONDS = 0.5


def socket_in(process: int, kind: socket.SocketKind) -> socket.socket:
    """An IPv4 socket that lives in the network namespace of `process`, wherever it is used from then on.

    It is made by a thread that enters the namespace and ends: the caller's own threads never leave theirs.
    Raises OSError.
    """
    made: list[socket.socket | OSError] = []

    def make() -> None:
        try:
            enter_network(process)
            made.append(socket.socket(socket.AF_INET, kind))
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    result = made[0]
    if isinstance(result, OSError):
        raise result
    return result


def connects(process: int, host: str, port: int) -> bool:
    """Whether a TCP connection from the network namespace of `process` is answered at this moment."""
    try:
        with socket_in(process, socket.SOCK_STREAM) as caller:
            caller.settimeout(CONNECT_SECONDS)
            caller.connect((host, port))
    except OSError:
        return False
    return True


def enter_network(process: int) -> None:
    """Moves the calling thread, and no other, into the network namespace of `process`. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path(f"/proc/{process}/ns/net").open("rb") as namespace:
        if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
