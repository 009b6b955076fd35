"""`python -m local_cluster.relay CLUSTER FD HOST PORT`: from a socket of the host into the cluster's network.

It accepts on the listening socket that it was given, and dials from the control plane's network namespace.
That is looked up for each connection, so a relay outlives restarts of the control plane. Bytes are moved by
splice(2), within the kernel.
"""

import contextlib
import os
import socket
import struct
import sys
import threading

from local_cluster.cgroups import Cgroups
from local_cluster.layout import Layout
from local_cluster.machine import RunningMachine
from local_cluster.namespaces import socket_in

DIAL_SECONDS = 10.0
DEAD_PEER_MILLISECONDS = 60_000
AT_ONCE = 1 << 20
RESET = struct.pack("ii", 1, 0)  # linger for 0 s: close() sends RST


def serve(listener: socket.socket, control_plane: RunningMachine, target: tuple[str, int]) -> None:
    while True:
        client, _peer = listener.accept()
        threading.Thread(target=relay, args=(client, control_plane, target), daemon=True).start()


def relay(client: socket.socket, control_plane: RunningMachine, target: tuple[str, int]) -> None:
    """Joins a client to the target until both have ended; the failure of one side resets the other."""
    with client:
        try:
            server = dial(control_plane, target)
        except OSError:
            return  # closed without a byte: nothing was begun that a reset would have to call off
        with server:
            answers = threading.Thread(target=pump, args=(server, client), daemon=True)
            answers.start()
            pump(client, server)
            answers.join()


def dial(control_plane: RunningMachine, target: tuple[str, int]) -> socket.socket:
    """A connection from within the cluster. Raises OSError, also while the control plane is not running."""
    process = control_plane.pid()
    if process is None:
        raise ConnectionRefusedError
    server = socket_in(process, socket.SOCK_STREAM)
    try:
        server.settimeout(DIAL_SECONDS)
        server.connect(target)
        server.settimeout(None)
        # What is sent to a zone that is cut off is given up some day, with the threads that wait for it.
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_PEER_MILLISECONDS)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
    except OSError:
        server.close()
        raise
    return server


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Moves bytes to the end of `source`, then tells `sink` that no more will come."""
    out, into = os.pipe()
    try:
        while waiting := os.splice(source.fileno(), into, AT_ONCE):
            while waiting:
                waiting -= os.splice(out, sink.fileno(), waiting)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        reset(source)
        reset(sink)
    finally:
        os.close(out)
        os.close(into)


def reset(connection: socket.socket) -> None:
    """Ends both directions, waking whoever waits on them; the close that follows tells the peer by RST."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.shutdown(socket.SHUT_RD)


def main() -> None:
    name, descriptor, host, port = sys.argv[1:]
    machine = RunningMachine(Layout(name).control_plane, Cgroups.of_host())
    serve(socket.socket(fileno=int(descriptor)), machine, (host, int(port)))


if __name__ == "__main__":
    main()
