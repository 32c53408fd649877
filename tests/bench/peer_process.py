"""The peer as processes: tables of its own beside moru's, and one uvicorn for each service."""
import os
import pathlib
import subprocess
import sys
import time
import urllib.error

from private_stack import direct, free_port

HERE = pathlib.Path(__file__).resolve().parent
SERVICES = ("gateway", "generator", "evaluator")
START_SECONDS = 30


class Peer:
    """`with Peer(stack, logs) as peer` serves inside and is gone after. Runs under the Python of this program."""

    def __init__(self, stack, logs):
        self.stack, self.logs = stack, logs
        self.ports = {service: free_port() for service in SERVICES}
        self.url = self.address("gateway")
        self.running = {}

    def address(self, service):
        return f"http://127.0.0.1:{self.ports[service]}"

    def query(self, sql):
        """As PrivateStack.query, in the peer's own schema: moru's role may make no database."""
        return self.stack.query(f"SET search_path TO peer; {sql}")

    def processes(self):
        return {service: process.pid for service, process in self.running.items()}

    def __enter__(self):
        self.logs.mkdir(parents=True, exist_ok=True)
        self.query((HERE / "peer" / "schema.sql").read_text())
        try:
            for service in SERVICES:
                self.start(service)
            for service in SERVICES:
                self.wait(service)
        except BaseException:
            self.stop()
            raise
        return self

    def start(self, service):
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1",
                       "PEER_DATABASE_URL": self.stack.urls["DATABASE_URL"],
                       "PEER_GENERATOR_URL": self.address("generator"), "PEER_EVALUATOR_URL": self.address("evaluator")}
        command = [sys.executable, "-m", "uvicorn", f"peer.{service}:app", "--app-dir", str(HERE), "--host",
                   "127.0.0.1", "--port", str(self.ports[service]), "--loop", "uvloop", "--http", "httptools",
                   "--no-access-log", "--log-level", "warning"]
        with open(self.logs / f"{service}.txt", "wb") as log:
            self.running[service] = subprocess.Popen(command, env=environment, stdout=log, stderr=log,
                                                     start_new_session=True)

    def wait(self, service):
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                direct.open(f"{self.address(service)}/health", timeout=5).close()
                return
            except (urllib.error.URLError, OSError) as error:
                if self.running[service].poll() is not None or time.monotonic() > deadline:
                    sys.exit(f"bench: the peer's {service} does not answer ({error}):\n"
                             + (self.logs / f"{service}.txt").read_text()[-2000:])
                time.sleep(0.1)

    def __exit__(self, *_error):
        self.stop()

    def stop(self):
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
