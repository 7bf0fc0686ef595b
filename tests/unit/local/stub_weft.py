"""
A scripted ``weft`` with just what a runner asks of it: ``serve`` and ``sidecar``.

``serve`` keeps resources and instances in DATA/stub.json and a line for each
request in DATA/requests. ``sidecar`` accepts on all its ports, leads ingress to
the app, and says in DATA/requests when it was told to drain.
"""

import argparse
import json
import os
import re
import signal
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def note(data: Path, text: str) -> None:
    with (data / "requests").open("a") as log:
        log.write(text + "\n")


def serve(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    flags = (
        "api",
        "xds",
        "data",
        "region",
        "account",
        "quotas",
        "quota",
        "log-level",
        "log-format",
    )
    for flag in flags:
        parser.add_argument(f"--{flag}")
    given = parser.parse_args(arguments)
    data = Path(given.data)
    file = data / "stub.json"
    if os.environ.get("STUB_REFUSES"):
        sys.exit("stub: cannot serve")
    state = (
        json.loads(file.read_text())
        if file.exists()
        else {"revision": 0, "resources": {}, "instances": {}}
    )
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def answer(self, status: int, body: object) -> None:
            content = json.dumps(body).encode() if body is not None else b""
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.send_header("x-weft-revision", str(state["revision"]))
            self.end_headers()
            self.wfile.write(content)

        def changed(self) -> None:
            state["revision"] += 1
            file.with_suffix(".new").write_text(json.dumps(state))
            file.with_suffix(".new").replace(file)

        def handle_any(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or "{}")
            path = self.path.partition("?")[0]
            if not path.endswith(("status", "resources")):
                note(data, f"{self.command} {path}")
            with lock:
                self.answer(*self.respond(path, body))

        do_GET = do_POST = do_PUT = do_DELETE = handle_any

        def respond(self, path: str, body: dict) -> tuple[int, object]:
            instances = state["instances"]
            match [self.command, *path.removeprefix("/weft/v1/").split("/")]:
                case ["GET", "status"]:
                    return 200, {"revision": state["revision"]}
                case ["GET", "resources"]:
                    found = list(state["resources"].values())
                    return 200, {"revision": state["revision"], "resources": found}
                case ["POST", "apply"]:
                    for each in body["resources"]:
                        if each.get("spec", {}).get("refused"):
                            problem = {"path": "resources[0].spec.refused", "message": "is refused"}
                            said = {"code": "BadRequestException", "message": "no"}
                            return 400, said | {"problems": [problem]}
                    for each in body["resources"]:
                        key = key_of(each)
                        state["resources"][key] = {"key": key, **each}
                    self.changed()
                    outcomes = [{"key": key_of(r), "action": "created"} for r in body["resources"]]
                    return 200, {"revision": state["revision"], "outcomes": outcomes}
                case ["POST", "missingCertificates"]:
                    named = re.findall(r'"certificateArn": "([^"]+)"', json.dumps(state))
                    return 200, {"missing": [{"arn": arn} for arn in dict.fromkeys(named)]}
                case ["GET", "wait"]:
                    return 200, {"revision": state["revision"], "total": 1, "accepted": 1}
                case ["PUT", "meshes", mesh, "virtualNodes", node, "instances", id]:
                    if f"mesh/{mesh}/virtualNode/{node}" not in state["resources"]:
                        return 404, {"code": "NotFoundException", "message": f"no node {node}"}
                    instances[id] = body["addresses"]
                    self.changed()
                    return 200, {"revision": state["revision"]}
                case ["POST", *_, id, "heartbeat"]:
                    known = id in instances
                    return (204, None) if known else (404, {"code": "NotFoundException"})
                case ["DELETE", *_, id]:
                    if instances.pop(id, None) is None:
                        return 404, {"code": "NotFoundException", "message": "not there"}
                    self.changed()
                    return 200, {"revision": state["revision"]}
                case _:
                    return 404, {"code": "NotFoundException", "message": path}

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    host, _, port = given.api.rpartition(":")
    server = Server((host, int(port)), Handler)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    print("stub serves", flush=True)
    server.serve_forever()


def key_of(resource: dict) -> str:
    mesh, kind = resource["meshName"], resource["kind"]
    if kind == "mesh":
        return f"mesh/{mesh}"
    name = resource[f"{kind}Name"]
    return f"mesh/{mesh}/{kind}/{name}"


def sidecar(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    for flag in ("proxy", "instance", "mode", "xds", "data", "ready-file", "egress", "apps"):
        parser.add_argument(f"--{flag}")
    parser.add_argument("--ingress", action="append", default=[])
    parser.add_argument("--backend", action="append", default=[])
    given = parser.parse_args(arguments)
    data = Path(given.data)

    def stop(*_: object) -> None:
        note(data, f"sidecar {given.instance} drains")
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    for each in given.ingress:
        _, _, ports = each.partition("=")
        listening, app = map(int, ports.split(":"))
        listen(listening, app)
    for each in given.backend:
        listen(int(each.rpartition("=")[2]), None)
    listen(int(given.egress), None)
    Path(given.ready_file).write_text("{}")
    print(f"stub sidecar of {given.proxy} is ready", flush=True)
    signal.pause()


def listen(port: int, app: int | None) -> None:
    server = socket.create_server(("127.0.0.1", port))

    def accept() -> None:
        while True:
            client, _ = server.accept()
            threading.Thread(target=lead, args=(client, app), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def lead(client: socket.socket, app: int | None) -> None:
    with client:
        if app is None:
            return
        try:
            with socket.create_connection(("127.0.0.1", app)) as upstream:
                upstream.sendall(client.recv(65536))
                while data := upstream.recv(65536):
                    client.sendall(data)
        except OSError:
            return


if __name__ == "__main__":
    {"serve": serve, "sidecar": sidecar}[sys.argv[1]](sys.argv[2:])
