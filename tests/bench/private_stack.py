"""A moru stack of its own for a test: started and stopped with make, looked into through its database and /proc."""
import json
import os
import pathlib
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What a user may have set for a stack of their own must not reach this one.
FOREIGN = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "KAFKA_BROKERS", "DATABASE_URL", "STATE")
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# Requests to this machine must not go through a proxy that the environment names.
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def say(text):
    print(f"== {text}", flush=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class PrivateStack:
    """`with PrivateStack(state, settings) as stack` is up inside and stopped after; without an error its data go too.

    settings are environment variables for the fleet, such as LLM_BASE_URL."""

    def __init__(self, state, settings=None, empty=("LLM_PROVIDER", "LLM_API_KEY", "LLM_BASE_URL", "LLM_MODEL")):
        self.state = pathlib.Path(state).resolve()
        kept = {name: value for name, value in os.environ.items() if name not in FOREIGN and name not in empty}
        self.environment = {**kept, **(settings or {})}
        self.urls = {}
        self.stopped = {}  # workers by name: program and environment, to start them again
        self.restarted = []

    def make(self, target):
        """Returns what make printed to standard output, when target is env. make has a session of its own, so that a
        Ctrl-C reaches it only through us, and is waited for, so that up is over before down begins."""
        command = ["make", "-s", "--no-print-directory", "-C", str(ROOT), target, f"STATE={self.state}"]
        output = subprocess.PIPE if target == "env" else None
        with subprocess.Popen(command, env=self.environment, stdout=output, text=True, start_new_session=True) as make:
            try:
                text = make.communicate()[0]
            except BaseException:
                make.terminate()
                raise
        if make.returncode != 0:
            sys.exit(f"make {target} failed ({make.returncode})")
        return text

    def __enter__(self):
        self.remove()
        self.state.mkdir(parents=True)
        try:
            self.make("up")
            lines = self.make("env").splitlines()
        except BaseException:
            self.down()
            raise
        self.urls = dict(word.split("=", 1) for line in lines for word in shlex.split(line) if "=" in word)
        return self

    def __exit__(self, error, *_more):
        for process in self.restarted:
            process.terminate()
            process.wait()
        if error is None:
            self.remove()
        else:
            self.down()

    def down(self):
        """After an error: stops all, keeps the logs. Further signals wait until that is done."""
        for number in STOPPING:
            signal.signal(number, signal.SIG_IGN)
        self.make("down")
        say(f"the logs are kept in {self.state} until the next run")

    def remove(self):
        """Also clears away what a run that was killed left behind."""
        if self.state.exists():
            self.make("down")
            shutil.rmtree(self.state)

    def psql(self, *arguments, output=subprocess.PIPE):
        """Runs psql on the stack's database; returns what it printed, unless output is a file."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        command = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.urls["DATABASE_URL"], *arguments]
        done = subprocess.run(command, env=environment, text=True, stdout=output)
        if done.returncode != 0:
            sys.exit(f"psql failed: {' '.join(arguments)}")
        return done.stdout

    def query(self, sql):
        """The first column of all rows, as text."""
        return self.psql("-c", sql).splitlines()

    def processes(self):
        """{"gateway": pid, …} of this stack's own moru processes, known by their settings."""
        wanted = f"KAFKA_BROKERS={self.urls['KAFKA_BROKERS']}".encode()
        found = {}
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                program = os.path.basename(os.readlink(folder / "exe"))
                if program.startswith("moru-") and wanted in (folder / "environ").read_bytes().split(b"\0"):
                    found[program.removeprefix("moru-").split(" ")[0]] = int(folder.name)
            except OSError:
                continue
        return found

    def stop_workers(self, *names, number=signal.SIGTERM):
        """Ends them as an operator would, with SIGTERM, or with another signal; returns when they are gone. start_worker
        brings one back."""
        running = self.processes()
        handles = []
        for name in names:
            folder = pathlib.Path(f"/proc/{running[name]}")
            pairs = (folder / "environ").read_bytes().decode().split("\0")
            self.stopped[name] = (os.readlink(folder / "exe"), dict(pair.split("=", 1) for pair in pairs if pair))
            handles.append(os.pidfd_open(running[name]))
            signal.pidfd_send_signal(handles[-1], number)
        for handle in handles:
            if not select.select([handle], [], [], 60)[0]:
                sys.exit(f"bench: one of {', '.join(names)} did not end within 60 s")
            os.close(handle)

    def start_worker(self, name, settings=None):
        """With what it had, but for settings, which it keeps."""
        program, environment = self.stopped.pop(name)
        environment.update(settings or {})
        with open(self.state / "log" / f"{name}-again.log", "wb") as log:
            process = subprocess.Popen([program], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       start_new_session=True)
        self.restarted.append(process)

    def log_lines(self):
        """Every JSON line that the stack's processes wrote."""
        for path in sorted((self.state / "log").glob("*.log")):
            for line in path.read_text(errors="replace").splitlines():
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue
                if isinstance(entry, dict) and "service" in entry:
                    yield entry


def metric_sum(url, name):
    """The sum over all series of one metric of a process."""
    with direct.open(f"{url}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines
               if line.startswith((f"{name} ", f"{name}{{")))


def stop_on_signals():
    """Ctrl-C, SIGTERM and SIGHUP end the program through every `with`, without a stack trace."""
    def leave(number, _frame):
        raise SystemExit(128 + number)
    for number in STOPPING:
        signal.signal(number, leave)
