"""Bytes through a relay, between sockets of this machine."""

from __future__ import annotations

import socket
import threading

from local_cluster.relay import pump, reset


def connected() -> tuple[socket.socket, socket.socket]:
    """Both ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname(), timeout=5)
        far, _address = listener.accept()
    far.settimeout(None)  # splice(2) knows no timeout
    return near, far


def send(sender: socket.socket, content: bytes) -> None:
    sender.sendall(content)
    sender.shutdown(socket.SHUT_WR)


def test_every_byte_arrives_and_then_the_end() -> None:
    """More than fits into the pipe between; the other direction stays open."""
    sender, source = connected()
    sink, receiver = connected()
    sink.settimeout(None)
    content = bytes(range(256)) * 20_000
    with sender, source, sink, receiver:
        pumping = threading.Thread(target=pump, args=(source, sink))
        pumping.start()
        sending = threading.Thread(target=send, args=(sender, content))
        sending.start()

        received = bytearray()
        while part := receiver.recv(1 << 16):
            received += part
        receiver.sendall(b"answer")

        assert bytes(received) == content
        assert sink.recv(16) == b"answer"
        pumping.join(5)
        sending.join(5)


def test_the_failure_of_one_side_resets_the_other() -> None:
    """A client must not take half of an answer for the whole: it sees a reset, not an end."""
    sender, source = connected()
    sink, receiver = connected()
    with sender, receiver:
        receiver.settimeout(5)
        reset(sender)
        sender.close()

        with source, sink:
            pump(source, sink)

        try:
            ended = receiver.recv(16) == b""
        except ConnectionResetError:
            ended = False
        assert not ended
