"""Measures how moru takes submissions, beside a bare probe and a FastAPI + aiokafka peer; prints one Markdown table."""
import argparse
import subprocess
import sys

import machine
from private_stack import ROOT, PrivateStack, say, stop_on_signals
from submit_accept import PEER_PROCESSES, accept, keys
from submit_batch import batch, through
from submit_recorder import recorder
from submit_table import Table
from submit_waiting import SETTINGS, raise_open_files, waiting

CONNECTIONS = (1, 16, 64, 128, 256, 512, 1000)
REQUESTS, REQUESTS_FULL = 60_000, 500_000
PARTS = {"accept": accept, "keys": keys, "batch": batch, "through": through, "recorder": recorder, "waiting": waiting}

NOTES = """A cell of accept holds: accepted a second, median, p99, the longest time without any answer (more than a
second is a stall). Each is the median of {rounds} rounds of {seconds} s after {warmup} s of warm-up each; the longest
time is that of all rounds, at most 10 ms too long. bare: libmicrohttpd and librdkafka on one loop, nothing parsed
(tests/bench/probe.c), with linger.ms 0 or 1, whichever is faster; peer: FastAPI + aiokafka, {workers} uvicorn
processes (tests/bench/peer/submitter.py). All produce with acks=all and idempotence into topics of the same kind.
While single submissions and batches are accepted, moru's workers are stopped and the topics fill."""


def whole(least):
    def read(text):
        number = int(text)
        if number < least:
            raise argparse.ArgumentTypeError(f"at least {least}")
        return number
    return read


def parse():
    parser = argparse.ArgumentParser(
        prog="make bench-submit", description="Each part starts a private moru stack (mock model), Kafka and Postgres "
        "with their durability defaults. All of them take about 15 minutes. Exits 0 when it could measure and all counts "
        "agree, whether a target was met or missed. Give options as SUBMIT_ARGS='--only batch --rounds 5'.")
    parser.add_argument("--only", choices=PARTS, action="append", help="this part; may be given several times (all)")
    parser.add_argument("--connections", type=lambda text: [whole(1)(word) for word in text.split(",")],
                        default=list(CONNECTIONS), metavar="N,N…",
                        help=f"connections of accept ({','.join(map(str, CONNECTIONS))})")
    parser.add_argument("--rounds", type=whole(1), default=3, help="their median counts (3)")
    parser.add_argument("--seconds", type=whole(1), default=5, help="measured time of each load (5)")
    parser.add_argument("--warmup", type=whole(1), default=1, help="time before each that is not measured (1)")
    parser.add_argument("--requests", type=whole(10_000), default=REQUESTS,
                        help=f"of the parts through and recorder ({REQUESTS})")
    parser.add_argument("--full", action="store_true", help=f"as --requests {REQUESTS_FULL}")
    parser.add_argument("--state", default=str(ROOT / ".moru" / "bench-submit"), help="folder of the private stack")
    parser.add_argument("--probe", required=True, help="the bare probe, built from tests/bench/probe.c")
    options = parser.parse_args()
    options.requests = REQUESTS_FULL if options.full else options.requests
    options.only = [name for name in PARTS if not options.only or name in options.only]
    return options


def wrk_version():
    done = subprocess.run(["wrk", "-v"], stdout=subprocess.PIPE, text=True)
    return " ".join(done.stdout.split()[:2])


def measure(options, table):
    """Each part on a stack of its own, so that what one leaves behind does not burden the next; returns what describes
    the machine."""
    for name in options.only:
        say(f"{name}: starting a private moru stack")
        with PrivateStack(options.state, SETTINGS if name == "waiting" else {}) as stack:
            PARTS[name](options, stack, table)
            described = machine.describe(stack, ROOT)
    return f"{described} Load: {wrk_version()}."


def main():
    options = parse()
    stop_on_signals()
    if "waiting" in options.only:
        raise_open_files()
    table = Table()
    try:
        described = measure(options, table)
    finally:
        if table.rows:
            print(f"\n{table}\n", flush=True)
    print(described)
    print(NOTES.format(rounds=options.rounds, seconds=options.seconds, warmup=options.warmup, workers=PEER_PROCESSES))
    if table.wrong:
        sys.exit("bench: counts do not agree:\n" + "\n".join(table.wrong))


if __name__ == "__main__":
    main()
