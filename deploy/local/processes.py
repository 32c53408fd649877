"""Processes that outlive the program that starts them, known by their pid and their start time."""

import dataclasses
import os
import pwd
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import Callable, Optional


class Failure(Exception):
    """Something a user can be told in one line."""


def last_lines(log: Path, count: int = 20) -> str:
    """The end of a log file, "" when there is none."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, log.stat().st_size - 200 * count))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join(lines[-count:])


def start_time(pid: int) -> Optional[str]:
    """When the process began: boot and ticks since. None when there is none, or only its zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name is in brackets and may hold anything, so the fields count from the last bracket.
    fields = stat[stat.rindex(")") + 2:].split()
    return None if fields[0] in "ZX" else f"{boot}/{fields[19]}"


@dataclasses.dataclass(frozen=True)
class Identity:
    """A process that cannot be mistaken for a later one of the same pid."""

    pid: int
    began: str

    @staticmethod
    def of(pid: int) -> "Identity":
        return Identity(pid, start_time(pid) or "ended")

    def alive(self) -> bool:
        return start_time(self.pid) == self.began

    def signal(self, number: int) -> None:
        """Sends a signal; nothing happens when the process has ended."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            # With the handle open the pid cannot pass to another process between the check and the signal.
            if self.alive():
                signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            pass
        except PermissionError:
            raise Failure(f"process {self.pid} belongs to another user: stop it as that user") from None
        finally:
            os.close(handle)

    def wait(self, timeout_s: float) -> bool:
        """True once the process has ended, False when it has not in time."""
        deadline = time.monotonic() + timeout_s
        while self.alive():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            try:
                handle = os.pidfd_open(self.pid)
            except ProcessLookupError:
                continue
            try:
                select.select([handle], [], [], min(left, 1.0))
            finally:
                os.close(handle)
        return True


@dataclasses.dataclass
class Service:
    """How one process is started, asked whether it is ready, and stopped."""

    name: str
    command: list
    log: Path
    environment: dict
    directory: Optional[Path] = None
    user: Optional[str] = None  # to run as; None: as we do
    stop_signal: int = signal.SIGTERM
    last_signal: int = signal.SIGKILL  # when the grace has passed
    grace_s: float = 35.0
    order: int = 0  # lower ones stop first, equal ones together
    url: Optional[str] = None  # None: it does not speak HTTP
    ready: Callable[[], Optional[str]] = lambda: None  # None: it is; else why not
    child: Optional[subprocess.Popen] = None
    identity: Optional[Identity] = None

    def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "ab") as log:
            try:
                self.child = subprocess.Popen(
                    self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory,
                    env=self.environment, start_new_session=True, **as_user(self.user))
            except FileNotFoundError:
                raise Failure(f"{self.command[0]} is missing") from None
        self.identity = Identity.of(self.child.pid)

    def exit_code(self) -> Optional[int]:
        """None while it runs."""
        return self.child.poll() if self.child else None

    def running(self) -> bool:
        return self.child is not None and self.child.poll() is None

    def signal(self, number: int) -> None:
        if self.running():
            self.identity.signal(number)

    def wait_end(self, timeout_s: float) -> bool:
        try:
            self.child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self) -> int:
        """Asks it to end, makes it end when the grace has passed, and returns its exit code."""
        self.signal(self.stop_signal)
        if not self.wait_end(self.grace_s):
            self.signal(self.last_signal)
            self.child.wait()
        return self.child.returncode

    def failure(self) -> Failure:
        """What to say of a process that ended on its own."""
        text = f"{self.name} ended with {exit_text(self.child.returncode)}; the end of {self.log}:\n"
        return Failure(text + last_lines(self.log))


def exit_text(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def as_user(user: Optional[str]) -> dict:
    """The arguments that make subprocess run as user."""
    if user is None:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def rotate(log: Path) -> None:
    """Keeps the log of the last start beside the one that begins."""
    if log.exists():
        log.replace(log.with_suffix(".log.1"))


def run_to_end(what: str, command: list, log: Path, timeout_s: float, **popen) -> None:
    """Runs a command whose output goes to log; a Failure with the log's end unless it exits with 0. Interrupted, it
    takes the command with it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    rotate(log)
    with open(log, "wb") as file:
        try:
            child = subprocess.Popen(command, stdin=popen.pop("stdin", subprocess.DEVNULL), stdout=file, stderr=file,
                                     start_new_session=True, **popen)
        except FileNotFoundError:
            raise Failure(f"{command[0]} is missing") from None
    try:
        code = child.wait(timeout_s)
    except subprocess.TimeoutExpired:
        raise Failure(f"{what} did not end in {timeout_s:.0f} s; the end of {log}:\n{last_lines(log)}") from None
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    if code != 0:
        raise Failure(f"{what} failed with {exit_text(code)}; the end of {log}:\n{last_lines(log)}")
