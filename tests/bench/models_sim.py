"""The simulator as the model of a bench (tests/sim/README.md), with what its counts tell over a time."""
import json
import ssl
import statistics
import subprocess
import sys
import time
import urllib.request

from private_stack import free_port
from servers import Servers


class Sim:
    """`with Sim(program, logs, latency_ms=1000) as sim` serves inside; with tls=(certificate, key), PEM files, over TLS.
    The settings are SIM_… without the prefix, in lower case."""

    def __init__(self, program, logs, tls=None, **settings):
        self.program, self.servers, self.port = program, Servers(logs), free_port()
        self.address = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.url = f"{self.address}/v1"
        if tls:
            settings = {**settings, "tls_cert": tls[0], "tls_key": tls[1]}
        context = ssl.create_default_context(cafile=str(tls[0])) if tls else ssl.create_default_context()
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}),
                                                  urllib.request.HTTPSHandler(context=context))
        self.variables = {"SIM_PORT": str(self.port), **{f"SIM_{name.upper()}": str(value)
                                                         for name, value in settings.items()}}

    def __enter__(self):
        self.servers.start("sim", [self.program], self.variables)
        self.wait_alive()
        return self

    def __exit__(self, *_error):
        self.servers.stop()

    def wait_alive(self):
        self.servers.wait_for("sim", lambda: self.opener.open(f"{self.address}/health", timeout=5).close())

    @property
    def pid(self):
        return self.servers.processes()["sim"]

    def stats(self):
        with self.opener.open(f"{self.address}/stats", timeout=20) as answer:
            return json.load(answer)

    def control(self, **settings):
        request = urllib.request.Request(f"{self.address}/control", json.dumps(settings).encode(),
                                         {"Content-Type": "application/json"})
        self.opener.open(request, timeout=20).close()

    def drop_all(self, dead_ms=500):
        """Ends every call under way, unanswered, since left to itself the sim answers callers that have died within the
        last second. Returns when that was; later the sim serves again."""
        self.control(dead_ms=dead_ms)
        dropped = time.monotonic()
        time.sleep(dead_ms / 2000)
        self.wait_alive()
        return dropped

    def answered(self):
        return sum(self.stats()["roles"].values())

    def measure(self, warmup, seconds):
        """After the warm-up: answers a second, and how many calls were in flight on average."""
        time.sleep(warmup)
        began, before, seen = time.monotonic(), self.answered(), []
        while time.monotonic() - began < seconds:
            time.sleep(0.1)
            seen.append(self.stats()["in_flight"])
        return (self.answered() - before) / (time.monotonic() - began), statistics.mean(seen)

    def wait_quiet(self, seconds):
        """Until no call is in flight, for a second."""
        deadline, quiet = time.monotonic() + seconds, 0
        while quiet < 5:
            quiet = quiet + 1 if self.stats()["in_flight"] == 0 else 0
            if time.monotonic() > deadline:
                sys.exit(f"bench: calls are still in flight after {seconds} s")
            time.sleep(0.2)


def make_certificate(folder):
    """(certificate, key) for 127.0.0.1, as PEM files in folder."""
    folder.mkdir(parents=True, exist_ok=True)
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    done = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out",
         str(certificate)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.exit(f"bench: openssl made no certificate:\n{done.stdout}")
    return certificate, key
