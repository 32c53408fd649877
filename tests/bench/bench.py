"""Measures moru beside its FastAPI peer, in one run, and prints a Markdown table of what it found."""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

import machine
from peer_process import Peer
from private_stack import ROOT, PrivateStack, say, stop_on_signals

BODY = '{"user_input":"Write a fibonacci function","task_type":"code_generation"}'
MANY = 64


def parse():
    parser = argparse.ArgumentParser(
        prog="make bench", description="Starts a private moru stack (mock model) and, beside it on the same Postgres "
        "server, the peer of tests/bench/peer/; sends both the same requests over one connection and over 64, in "
        "alternating rounds; prints the medians of the rounds. Exits 0 when it could measure and every answered "
        "request has exactly one row, whether a target was met or missed. Give options as BENCH_ARGS='--rounds 5'.")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; the median of them counts (3)")
    parser.add_argument("--seconds", type=float, default=10, help="measured time of each load (10)")
    parser.add_argument("--warmup", type=float, default=5, help="time before each that is not measured (5)")
    parser.add_argument("--state", default=str(ROOT / ".moru" / "bench"), help="folder of the private stack")
    parser.add_argument("--load", required=True, help="the load generator, built from tests/bench/load.c")
    return parser.parse_args()


def run_load(options, url, connections):
    command = [options.load, "--url", f"{url}/api/v1/request", "--body", BODY, "--connections", str(connections),
               "--seconds", str(options.seconds), "--warmup", str(options.warmup)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"bench: the load on {url} failed, nothing to report")
    return json.loads(done.stdout)


def measure(options, systems):
    """Returns {system: {connections: [result of each round]}} and the highest memory of each process under MANY."""
    results = {name: {1: [], MANY: []} for name in systems}
    memory = {name: {} for name in systems}
    for turn in range(options.rounds):
        for connections in (1, MANY):
            for name, (url, processes) in systems.items():
                say(f"round {turn + 1} of {options.rounds}: {name}, connections: {connections}, "
                    f"{options.warmup + options.seconds:g} s")
                with machine.Sampler(processes) as sampler:
                    result = run_load(options, url, connections)
                results[name][connections].append(result)
                print(f"   {result['per_second']:,.0f}/s, median {result['median_us'] / 1000:.2f} ms, "
                      f"p99 {result['p99_us'] / 1000:.2f} ms", flush=True)
                if connections == MANY:
                    for process, megabytes in sampler.highest.items():
                        memory[name][process] = max(megabytes, memory[name].get(process, 0))
    return results, memory


def middle(results, field):
    return statistics.median(result[field] for result in results)


def row(what, moru, peer, unit, target, met, ratio=None):
    digits = 0 if unit == "/s" else 2 if unit == " ms" else 1
    shown = [f"{value:,.{digits}f}{unit}" if value is not None else "" for value in (moru, peer)]
    times = f"{ratio:.2f}" if ratio is not None else ""
    return f"| {what} | {shown[0]} | {shown[1]} | {times} | {target} | {verdict(met)} |"


def verdict(met):
    return "" if met is None else "met" if met else "**missed**"


def table(results, memory):
    """Ratios are moru's figure divided by the peer's."""
    lines = ["| | moru | peer | moru ÷ peer | target | |", "|---|---:|---:|---:|---|---|"]

    def add(what, connections, field, unit, scale, target, limit=None, least=None, ratio_limit=None, ratio_least=None):
        moru = middle(results["moru"][connections], field) / scale
        peer = middle(results["peer"][connections], field) / scale
        checks = [(limit, moru, -1), (least, moru, 1), (ratio_limit, moru / peer, -1), (ratio_least, moru / peer, 1)]
        met = all((value - bound) * sign >= 0 for bound, value, sign in checks if bound is not None)
        lines.append(row(what, moru, peer, unit, target, met if target else None, moru / peer))

    add("one connection, median", 1, "median_us", " ms", 1000, "≤ 2.5 ms", limit=2.5)
    add("one connection, p99", 1, "p99_us", " ms", 1000, "≤ 10 ms", limit=10)
    add(f"{MANY} connections, throughput", MANY, "per_second", "/s", 1, "≥ 4,000/s", least=4000)
    add(f"{MANY} connections, throughput beside the peer", MANY, "per_second", "/s", 1, "≥ 10 × the peer's",
        ratio_least=10)
    add(f"{MANY} connections, median beside the peer", MANY, "median_us", " ms", 1000, "≤ 1/5 of the peer's",
        ratio_limit=0.2)
    add(f"{MANY} connections, p99", MANY, "p99_us", " ms", 1000, "")
    for process, megabytes in sorted(memory["moru"].items()):
        lines.append(row(f"{process}, resident under that load", megabytes, memory["peer"].get(process), " MB",
                         "≤ 40 MB", megabytes <= 40))
    return "\n".join(lines)


def check_rows(name, answered, before, query):
    """Every answered request has one row, and no row is there without an answer."""
    rows, requests = (int(value) for value in query(
        "SELECT count(*) FROM execution_logs UNION ALL SELECT count(DISTINCT request_id) FROM execution_logs"))
    recorded = rows - before
    print(f"{name}: {answered:,} answered, {recorded:,} recorded, {requests - before:,} different request ids")
    return recorded == requests - before == answered


def count_rows(query):
    return int(query("SELECT count(*) FROM execution_logs")[0])


def bench(options, stack, peer):
    query = {"moru": stack.query, "peer": peer.query}
    systems = {"moru": (stack.urls["GATEWAY_URL"], stack.processes()), "peer": (peer.url, peer.processes())}
    if len(systems["moru"][1]) < 4:
        sys.exit(f"bench: want moru's four processes, found {systems['moru'][1]}")
    before = {name: count_rows(query[name]) for name in systems}
    say(f"load of the machine before: {os.getloadavg()[0]:.2f}")
    results, memory = measure(options, systems)
    print()
    whole = True
    for name in systems:
        answered = sum(result["answered"] for rounds in results[name].values() for result in rounds)
        whole &= check_rows(name, answered, before[name], query[name])
    peaks = {name: machine.memory_mb(pid, "VmHWM") for name, pid in systems["moru"][1].items()}
    print(f"\n{table(results, memory)}\n")
    print("Highest resident memory since the start: "
          + ", ".join(f"{name} {megabytes:.1f} MB" for name, megabytes in sorted(peaks.items())) + ".")
    print(machine.describe(stack, ROOT))
    print(f"Each figure is the median of {options.rounds} rounds of {options.seconds:g} s after "
          f"{options.warmup:g} s of warm-up; memory is the highest sample under {MANY} connections.")
    return whole


def main():
    options = parse()
    stop_on_signals()
    say("starting a private moru stack")
    with PrivateStack(options.state) as stack:
        say("starting the peer")
        with Peer(stack, pathlib.Path(options.state) / "peer") as peer:
            if not bench(options, stack, peer):
                sys.exit("bench: rows and answers do not agree")
        say("stopping")


if __name__ == "__main__":
    main()
