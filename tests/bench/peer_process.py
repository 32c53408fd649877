"""The peer as processes: tables of its own beside moru's, and one uvicorn for each service."""
import pathlib
import sys

from private_stack import free_port
from servers import Servers

HERE = pathlib.Path(__file__).resolve().parent
SERVICES = ("gateway", "generator", "evaluator")


def uvicorn(application, port, *options):
    """The command that serves a peer's application, under the Python of this program."""
    return [sys.executable, "-m", "uvicorn", f"peer.{application}:app", "--app-dir", str(HERE), "--host", "127.0.0.1",
            "--port", str(port), "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning",
            *options]


class Peer:
    """`with Peer(stack, logs) as peer` serves inside and is gone after."""

    def __init__(self, stack, logs):
        self.stack, self.servers = stack, Servers(logs)
        self.ports = {service: free_port() for service in SERVICES}
        self.url = self.address("gateway")

    def address(self, service):
        return f"http://127.0.0.1:{self.ports[service]}"

    def query(self, sql):
        """As PrivateStack.query, in the peer's own schema: moru's role may make no database."""
        return self.stack.query(f"SET search_path TO peer; {sql}")

    def processes(self):
        return self.servers.processes()

    def __enter__(self):
        self.query((HERE / "peer" / "schema.sql").read_text())
        environment = {"PYTHONDONTWRITEBYTECODE": "1", "PEER_DATABASE_URL": self.stack.urls["DATABASE_URL"],
                       "PEER_GENERATOR_URL": self.address("generator"), "PEER_EVALUATOR_URL": self.address("evaluator")}
        try:
            for service in SERVICES:
                self.servers.start(service, uvicorn(service, self.ports[service]), environment)
            for service in SERVICES:
                self.servers.wait(service, f"{self.address(service)}/health")
        except BaseException:
            self.servers.stop()
            raise
        return self

    def __exit__(self, *_error):
        self.servers.stop()
