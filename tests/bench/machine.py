"""What a figure depends on: memory of a process, the machine, versions, and how durable the stores are."""
import os
import pathlib
import platform
import re
import subprocess
import threading
from importlib import metadata

DURABILITY = ("fsync", "synchronous_commit", "full_page_writes")
PEER_PACKAGES = ("fastapi", "uvicorn", "uvloop", "httptools", "httpx", "asyncpg", "pydantic", "aiokafka",
                 "aiohttp")


def memory_mb(pid, field):
    """VmRSS (now) or VmHWM (the highest since the start), in megabytes of 1,000,000 bytes."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{field}:\s+(\d+) kB", text, re.MULTILINE).group(1)) * 1024 / 1e6


class Sampler(threading.Thread):
    """`with Sampler({"gateway": pid}) as sampler`: sampler.highest is the highest resident memory of each process, in
    megabytes, of the time inside; it reads /proc five times a second."""

    def __init__(self, processes):
        super().__init__(daemon=True)
        self.processes, self.highest, self.over = processes, {}, threading.Event()

    def run(self):
        while not self.over.wait(0.2):
            self.sample()

    def sample(self):
        for name, pid in self.processes.items():
            self.highest[name] = max(self.highest.get(name, 0), memory_mb(pid, "VmRSS"))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_error):
        self.over.set()
        self.join()
        self.sample()


def cpu_model():
    found = re.search(r"^model name\s*:\s*(.+)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found.group(1) if found else platform.machine()


def total_memory_gb():
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def distribution():
    return platform.freedesktop_os_release().get("PRETTY_NAME", "unknown distribution")


def durability(query):
    return ", ".join(f"{name}={query(f'SHOW {name}')[0]}" for name in DURABILITY)


def describe(stack, root):
    version = subprocess.run([root / os.environ.get("BUILD", "build") / "moru-gateway", "--version"], text=True,
                             stdout=subprocess.PIPE, check=True).stdout.strip()
    packages = ", ".join(f"{name} {metadata.version(name)}" for name in PEER_PACKAGES)
    acks = os.environ.get("KAFKA_CONFIG_ACKS", "all")
    return (f"Machine: {cpu_model()}, {os.cpu_count()} cores, {total_memory_gb():.0f} GB, {distribution()}, "
            f"Linux {platform.release()}; broker, database, fleet, peer and load generator share it.\n"
            f"Durability: Postgres {durability(stack.query)}; Kafka acks={acks} (idempotent producer).\n"
            f"Versions: {version}; PostgreSQL {stack.query('SHOW server_version')[0]}; "
            f"Python {platform.python_version()}, {packages}.")
