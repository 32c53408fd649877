"""The faults: what the seed chose, and how each one strikes and is made good again."""

import asyncio
import dataclasses
import os
import random
import signal
import time
from pathlib import Path

import psycopg

from harness import TIMEOUT_S

WORKERS = ("generator", "evaluator", "recorder")
TARGETS = ("gateway", *WORKERS, "broker", "postgres")
IN_FLIGHT = 500
READY_S = 60


@dataclasses.dataclass
class Fault:
    """One of the schedule, and what came of it."""

    what: str  # kill, pause or rebalance
    target: str  # generator-1; of a rebalance: the kind of the worker that joins
    at: float  # share of its part of the submissions that is sent before it strikes
    seconds: float  # from the kill to the start, or of the pause, or of the guest's stay
    in_flight: int = None  # None: it has not struck
    struck_at: float = None
    back_s: float = None  # until it was ready again
    slowest_s: float = None  # synchronous call around it


def schedule(seed, kills, pauses, rebalances):
    """Each target is killed so many times; pauses and rebalances strike targets in turn, all in a seeded order."""
    chosen = random.Random(f"faults {seed}")
    plan = [("kill", target) for target in TARGETS for _ in range(kills)]
    plan += [("pause", target) for target in (chosen.sample(TARGETS, len(TARGETS)) * pauses)[:pauses]]
    plan += [("rebalance", target) for target in (chosen.sample(WORKERS, len(WORKERS)) * rebalances)[:rebalances]]
    chosen.shuffle(plan)
    faults = []
    for what, target in plan:
        one_of_two = "" if target in ("broker", "postgres") or what == "rebalance" else f"-{chosen.randint(0, 1)}"
        seconds = {"kill": (0.1, 1.5), "pause": (1, 8), "rebalance": (2, 5)}[what]
        faults.append(Fault(what, target + one_of_two, chosen.uniform(0.2, 0.6), round(chosen.uniform(*seconds), 1)))
    return faults


class Counter:
    """How many acknowledged submissions have no row yet."""

    def __init__(self, world, ledger):
        self.world, self.ledger = world, ledger
        self.database = None

    def in_flight(self):
        """A row that no client was told of yet lowers it, so it is never too high; blocks."""
        told = self.ledger.acknowledged + self.ledger.called
        return told - self.rows("SELECT count(*) FROM execution_logs")[0][0]

    def rows(self, sql, parameters=()):
        for last in (False, True):
            try:
                if self.database is None:
                    self.database = psycopg.connect(self.world.database_url, autocommit=True)
                return self.database.execute(sql, parameters).fetchall()
            except psycopg.OperationalError:
                self.database = None  # it was connected to a Postgres that was killed
                if last:
                    raise


class Striker:
    """Strikes one fault after the other while the clients send."""

    def __init__(self, world, ledger, counter, faults, total, say):
        self.world, self.ledger, self.counter = world, ledger, counter
        self.faults, self.total, self.say = faults, total, say
        self.settings = {}  # of guests, by program
        self.busy_with = None  # the fault that strikes now

    async def run(self):
        part = self.total / (len(self.faults) + 1)
        for number, fault in enumerate(self.faults):
            self.ledger.allow(int(part * (number + 1)))
            while await self.busy(int(part * (number + fault.at))):
                if not await self.strike(fault):
                    continue
                await self.recovered(fault)
                self.say(f"{number + 1}/{len(self.faults)} {fault.what} {fault.target} ({fault.seconds} s): "
                         f"{fault.in_flight} in flight, back after {fault.back_s:.1f} s, "
                         f"slowest call {fault.slowest_s:.1f} s, {self.ledger.acknowledged} acknowledged")
                break
        self.ledger.allow(self.total)

    async def busy(self, acknowledged):
        """Waits until enough are acknowledged and in flight; False when all were sent before."""
        while True:
            in_flight = await asyncio.to_thread(self.counter.in_flight)
            if self.ledger.acknowledged >= acknowledged and in_flight >= IN_FLIGHT:
                return True
            if self.ledger.acknowledged >= self.total:
                return False
            if self.ledger.acknowledged >= self.ledger.allowed:
                self.ledger.allow(min(self.total, self.ledger.allowed + IN_FLIGHT))
            await asyncio.sleep(0.01)

    async def strike(self, fault):
        """False when too few were in flight at the last moment."""
        action = {"kill": self.kill, "pause": self.pause, "rebalance": self.rebalance}[fault.what]
        self.busy_with = fault
        await asyncio.to_thread(action, fault)
        self.busy_with = None
        if fault.in_flight is None:
            return False
        fault.back_s = time.monotonic() - fault.struck_at
        return True

    def enough(self, fault):
        """Counts once more, right before it strikes."""
        in_flight = self.counter.in_flight()
        if in_flight >= IN_FLIGHT:
            fault.in_flight, fault.struck_at = in_flight, time.monotonic()
        return in_flight >= IN_FLIGHT

    def process(self, target):
        return {"broker": self.world.kafka, "postgres": self.world.postgres}.get(target) or self.world.members[target]

    def kill(self, fault):
        process = self.process(fault.target)
        if not self.enough(fault):
            return
        kill_nine(process)
        time.sleep(fault.seconds)
        start_again(process)

    def pause(self, fault):
        process = self.process(fault.target)
        if not self.enough(fault):
            return
        process.pause()
        time.sleep(fault.seconds)
        process.resume()
        process.wait_ready()

    def rebalance(self, fault):
        """A guest joins, and leaves as an operator would have it."""
        guest = self.world.member(fault.target, {"INSTANCE_ID": f"{fault.target}-guest",
                                                 **self.settings.get(fault.target, {})})
        if not self.enough(fault):
            return
        self.world.extra.append(guest)
        guest.start()
        time.sleep(fault.seconds)
        guest.stop()

    async def recovered(self, fault):
        """A call that began after it was back has its answer: what follows is the next fault's doing."""
        calls, deadline = len(self.ledger.calls), time.monotonic() + READY_S
        # The one under way may have begun before; the next has not.
        while len(self.ledger.calls) < calls + 2 and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        fault.slowest_s = self.ledger.slowest_since(fault.struck_at)


def kill_nine(process):
    """kill -9, for Postgres also of its children: one that outlives it would keep the data from the next."""
    children = []
    if process.name == "postgres":
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.service.signal(signal.SIGKILL)
    for child in children:
        try:
            os.kill(int(child), signal.SIGKILL)
        except ProcessLookupError:
            pass  # It ended by itself.
    assert process.service.wait_end(TIMEOUT_S), f"{process.name} did not end when killed"


def start_again(process):
    """Again and again when it ends early, as an operator's supervisor does."""
    deadline = time.monotonic() + READY_S
    while True:
        process.service.start()
        while process.running:
            if process.service.ready() is None:
                return
            assert time.monotonic() < deadline, f"{process.name} is not ready: {process.service.ready()}"
            time.sleep(0.05)
        assert time.monotonic() < deadline, f"{process.name} ended again and again: {process.log_end()}"
        time.sleep(0.2)
