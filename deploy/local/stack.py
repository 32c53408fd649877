#!/usr/bin/python3
"""The local stack: a private Kafka, a private Postgres, and moru's fleet, in a folder of their own."""

import argparse
import os
import shlex
import signal
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import broker
import database
import fleet
import ports
from processes import Failure, Identity, Service, exit_text, last_lines, rotate
from state import State

READY_WITHIN_S = 60
RESTART_FIRST_S, RESTART_MOST_S, RESTART_FORGET_S = 0.5, 30, 60


def say(text: str) -> None:
    print(f"moru: {text}", flush=True)


class Stopped(Exception):
    """The user wants the stack to end."""


class Interrupt:
    """Turns the signals that end a program into Stopped, but not between the start of a process and its record, where
    it would be forgotten."""

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self):
        self.holding = self.pending = False

    def install(self) -> None:
        for number in self.signals:
            signal.signal(number, self.handle)

    def handle(self, number, frame) -> None:
        self.pending = True
        if not self.holding:
            raise Stopped()

    def __enter__(self) -> None:
        self.holding = True

    def __exit__(self, *error) -> None:
        self.holding = False
        if self.pending:
            raise Stopped()

    def ignore(self) -> None:
        """From here on the end is under way, and a further signal does not break it off."""
        for number in self.signals:
            signal.signal(number, signal.SIG_IGN)


interrupt = Interrupt()


