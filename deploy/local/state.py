"""What is remembered of a local stack in its folder: its processes, ports and addresses, and who is at work on it."""

import fcntl
import json
import os
import secrets
import time
from pathlib import Path
from typing import Optional

from processes import Failure, Identity, Service

EMPTY = {"supervisor": None, "ready": False, "processes": {}, "ports": {}, "addresses": {}, "private": {},
         "postgres": None}


class State:
    """A stack's folder, made when there is none. What it records is written at once, whole or not at all."""

    def __init__(self, folder: Path):
        self.folder = folder.resolve()
        self.file = self.folder / "stack.json"
        self.lock = None
        self.record = dict(EMPTY)
        self.load()

    def create(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Failure(f"the folder {self.folder} cannot be made: {error.strerror}") from None

    def load(self) -> None:
        try:
            self.record = {**EMPTY, **json.loads(self.file.read_text())}
        except FileNotFoundError:
            self.record = dict(EMPTY)
        except PermissionError:
            raise Failure(f"{self.file} belongs to another user") from None
        except ValueError:
            raise Failure(f"{self.file} is damaged: stop the stack's processes by hand and remove it") from None

    def save(self) -> None:
        partial = self.file.with_suffix(".partial")
        # DATABASE_URL may hold a password.
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(self.record, file, indent=1)
        partial.replace(self.file)

    def note(self, **changes) -> None:
        self.record.update(changes)
        self.save()

    def take(self, wait_s: float = 0) -> bool:
        """Makes this program the one at work on the stack until it ends; False when another one is."""
        self.create()
        self.lock = open(self.folder / "lock", "a")
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    return False
                time.sleep(0.05)
        self.load()
        return True

    def supervisor(self) -> Optional[Identity]:
        """The program that is starting or running the stack; None when there is none."""
        recorded = self.record["supervisor"]
        identity = Identity(**recorded) if recorded else None
        return identity if identity and identity.alive() else None

    def note_started(self, service: Service) -> None:
        self.record["processes"][service.name] = {
            "pid": service.identity.pid, "began": service.identity.began, "order": service.order,
            "signal": service.stop_signal, "last_signal": service.last_signal, "grace_s": service.grace_s,
            "url": service.url}
        self.save()

    def alive(self) -> dict:
        """The recorded processes that still run: name to identity."""
        found = {name: Identity(entry["pid"], entry["began"]) for name, entry in self.record["processes"].items()}
        return {name: identity for name, identity in found.items() if identity.alive()}

    def stop_all(self) -> list:
        """Stops what is recorded, in its order; returns the names of what had to be killed."""
        killed = []
        entries = self.record["processes"]
        alive = self.alive()
        for order in sorted({entries[name]["order"] for name in alive}):
            together = {name: alive[name] for name in alive if entries[name]["order"] == order}
            for name, identity in together.items():
                identity.signal(entries[name]["signal"])
            deadline = time.monotonic() + max(entries[name]["grace_s"] for name in together)
            for name, identity in together.items():
                if not identity.wait(max(0.0, deadline - time.monotonic())):
                    killed.append(name)
                    identity.signal(entries[name]["last_signal"])
                    identity.wait(10)
        self.note(processes={}, ready=False)
        return killed

    def key(self) -> str:
        """The key that signs request ids, made once."""
        file = self.folder / "request-id-key"
        if not file.exists():
            partial = file.with_suffix(".partial")
            with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
                out.write(secrets.token_hex(32))
            partial.replace(file)
        return file.read_text().strip()
