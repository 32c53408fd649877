"""Programs that a bench starts beside moru: started, awaited over HTTP, stopped."""
import os
import subprocess
import sys
import time
import urllib.error

from private_stack import direct

START_SECONDS = 30


class Servers:
    """Their output goes to logs/NAME.txt. stop ends them all, in whatever state they are."""

    def __init__(self, logs):
        self.logs, self.running = logs, {}
        logs.mkdir(parents=True, exist_ok=True)

    def start(self, name, command, environment=None):
        with open(self.logs / f"{name}.txt", "wb") as log:
            self.running[name] = subprocess.Popen(command, env={**os.environ, **(environment or {})}, stdout=log,
                                                  stderr=log, start_new_session=True)

    def wait(self, name, url):
        """Returns once it answers GET url."""
        self.wait_for(name, lambda: direct.open(url, timeout=5).close())

    def wait_for(self, name, ask):
        """Returns once ask() raises no OSError."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                ask()
                return
            except (urllib.error.URLError, OSError) as error:
                if self.running[name].poll() is not None or time.monotonic() > deadline:
                    sys.exit(f"bench: {name} does not answer ({error}):\n"
                             + (self.logs / f"{name}.txt").read_text()[-2000:])
                time.sleep(0.1)

    def processes(self):
        return {name: process.pid for name, process in self.running.items()}

    def stop(self):
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