class Stack:
    """The stack of one folder, as the program that starts it sees it."""

    def __init__(self, state: State, build: Path, cache: Path):
        self.state, self.build, self.cache = state, build.resolve(), cache.resolve()
        self.logs = state.folder / "log"
        self.services = []
        self.brokers, self.database_url = given_addresses(state)
        self.private = not self.brokers

    def port(self, name: str, preferred: int) -> int:
        """The port that name had at its last start, or the preferred one, or any free one."""
        known = self.state.record["ports"]
        taken = frozenset(port for other, port in known.items() if other != name)
        known[name] = ports.choose(known.get(name) or preferred, taken)
        self.state.note(ports=known)
        return known[name]

    def start(self) -> None:
        """Starts everything and returns when all of it is ready."""
        missing = [name for name in ("setup", *fleet.PORTS) if not (self.build / f"moru-{name}").is_file()]
        if missing:
            raise Failure(f"{self.build}/moru-{missing[0]} is missing: run make")
        if self.private:
            self.start_private()
        else:
            say("KAFKA_BROKERS and DATABASE_URL are set: nothing private starts")
        variables = fleet.environment(self.brokers, self.database_url)
        fleet.set_up(self.build, variables, self.private, self.logs / "setup.log")
        variables["REQUEST_ID_KEY"] = os.environ.get("REQUEST_ID_KEY") or self.state.key()
        members = [fleet.member(name, self.build, variables, self.port(name, port), self.logs / f"{name}.log")
                   for name, port in fleet.PORTS.items()]
        for member in members:
            self.begin(member)
        self.wait_ready(members)
        addresses = {f"{name.upper()}_URL": url for name, url in sorted(
            ((member.name, member.url) for member in members), key=lambda item: fleet.PORTS[item[0]])}
        self.state.note(ready=True, addresses={**addresses, "KAFKA_BROKERS": self.brokers,
                                               "DATABASE_URL": self.database_url})

    def start_private(self) -> None:
        """Kafka and Postgres, side by side."""
        kafka = broker.Kafka(self.state.folder / "kafka", broker.fetch(self.cache), self.logs / "kafka.log",
                             self.port("kafka", 9092), self.port("kafka-controller", 0))
        kafka.prepare()
        broker_service = kafka.service()
        self.begin(broker_service)
        postgres = database.Postgres(self.postgres_folder(), self.logs / "postgres.log",
                                     self.port("postgres", 5432))
        postgres.prepare()
        database_service = postgres.service()
        self.begin(database_service)
        self.brokers, self.database_url = kafka.address, postgres.url
        self.state.note(private={"KAFKA_BROKERS": self.brokers, "DATABASE_URL": self.database_url})
        self.wait_ready([broker_service, database_service])

    def postgres_folder(self) -> Path:
        """Where its data are; chosen at the first start and kept."""
        recorded = self.state.record["postgres"]
        if recorded:
            return Path(recorded)
        folder = database.home(self.state.folder)
        if self.state.folder not in folder.parents and folder.exists():
            # It belonged to a stack whose folder has been removed since.
            database.Postgres(folder, self.logs / "postgres.log", 0).remove()
        self.state.note(postgres=str(folder))
        return folder

    def begin(self, service: Service) -> None:
        rotate(service.log)
        with interrupt:
            service.start()
            self.state.note_started(service)
        self.services.append(service)

    def wait_ready(self, services: list) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        waiting = {service.name: service for service in services}
        while waiting:
            for service in self.services:
                if not service.running():
                    raise service.failure()
            for service in list(waiting.values()):
                reason = service.ready()
                if reason is None:
                    del waiting[service.name]
                elif time.monotonic() > deadline:
                    raise Failure(f"{service.name} is not ready after {READY_WITHIN_S} s ({reason}); the end of "
                                  f"{service.log}:\n{last_lines(service.log)}")
            time.sleep(0.02)

    def greet(self) -> None:
        addresses = self.state.record["addresses"]
        for name, value in addresses.items():
            say(f"{name:14} {without_password(value)}")
        say(f"{'logs':14} {self.logs}/<name>.log")
        port = self.state.record["ports"]["gateway"]
        print("moru is ready; try\n"
              f"  curl -s localhost:{port}/api/v1/request -H 'Content-Type: application/json' \\\n"
              """       -d '{"user_input":"Write a fibonacci function","task_type":"code_generation"}'""", flush=True)

    def watch(self) -> None:
        """Starts again what ends, after a pause that grows while it keeps ending; returns never."""
        pauses = {service.name: RESTART_FIRST_S for service in self.services}
        began = {service.name: time.monotonic() for service in self.services}
        due = {}
        while True:
            for service in self.services:
                name, now = service.name, time.monotonic()
                if service.running():
                    continue
                if name not in due:
                    if now - began[name] > RESTART_FORGET_S:
                        pauses[name] = RESTART_FIRST_S
                    due[name] = now + pauses[name]
                    say(f"{name} ended with {exit_text(service.exit_code())}; it is started again in "
                        f"{pauses[name]:g} s; the end of {service.log}:\n{last_lines(service.log, 5)}")
                    pauses[name] = min(2 * pauses[name], RESTART_MOST_S)
                elif now >= due[name]:
                    del due[name]
                    began[name] = now
                    with interrupt:
                        service.start()
                        self.state.note_started(service)
            time.sleep(0.1)


def given_addresses(state: State) -> tuple:
    """The user's own Kafka and Postgres, or two empty strings."""
    given = {name: os.environ.get(name, "") for name in ("KAFKA_BROKERS", "DATABASE_URL")}
    # A shell that took over what `make env` printed means this stack, not another one.
    if not all(given.values()) and any(given.values()):
        missing = next(name for name, value in given.items() if not value)
        raise Failure(f"{missing} is not set: set both KAFKA_BROKERS and DATABASE_URL to use servers of yours, "
                      "or neither to start private ones")
    if given == state.record["private"]:
        return "", ""
    return given["KAFKA_BROKERS"], given["DATABASE_URL"]


def without_password(url: str) -> str:
    """An address as it may be shown: the local stack's password is in the docs, a user's is a secret."""
    parts = urlsplit(url)
    if not parts.password or parts.password == database.PASSWORD:
        return url
    return url.replace(f":{parts.password}@", ":***@", 1)


def take_down(state: State) -> None:
    for name in state.stop_all():
        say(f"{name} did not end within its grace and was killed")


