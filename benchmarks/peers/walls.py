"""`python -m benchmarks.peers.walls`: what the least that can be done costs on this machine.

Each loop does one thing of a registry's work and nothing else: no HTTP, no access, and a digest only where it
says so. Where a bar is missed, this is what to compare with. The figures are MiB by CPU second of the loop;
the other end of a socket is a process of its own.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import socket
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.certificates import Authority

_MIB = 1024 * 1024
_SIZE = 512  # MiB of a measurement
_ROUNDS = 5
_FRAME = 256 * 1024
_FOLDER = Path("/dev/shm")  # noqa: S108 - a file of its own is made in it
_CONTEXT = multiprocessing.get_context("fork")


def main() -> int:
    print(f"{ssl.OPENSSL_VERSION}, {_SIZE} MiB each, median of {_ROUNDS} (least to greatest)\n")
    print("| the least that can be done | MiB by CPU second |\n|---|---|")
    with tempfile.TemporaryDirectory(dir=_FOLDER if _FOLDER.is_dir() else None) as folder:
        for what, measure in _loops(Path(folder)).items():
            rates = sorted(_SIZE / measure() for _ in range(_ROUNDS))
            print(
                f"| {what} | {statistics.median(rates):,.0f} ({rates[0]:,.0f} to {rates[-1]:,.0f}) |",
                flush=True,
            )
    return 0


def _loops(folder: Path) -> dict[str, Callable[[], float]]:
    """Loops that give their CPU seconds."""
    return {
        "SHA-256, 1 MiB at a time": _hash,
        "AES-256-GCM opened, 256 KiB at a time": _open,
        "a push: received, hashed, written, 1 MiB at a time": lambda: _push(folder / "pushed"),
        "a push over TLS: OpenSSL reads from the socket": lambda: _push_tls(folder, fed=False),
        "a push over TLS: OpenSSL is fed through memory": lambda: _push_tls(folder, fed=True),
        "a pull: a file by sendfile(2)": lambda: _pull(folder / "pulled", read=False),
        "a pull: a file read and sent, 256 KiB at a time": lambda: _pull(folder / "pulled", read=True),
        "a cold pull: 1 stream received and sent on, 512 KiB at a time": lambda: _relay(1),
        "a cold pull: 8 streams in turn": lambda: _relay(8),
    }


def _hash() -> float:
    block = os.urandom(_MIB)
    begun = time.process_time()
    digest = hashlib.sha256()
    for _ in range(_SIZE):
        digest.update(block)
    return time.process_time() - begun


def _open() -> float:
    cipher, out = AESGCM(os.urandom(32)), bytearray(_FRAME)
    sealed = []
    for _ in range(64):  # more than a core's own cache holds
        nonce = os.urandom(12)
        sealed.append((nonce, cipher.encrypt(nonce, os.urandom(_FRAME), b"")))
    begun = time.process_time()
    for number in range(_SIZE * _MIB // _FRAME):
        nonce, frame = sealed[number % len(sealed)]
        cipher.decrypt_into(nonce, frame, b"", out)
    return time.process_time() - begun


def _push(path: Path) -> float:
    ours, theirs = _pair()
    client = _beside(_send, theirs, _SIZE)
    block = memoryview(bytearray(_MIB))
    digest = hashlib.sha256()
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    begun, written = time.process_time(), 0
    while count := ours.recv_into(block, 0, socket.MSG_WAITALL):
        digest.update(block[:count])
        written += os.pwrite(file, block[:count], written)
    used = time.process_time() - begun
    os.close(file)
    path.unlink()
    client.join()
    return used


def _push_tls(folder: Path, *, fed: bool) -> float:
    """`fed`: as every event loop does it, 256 KiB from the socket at a time."""
    tls = Authority(folder / "authority").issue(folder / "tls", "localhost")
    ours, theirs = _pair()
    client = _beside(_send_tls, theirs, _SIZE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls / "tls.crt", tls / "tls.key")
    context.num_tickets = 0  # the client would end with them unread, and what it had sent be lost
    receive = _fed(context, ours) if fed else context.wrap_socket(ours, server_side=True).recv_into
    block = memoryview(bytearray(_MIB))
    digest = hashlib.sha256()
    path = folder / "pushed"
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    begun, written = time.process_time(), 0
    while written < _SIZE * _MIB:
        filled = 0
        while filled < _MIB:
            count = receive(block[filled:])
            if not count:
                raise ConnectionError("the client ended")
            filled += count
        digest.update(block)
        written += os.pwrite(file, block, written)
    used = time.process_time() - begun
    os.close(file)
    path.unlink()
    client.join()
    return used


def _fed(context: ssl.SSLContext, ours: socket.socket) -> Callable[[memoryview], int]:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    end = context.wrap_bio(incoming, outgoing, server_side=True)
    came = memoryview(bytearray(_FRAME))

    def step(do: Callable[[], Any]) -> Any:
        while True:
            try:
                return do()
            except ssl.SSLWantReadError:
                ours.sendall(outgoing.read())
                count = ours.recv_into(came)
                if not count:
                    raise ConnectionError("the client ended") from None
                incoming.write(came[:count])

    step(end.do_handshake)
    ours.sendall(outgoing.read())
    return lambda room: int(step(lambda: end.read(len(room), room)))


def _pull(path: Path, *, read: bool) -> float:
    if not path.exists():
        path.write_bytes(os.urandom(_MIB) * _SIZE)
    ours, theirs = _pair()
    client = _beside(_drop, theirs)
    block = memoryview(bytearray(_FRAME))
    file = os.open(path, os.O_RDONLY)
    begun, sent = time.process_time(), 0
    while sent < _SIZE * _MIB:
        if read:
            count = os.preadv(file, [block], sent)
            ours.sendall(block[:count])
            sent += count
        else:
            sent += os.sendfile(ours.fileno(), file, sent, _MIB)
    used = time.process_time() - begun
    os.close(file)
    _end(ours)
    client.join()
    return used


def _relay(streams: int) -> float:
    inward, outward, others = [], [], []
    for _ in range(streams):
        ours, theirs = _pair()
        others.append(_beside(_send, theirs, _SIZE // streams))
        inward.append(ours)
        ours, theirs = _pair()
        others.append(_beside(_drop, theirs))
        outward.append(ours)
    blocks = [memoryview(bytearray(512 * 1024)) for _ in range(streams)]
    running = set(range(streams))
    begun = time.process_time()
    while running:
        for number in tuple(running):
            if count := inward[number].recv_into(blocks[number], 0, socket.MSG_WAITALL):
                outward[number].sendall(blocks[number][:count])
            else:
                _end(outward[number])
                running.discard(number)
    used = time.process_time() - begun
    for other in others:
        other.join()
    return used


def _pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of a TCP connection on the loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        theirs = socket.create_connection(listening.getsockname())
        return listening.accept()[0], theirs


def _beside(
    work: Callable[..., None], theirs: socket.socket, *arguments: int
) -> multiprocessing.process.BaseProcess:
    """A process at the other end, which alone holds it."""
    process = _CONTEXT.Process(target=work, args=(theirs, *arguments))
    process.start()
    theirs.close()
    return process


def _end(ours: socket.socket) -> None:
    """The other end is told, though processes that were begun meanwhile have a copy of this one."""
    ours.shutdown(socket.SHUT_WR)
    ours.close()


def _send(to: socket.socket, mib: int) -> None:
    block = os.urandom(_MIB)
    for _ in range(mib):
        to.sendall(block)
    to.shutdown(socket.SHUT_WR)


def _send_tls(to: socket.socket, mib: int) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the loopback to ourselves
    with context.wrap_socket(to) as secured:
        _send(secured, mib)


def _drop(source: socket.socket) -> None:
    buffer = bytearray(_MIB)
    with suppress(ConnectionError):
        while source.recv_into(buffer, _MIB, socket.MSG_TRUNC):
            pass


if __name__ == "__main__":
    sys.exit(main())
