"""moru-sim (tests/sim/README.md) as a model server of a test."""

import os
import subprocess

import httpx

from harness import BUILD, TIMEOUT_S


class Simulator:
    """settings are SIM_… without the prefix, in lower case: Simulator(latency_ms=100)."""

    def __init__(self, **settings):
        self.variables = {f"SIM_{name.upper()}": str(value) for name, value in settings.items()}

    def __enter__(self):
        self.process = subprocess.Popen([str(BUILD / "moru-sim")], env={**os.environ, **self.variables},
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        port = self.process.stdout.readline().strip()
        assert port, "moru-sim did not start: make sim"
        self.address = f"http://127.0.0.1:{port}"
        self.url = f"{self.address}/v1"
        self.http = httpx.Client(base_url=self.address, timeout=TIMEOUT_S, trust_env=False)
        return self

    def __exit__(self, *exception):
        self.http.close()
        self.process.kill()
        self.process.wait()

    def control(self, **settings):
        answer = self.http.post("/control", json=settings)
        assert answer.status_code == 200, answer.text

    def stats(self):
        return self.http.get("/stats").json()
