"""
Run in a network namespace that has the addresses below: a runner's network, and the way out of it.

Prints, as JSON, what a program in a room of that network found.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from weft.local.addressing import Home
from weft.local.isolation import possible
from weft.local.netns import Network
from weft.local.processes import Processes

V4, V6 = "203.0.113.7", "2001:db8::7"
NAME = "somewhere.example"

FIND = """
import json, socket, sys, urllib.request
found = {"name": socket.gethostbyname(sys.argv[1])}
for host in sys.argv[2:]:
    found[host] = urllib.request.urlopen(f"http://{host}:8080/", timeout=10).read().decode()
try:
    socket.gethostbyname("nowhere.example")
except socket.gaierror as error:
    found["nowhere"] = error.errno == socket.EAI_NONAME
print(json.dumps(found))
"""


class Pages(BaseHTTPRequestHandler):
    """Says who asks."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.client_address[0].encode())

    def log_message(self, *_: object) -> None:
        pass


class Pages6(ThreadingHTTPServer):
    address_family = socket.AF_INET6


def name_server(server: socket.socket) -> None:
    """Knows one name, by its IPv4 address; of all others it says that there are none."""
    wanted = b"".join(bytes([len(part)]) + part.encode() for part in NAME.split("."))
    while True:
        query, client = server.recvfrom(4096)
        known = wanted in query.lower()
        is_v4 = query[query.index(b"\0", 12) + 1 :][:2] == b"\0\1"
        answer = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4" + socket.inet_aton(V4) if known and is_v4 else b""
        count = b"\0\1" if answer else b"\0\0"
        flags = b"\x81\x80" if known else b"\x81\x83"
        end = query.index(b"\0", 12) + 5
        head = query[:2] + flags + b"\0\1" + count + b"\0\0\0\0"
        server.sendto(head + query[12:end] + answer, client)


async def found(directory: Path) -> str:
    isolation = possible(os.environ)
    async with Processes() as processes:
        network = Network(isolation, processes, directory, lambda line: sys.stderr.write(line))
        await network.open()
        home = Home(1, isolation.ipv6)
        room = await network.room(home, "one", "127.0.0.1 localhost\n", own_names=False)
        command = [sys.executable, "-c", FIND, NAME, V4, f"[{V6}]"]
        process = await asyncio.create_subprocess_exec(
            *room.app_command(command, directory, isolation), stdout=asyncio.subprocess.PIPE
        )
        said, _ = await process.communicate()
        await room.close()
        await network.close()
    return said.decode()


def main() -> None:
    servers = [ThreadingHTTPServer((V4, 8080), Pages), Pages6((V6, 8080), Pages)]
    names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    names.bind((V4, 53))
    for each in servers:
        threading.Thread(target=each.serve_forever, daemon=True).start()
    threading.Thread(target=name_server, args=(names,), daemon=True).start()
    print(json.dumps(json.loads(asyncio.run(found(Path(sys.argv[1]))))))


if __name__ == "__main__":
    main()
