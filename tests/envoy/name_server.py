"""A name server whose records a test can change while it runs."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


class NameServer:
    """Answers from ``records``; asked for what is not there, it says so as a real one does."""

    def __init__(self, udp: socket.socket, tcp: socket.socket) -> None:
        self.records: dict[tuple[str, str], list[str]] = {}
        self.ttl = 60
        self.truncates = False
        """Every answer by UDP is cut short."""
        self.silent = False
        self.refuses = False
        self.asked: list[tuple[str, str, str]] = []
        """Name, type and transport, as they came."""
        self.messages: list[bytes] = []
        self._udp, self._tcp = udp, tcp
        self._selector = selectors.DefaultSelector()
        self._stop, self._stopped = socket.socketpair()
        for each in (udp, tcp, self._stopped):
            self._selector.register(each, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="test name server")

    @property
    def address(self) -> tuple[str, int]:
        host, port, *_ = self._udp.getsockname()
        return str(host), int(port)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.send(b".")
        self._thread.join()
        self._selector.close()
        for each in (self._udp, self._tcp, self._stop, self._stopped):
            each.close()

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._stopped:
                    return
                if key.fileobj is self._udp:
                    message, client = self._udp.recvfrom(65535)
                    with suppress(OSError, dns.exception.DNSException, ValueError):
                        answer = self._answer(message, "udp")
                        if not self.silent:
                            self._udp.sendto(answer, client)
                else:
                    self._serve_tcp()

    def _serve_tcp(self) -> None:
        client, _ = self._tcp.accept()
        with client, suppress(OSError, dns.exception.DNSException):
            client.settimeout(2)
            while head := client.recv(2):
                message = b""
                while len(message) < int.from_bytes(head):
                    message += client.recv(int.from_bytes(head) - len(message))
                answer = self._answer(message, "tcp")
                client.sendall(len(answer).to_bytes(2) + answer)

    def _answer(self, message: bytes, transport: str) -> bytes:
        self.messages.append(message)
        query = dns.message.from_wire(message)
        (question,) = query.question
        name, type = question.name.to_text(), dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, type, transport))
        response = dns.message.make_response(query, recursion_available=True)
        plain = name.rstrip(".").lower()
        found = self.records.get((plain, type))
        if self.refuses:
            response.set_rcode(dns.rcode.REFUSED)
        elif found:
            response.answer.append(dns.rrset.from_text(name, self.ttl, "IN", type, *found))
        elif not any(known == plain for known, _ in self.records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        if self.truncates and transport == "udp":
            response.flags |= dns.flags.TC
            response.answer.clear()
        return response.to_wire()


def sockets(host: str, port: int = 0) -> tuple[socket.socket, socket.socket]:
    """Both transports at one port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    while True:
        udp = socket.socket(family, socket.SOCK_DGRAM)
        udp.bind((host, port))
        tcp = socket.socket(family, socket.SOCK_STREAM)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tcp.bind(udp.getsockname())
        except OSError:
            udp.close()
            tcp.close()
            if port:
                raise
            continue  # Free for one transport, taken for the other.
        tcp.listen()
        return udp, tcp


@contextmanager
def name_server(host: str = "127.0.0.1", port: int = 0) -> Iterator[NameServer]:
    made = NameServer(*sockets(host, port))
    made.start()
    try:
        yield made
    finally:
        made.stop()