def start(options) -> int:
    """run and up: starts the stack; run stays and ends it."""
    stay = options.command == "run"
    state = State(options.state)
    if not state.take():
        state.load()
        if state.record["ready"]:
            say(f"it is running in {state.folder}" + ("; make down ends it" if stay else ""))
            return 1 if stay else 0
        raise Failure(f"it is being started or stopped in {state.folder} right now")
    alive = state.alive()
    if state.record["ready"] and len(alive) == len(state.record["processes"]):
        say(f"it is running in {state.folder}" + ("; make down ends it" if stay else ""))
        return 1 if stay else 0
    stack = Stack(state, options.build, options.cache)
    interrupt.install()
    try:
        if alive:
            say(f"what is left of the last start is stopped first: {', '.join(alive)}")
        state.stop_all()
        state.note(supervisor=vars(Identity.of(os.getpid())))
        stack.start()
        stack.greet()
        if stay:
            stack.watch()
        state.note(supervisor=None)
        return 0
    except Stopped:
        interrupt.ignore()
        say("stopping")
        take_down(state)
        say(f"stopped; the data stay in {state.folder}")
        return 0 if stay else 130
    except BaseException:
        interrupt.ignore()
        take_down(state)
        raise
    finally:
        state.note(supervisor=None)


def down(options) -> int:
    state = State(options.state)
    if not state.folder.is_dir():
        say(f"nothing runs in {state.folder}")
        return 0
    supervisor = state.supervisor()
    something = bool(supervisor or state.alive())
    if supervisor:
        supervisor.signal(signal.SIGTERM)
        supervisor.wait(120)
    if not state.take(wait_s=10):
        raise Failure(f"another make run, up or down is at work in {state.folder}")
    take_down(state)
    say(f"stopped; the data stay in {state.folder}" if something else f"nothing runs in {state.folder}")
    return 0


def environment(options) -> int:
    state = State(options.state)
    if not state.record["ready"] or not state.alive():
        raise Failure(f"nothing runs in {state.folder}: start it with make up or make run")
    for name, value in state.record["addresses"].items():
        print(f"{name}={shlex.quote(value)}")
    return 0


def status(options) -> int:
    state = State(options.state)
    entries = state.record["processes"]
    if not entries:
        say(f"nothing runs in {state.folder}")
        return 1
    alive = state.alive()
    well = len(alive) == len(entries)
    for name, entry in entries.items():
        condition = "running" if name in alive else "ended"
        if name in alive and entry["url"]:
            reason = fleet.not_ready(entry["url"])
            condition, well = (reason, False) if reason else ("ready", well)
        print(f"{name:10} {entry['pid']:>8}  {entry['url'] or '-':24} {condition}")
    return 0 if well else 1


def fetch(options) -> int:
    broker.fetch(options.cache)
    return 0


COMMANDS = {
    "run": (start, "start everything, stay, and take it down on Ctrl-C or SIGTERM"),
    "up": (start, "start everything in the background; returns when moru is ready"),
    "down": (down, "stop what run or up have started in this folder"),
    "env": (environment, "print the addresses as shell assignments"),
    "status": (status, "list the processes; exit code 1 unless all are ready"),
    "fetch": (fetch, "only fetch Kafka's jars"),
}


def parse(arguments: list) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="With KAFKA_BROKERS and DATABASE_URL set nothing private starts. The environment goes on to moru's "
               "processes, so their settings can be given in it.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, (_, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        command.add_argument("--state", type=Path, default=Path(".moru"), metavar="FOLDER",
                             help="the stack's folder (default: .moru)")
        command.add_argument("--build", type=Path, default=Path("build"), metavar="FOLDER",
                             help="where moru's programs are (default: build)")
        command.add_argument("--cache", type=Path, default=Path(".moru/cache"), metavar="FOLDER",
                             help="where Kafka's jars are kept, for all stacks (default: .moru/cache)")
    return parser.parse_args(arguments)


def main() -> int:
    options = parse(sys.argv[1:])
    try:
        return COMMANDS[options.command][0](options)
    except Failure as failure:
        print(f"moru: {failure}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
