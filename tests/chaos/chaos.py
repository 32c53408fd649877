"""Submits while everything is killed, and compares what was acknowledged with what is recorded."""

import argparse
import asyncio
import os
import pathlib
import random
import re
import shutil
import signal
import statistics
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "flow"))

import harness  # noqa: E402
import librdkafka  # noqa: E402
from clients import Clients, Ledger  # noqa: E402
from compare import compare, compare_answers, missing, model_calls, traces  # noqa: E402
from faults import WORKERS, Counter, Striker, schedule, start_again  # noqa: E402
from model import ModelProcess  # noqa: E402

SLOWEST_CALL_S = 10
# Of its next start: it stands for a cluster, in which another broker takes over in seconds; alone, it is not let in
# again until its own last session is over.
BROKER = "broker.session.timeout.ms=2000\nbroker.heartbeat.interval.ms=500\n"
QUIET_S = 5  # nothing more is recorded for so long: all is over
STUCK_S = 60  # nothing more is recorded for so long, and some are missing: they are lost
FLEET = [f"{name}-{number}" for name in (*WORKERS, "gateway") for number in (0, 1)]


def parse():
    parser = argparse.ArgumentParser(
        prog="make chaos", description="Starts a private Kafka, Postgres and fleet (two of each program), submits from "
        "four clients with idempotency keys and retries, calls synchronously beside, and meanwhile kills and pauses "
        "everything by a seeded schedule. Prints a Markdown summary; exits 1 when anything was lost, doubled or "
        "different. Give options as CHAOS_ARGS='--short'.")
    parser.add_argument("--requests", type=int, default=100000, help="submissions of the four clients (100000)")
    parser.add_argument("--short", action="store_true", help="10,000 submissions and fewer faults")
    parser.add_argument("--seed", type=int, help="of bodies and faults (a new one, which is printed)")
    parser.add_argument("--kills", type=int, help="of each of the six targets (3; short: 1)")
    parser.add_argument("--pauses", type=int, help="in all (6; short: 2)")
    parser.add_argument("--rebalances", type=int, help="in all (3; short: 1)")
    parser.add_argument("--connections", type=int, default=64, help="of each client (64)")
    parser.add_argument("--model-latency", type=float, default=0.3, help="of each of its two calls, in seconds (0.3)")
    parser.add_argument("--librdkafka", type=pathlib.Path,
                        help="folder of another librdkafka.so.1, for moru's programs")
    parser.add_argument("--newest-librdkafka", action="store_true",
                        help="use the one in the Python package confluent-kafka")
    options = parser.parse_args()
    if options.short:
        options.requests = min(options.requests, 10000)
    for name, long, short in (("kills", 3, 1), ("pauses", 6, 2), ("rebalances", 3, 1)):
        if getattr(options, name) is None:
            setattr(options, name, short if options.short else long)
    if options.seed is None:
        options.seed = random.SystemRandom().randint(1, 999999)
    return options


def say(text):
    print(f"== {text}", flush=True)


