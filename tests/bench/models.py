"""Measures calls of a remote model: how many one generator process holds and makes, beside aiohttp and httpx; what moru adds
to a synchronous call; what a kill -9 repeats; what a provider's death costs. Prints one Markdown table."""
import argparse
import sys

import machine
from models_death import death
from models_latency import latency
from models_rate import kill, rate, tls
from models_sim import Sim, make_certificate
from private_stack import ROOT, PrivateStack, say, stop_on_signals
from submit_waiting import raise_open_files

# In the order in which they share a stack; tls has one of its own.
PARTS = {"latency": latency, "death": death, "rate": rate, "kill": kill}
LATENCY_MS = 1000
# The lane of submissions gets what the others' reserve leaves of it: 12,000. Some of these are being read, published and
# acknowledged at any time, so that about 10,000 wait for the model.
SETTINGS = {"WORKER_IN_FLIGHT_MAX": "17500", "KAFKA_PREFETCH_MESSAGES": "3000", "WORKER_IN_FLIGHT_BYTES_MAX": "1000000000",
            "LLM_API_KEY": "bench", "LLM_TIMEOUT_MS": "120000", "LLM_CONNECT_TIMEOUT_MS": "60000", "LOG_LEVEL": "warn"}

NOTES = """The model is moru-sim (tests/sim), which answers after {latency} ms; all share the machine. Calls a second are its
count of answers over {seconds} s after {warmup} s, the median of {rounds} rounds in which the systems take turns. moru: one
generator, which reads submissions from Kafka, refines and generates (two calls a request), with Postgres and the
broker at work beside it, and the workers behind it stopped. aiohttp and httpx (uvloop, no limits, keep-alive) make the same
calls over and over and do nothing else; httpx has 100 connections, its own limit, for 1,000 callers, since with more it is
slower. Memory is the highest resident sample. Added latency: the median of a synchronous request at the gateway, at {sync} in
flight, less three times (refine, generate, judge) the median of single calls of the same model that a bare client makes
beside them."""


class Table:
    """Rows in the order of their measurement."""

    def __init__(self):
        self.rows, self.wrong = [], []

    def add(self, what, figures, target="", met=None):
        """figures: {system: text}; target is moru's."""
        cells = " | ".join(figures.get(system, "") for system in ("moru", "aiohttp", "httpx"))
        verdict = "" if met is None else "met" if met else "**missed**"
        self.rows.append(f"| {what} | {cells} | {target} | {verdict} |")
        print(f"   {self.rows[-1]}", flush=True)

    def must_hold(self, condition, what):
        """What makes the whole run worthless."""
        if not condition:
            self.wrong.append(what)
            print(f"   WRONG: {what}", flush=True)

    def __str__(self):
        return "\n".join(["| | moru | aiohttp | httpx | target | |", "|---|---:|---:|---:|---|---|", *self.rows])


def parse():
    parser = argparse.ArgumentParser(
        prog="make bench-models", description="Starts a private moru stack whose model is the simulator, and measures its "
        "calls. Exits 0 when it could measure and all counts agree, whether a target was met or missed. Give options as "
        "MODELS_ARGS='--only rate --rounds 1'.")
    parser.add_argument("--only", choices=[*PARTS, "tls"], action="append", help="this part; may be given several times (all)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of rate and tls; their median counts (3)")
    parser.add_argument("--seconds", type=float, default=8, help="measured time of each load (8)")
    parser.add_argument("--warmup", type=float, default=5, help="time before each that is not measured (5)")
    parser.add_argument("--dead-seconds", type=float, default=30, help="how long the provider is dead (30)")
    parser.add_argument("--state", default=str(ROOT / ".moru" / "bench-models"), help="folder of the private stack")
    parser.add_argument("--sim", required=True, help="build/moru-sim")
    parser.add_argument("--load", required=True, help="the load generator, built from tests/bench/load.c")
    options = parser.parse_args()
    options.only = options.only or [*PARTS, "tls"]
    return options


def measure(options, table):
    """Returns what describes the machine."""
    logs = ROOT / ".moru" / "bench-models-sim"
    described = ""
    parts = [part for name, part in PARTS.items() if name in options.only]
    if parts:
        with Sim(options.sim, logs, latency_ms=LATENCY_MS) as sim:
            say("starting a private moru stack")
            with PrivateStack(options.state, {**SETTINGS, "LLM_BASE_URL": sim.url}) as stack:
                for part in parts:
                    part(options, stack, sim, table)
                described = machine.describe(stack, ROOT)
    if "tls" in options.only:
        pair = make_certificate(logs)
        with Sim(options.sim, logs, tls=pair, latency_ms=LATENCY_MS) as sim:
            say("starting a private moru stack whose model speaks TLS")
            settings = {**SETTINGS, "LLM_BASE_URL": sim.url, "LLM_CA_FILE": str(pair[0])}
            with PrivateStack(options.state, settings) as stack:
                tls(options, stack, sim, table, pair)
                described = machine.describe(stack, ROOT)
    return described


def main():
    options = parse()
    stop_on_signals()
    raise_open_files()
    table = Table()
    try:
        described = measure(options, table)
    finally:
        if table.rows:
            print(f"\n{table}\n", flush=True)
    print(described)
    print(NOTES.format(latency=LATENCY_MS, seconds=f"{options.seconds:g}", warmup=f"{options.warmup:g}",
                       rounds=options.rounds, sync="1,000"))
    if table.wrong:
        sys.exit("bench: counts do not agree:\n" + "\n".join(table.wrong))


if __name__ == "__main__":
    main()
