"""The private Postgres of a local stack: role agent, password agent1234, database agent_system, on 127.0.0.1 only."""

import hashlib
import os
import shutil
import signal
import socket
import struct
import subprocess
from pathlib import Path
from typing import Optional

from processes import Failure, Service, as_user, run_to_end

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
ROLE, PASSWORD, DATABASE = "agent", "agent1234", "agent_system"

# One statement a line. The role owns the database and is no superuser, as in production.
CREATE = f"""\
CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}';
CREATE DATABASE {DATABASE} OWNER {ROLE};
"""

# Room for what a busy stack writes between two checkpoints. How durable a commit is stays as Postgres has it.
SIZES = ["-c", "shared_buffers=256MB", "-c", "max_wal_size=2GB"]


def home(state: Path) -> Path:
    """Where the data of the stack in folder state are: below it, but for root below a folder that user postgres cannot
    enter."""
    inside = state / "postgres"
    if os.geteuid() != 0:
        return inside
    if not PROGRAMS.is_dir():
        raise Failure("Debian's package postgresql-15 is missing: run make deps")
    reached = subprocess.run(["test", "-x", str(state)], cwd="/", check=False, **as_user("postgres"))
    if reached.returncode == 0:
        return inside
    return Path("/var/lib") / f"moru-{hashlib.sha256(str(state).encode()).hexdigest()[:16]}"


def name_of(pid: int) -> str:
    """The name of a process, "" when there is none."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


class Postgres:
    """folder holds its data; it is made when there is none."""

    def __init__(self, folder: Path, log: Path, port: int):
        self.folder, self.log, self.port = folder, log, port
        self.data = folder / "data"
        self.url = f"postgresql://{ROLE}:{PASSWORD}@127.0.0.1:{port}/{DATABASE}"
        self.user = "postgres" if os.geteuid() == 0 else None
        # The user's own PG… variables are for other servers.
        self.environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8",
                            **({"TZ": os.environ["TZ"]} if "TZ" in os.environ else {})}

    def prepare(self) -> None:
        """Creates the data when that has not been done."""
        if self.data.exists():
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.user:
            shutil.chown(self.folder, self.user, self.user)
        partial = self.folder / "partial"
        shutil.rmtree(partial, ignore_errors=True)
        self.run("creating Postgres's data", [PROGRAMS / "initdb", "--pgdata", partial, "--username", "postgres",
                                              "--auth", "scram-sha-256", "--auth-local", "peer", "--encoding", "UTF8",
                                              "--locale", "C.UTF-8"])
        statements = os.memfd_create("create.sql")
        os.write(statements, CREATE.encode())
        os.lseek(statements, 0, os.SEEK_SET)
        try:
            self.run("creating the database", [PROGRAMS / "postgres", "--single", "-D", partial, "postgres"],
                     stdin=statements)
        finally:
            os.close(statements)
        partial.rename(self.data)

    def run(self, what: str, command: list, **popen) -> None:
        run_to_end(what, [str(word) for word in command], self.log.with_name("postgres-create.log"), 120, cwd="/",
                   env=self.environment, **as_user(self.user), **popen)

    def remove(self) -> None:
        """Forgets data that a stack now gone has left."""
        try:
            postmaster = int((self.data / "postmaster.pid").read_text().split()[0])
        except (FileNotFoundError, ValueError, IndexError):
            postmaster = 0
        if postmaster and name_of(postmaster) == "postgres":
            raise Failure(f"process {postmaster} uses {self.data}, and no stack knows of it: stop it first")
        shutil.rmtree(self.folder, ignore_errors=True)

    def service(self) -> Service:
        # No Unix socket: its path must be short, and the folder's may be long.
        command = [PROGRAMS / "postgres", "-D", self.data, "-p", str(self.port), "-c", "listen_addresses=127.0.0.1",
                   "-c", "unix_socket_directories=", *SIZES]
        # SIGINT is the fast shutdown, SIGQUIT the immediate one.
        return Service("postgres", [str(word) for word in command], self.log, self.environment, directory=Path("/"),
                       user=self.user, stop_signal=signal.SIGINT, last_signal=signal.SIGQUIT, grace_s=30, order=4,
                       ready=self.broken)

    def broken(self) -> Optional[str]:
        """None once it takes sessions: it asks for a password, while a server that starts answers with an error."""
        startup = struct.pack(">i", 196608) + f"user\0{ROLE}\0database\0{DATABASE}\0\0".encode()
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(struct.pack(">i", len(startup) + 4) + startup)
                answer = connection.recv(4096)[:1]
        except OSError as error:
            return f"no answer from 127.0.0.1:{self.port}: {error}"
        return None if answer == b"R" else "Postgres is starting"