class Run:
    """One run of the whole, over a world of its own."""

    def __init__(self, options, world):
        self.options, self.world = options, world
        self.ledger = Ledger(options.seed)
        self.counter = Counter(world, self.ledger)
        self.faults = schedule(options.seed, options.kills, options.pauses, options.rebalances)
        self.ended_early = []
        self.model = None
        self.left = 0

    def start(self):
        self.world.open()
        with open(self.world.folder / "kafka" / "server.properties", "a") as properties:
            properties.write(BROKER)
        self.model = ModelProcess(self.options.model_latency)
        generators = {"LLM_BASE_URL": f"http://127.0.0.1:{self.model.port}/v1"}
        self.settings = {"generator": generators}
        if self.options.librdkafka:
            self.world.environment["LD_LIBRARY_PATH"] = str(self.options.librdkafka)
        for name in FLEET:
            program = name.rsplit("-", 1)[0]
            settings = {"INSTANCE_ID": name, **self.settings.get(program, {})}
            self.world.members[name] = self.world.member(program, settings)
            self.world.members[name].start(ready=False)
        for process in self.world.members.values():
            process.wait_ready()
        self.urls = [self.world.members[f"gateway-{number}"].url for number in (0, 1)]
        self.library = librdkafka.loaded(self.world.members["generator-0"])

    async def submit(self):
        """Until all are acknowledged, and what was acknowledged is recorded or lost."""
        self.began = time.monotonic()
        clients = Clients(self.ledger, self.urls, self.options.requests, self.options.connections)
        striker = Striker(self.world, self.ledger, self.counter, self.faults, self.options.requests, say)
        striker.settings = self.settings
        supervisor = asyncio.create_task(self.supervise(striker))
        tasks = [asyncio.create_task(striker.run()), asyncio.create_task(clients.wait_sent())]
        watched = [*tasks, clients.caller, supervisor]
        while not all(task.done() for task in tasks):
            done, _ = await asyncio.wait(watched, timeout=1, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        self.submitted_s = time.monotonic() - self.began
        say(f"all are acknowledged after {self.submitted_s:.0f} s")
        await clients.stop_calling()
        await self.settle()
        supervisor.cancel()
        self.settled_s = time.monotonic() - self.began

    async def supervise(self, striker):
        """Starts again what ended by itself, and remembers it."""
        while True:
            await asyncio.sleep(0.5)
            for process in [] if striker.busy_with else self.world.members.values():
                if not process.running and not striker.busy_with:
                    said = f"{process.service.environment['INSTANCE_ID']}: {process.service.failure()}"
                    self.ended_early.append(said)
                    say(f"ended by itself: {said}")
                    await asyncio.to_thread(start_again, process)

    async def settle(self):
        rows, since = -1, time.monotonic()
        while True:
            now = (await asyncio.to_thread(self.counter.rows, "SELECT count(*) FROM execution_logs"))[0][0]
            if now != rows:
                rows, since = now, time.monotonic()
            quiet = time.monotonic() - since
            if quiet >= QUIET_S:
                self.left = await asyncio.to_thread(missing, self.ledger, self.counter)
                if not self.left or quiet >= STUCK_S:
                    return
                say(f"{self.left} are not recorded, and nothing was for {quiet:.0f} s")
            await asyncio.sleep(1)

    async def judge(self):
        self.verdict, by_id = compare(self.ledger, self.counter)
        await compare_answers(self.ledger, self.urls, by_id, self.verdict)
        self.calls = await model_calls(self.model.port, self.ledger)
        self.dead = self.counter.rows("SELECT stage, left(reason, 160), count(*) FROM dead_letters GROUP BY 1, 2 "
                                      "ORDER BY 3 DESC LIMIT 10")
        self.unrecordable = self.counter.rows("SELECT count(*) FROM unrecordable")[0][0]
        self.slowest = max(self.ledger.calls, key=lambda call: call[1])

    @property
    def problems(self):
        """Sentences; none: the run was good."""
        found = [f"{len(cases)} {what}" for what in ("lost", "doubled", "different")
                 if (cases := getattr(self.verdict, what))]
        found += [f"{sum(1 for fault in self.faults if fault.in_flight is None)} faults did not strike: "
                  "too few were in flight"] if any(fault.in_flight is None for fault in self.faults) else []
        if self.slowest[1] > SLOWEST_CALL_S:
            found.append(f"the slowest synchronous call took {self.slowest[1]:.1f} s")
        found += [f"an answer that no client should see, {count} times: {answer}"
                  for answer, count in self.ledger.unexpected.items()]
        found += [f"crashed by itself: {said.splitlines()[0]}" for said in self.ended_early if "with signal" in said]
        return found


def kinds(ledger, kind):
    return [submission for submission in ledger.submissions if submission.kind == kind]


def summary(run):
    ledger, verdict, repeated = run.ledger, run.verdict, {key: n for key, n in run.calls.items() if n > 1}
    retried = sum(1 for submission in ledger.submissions if submission.tries > 1)
    seconds = [call[1] for call in ledger.calls]
    rows = [
        ("seed", run.options.seed),
        ("librdkafka of moru's programs", run.library),
        ("submissions acknowledged", f"{ledger.acknowledged:,} in {run.submitted_s:.0f} s, all recorded after "
                                     f"{run.settled_s:.0f} s"),
        ("submissions that needed several tries or were sent twice at once", f"{retried:,}"),
        ("tries that failed", ", ".join(f"{reason} {count:,}" for reason, count in ledger.retries.most_common())),
        ("rows", f"{verdict.rows:,}, of them failed: {sum(verdict.failed.values()):,}"),
        ("lost", len(verdict.lost)),
        ("doubled", len(verdict.doubled)),
        ("different", f"{len(verdict.different)} (answers compared with their row: {verdict.compared:,})"),
        ("never acknowledged (client left at once)", f"{len(kinds(ledger, 'abandoned')):,}, of them with a row: "
                                                     f"{verdict.abandoned:,}"),
        ("model calls for an output", f"{sum(run.calls.values()):,} for {len(run.calls):,} keys; more than one for "
                                      f"{len(repeated):,} keys, at most {max(run.calls.values(), default=0)}"),
        ("synchronous calls", f"{len(ledger.calls):,}, the median {statistics.median(seconds):.2f} s, the slowest "
                              f"{run.slowest[1]:.1f} s in {run.slowest[2]} tries, begun at "
                              f"{run.slowest[0] - run.began:.1f} s"),
        ("processes that ended by themselves, started again", "; ".join(last_reason(said) for said in run.ended_early)
         or 0),
        ("dead letters", sum(count for *_, count in run.dead)),
        ("unrecordable", run.unrecordable),
    ]
    lines = ["", "| what | value |", "| --- | --- |", *(f"| {what} | {value} |" for what, value in rows), ""]
    return "\n".join(lines + fault_table(run))


def last_reason(said):
    """The process, and the last reason that its log gives."""
    reasons = re.findall(r'"reason":"([^"]*)"', said)
    return f"{said.split(';')[0]}: {reasons[-1][:90] if reasons else 'no reason'}"


def fault_table(run):
    lines = ["| # | at | fault | in flight | back after | slowest synchronous call |",
             "| --- | --- | --- | --- | --- | --- |"]
    for number, fault in enumerate(run.faults, 1):
        what = {"kill": "kill -9 {0}, start after {1} s", "pause": "SIGSTOP {0} for {1} s",
                "rebalance": "another {0} for {1} s"}[fault.what].format(fault.target, fault.seconds)
        if fault.in_flight is None:
            lines.append(f"| {number} | – | {what} | did not strike | – | – |")
        else:
            lines.append(f"| {number} | {fault.struck_at - run.began:.1f} s | {what} | {fault.in_flight:,} | "
                         f"{fault.back_s:.1f} s | {fault.slowest_s:.1f} s |")
    return lines


def details(run):
    """What a person needs who is to find out why."""
    verdict = run.verdict
    lines = [f"- {reason}: {count} rows failed" for reason, count in verdict.failed.most_common(10)]
    lines += [f"- dead letters of {stage}: {reason}: {count}" for stage, reason, count in run.dead]
    for what in ("lost", "doubled", "different"):
        cases = getattr(verdict, what)
        lines += [f"- {what}: {case}" for case in cases[:10]]
        lines += [f"- {what}: {len(cases) - 10:,} more"] if len(cases) > 10 else []
    if verdict.lost_ids or verdict.doubled_ids:
        lines += ["", *traces(run.world, verdict.lost_ids[:3] + verdict.doubled_ids[:4])]
    return "\n".join(lines)


def keep_logs(world):
    folder = harness.BUILD / "chaos" / "log"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(world.logs, folder)
    say(f"the logs are kept in {folder}")


async def all_of(run):
    await run.submit()
    await run.judge()


def run_over(options, world):
    """True when nothing was lost, doubled or different, and the run was what it was to be."""
    run = Run(options, world)
    good = False
    try:
        say(f"seed {options.seed}: {options.requests:,} submissions, {len(run.faults)} faults")
        run.start()
        asyncio.run(all_of(run))
        print(summary(run), flush=True)
        print(details(run), flush=True)
        for problem in run.problems:
            say(f"FAILED: {problem}")
        good = not run.problems
    finally:
        if run.model:
            run.model.close()
        if not good and world.logs.exists():
            keep_logs(world)
    return good


def main():
    options = parse()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    world = harness.World()
    with tempfile.TemporaryDirectory(prefix="moru-chaos-") as folder:
        os.chmod(folder, 0o755)
        if options.newest_librdkafka:
            options.librdkafka = librdkafka.newest(pathlib.Path(folder) / "librdkafka")
        try:
            good = run_over(options, world)
        finally:
            world.close()
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
