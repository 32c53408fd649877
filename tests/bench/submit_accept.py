"""Accepting single submissions: moru's gateway beside the bare probe and the peer, over wrk's connections."""
import pathlib
import secrets

import wrk_load
from bench_topics import count_records, create_topic
from peer_process import uvicorn
from private_stack import free_port, say
from servers import Servers

WORKERS = ("generator", "evaluator", "recorder", "optimizer")
PEER_PROCESSES = 2
# The better one of the two is the bare one: alone a record should not wait, but many go better together.
BARE = {"bare, linger 0": 0, "bare, linger 1 ms": 1}
FIRST_WARMUP_CONNECTIONS, FIRST_WARMUP_SECONDS = 64, 3
PATH = "/api/v1/requests"
MEDIAN_US_MAX, PER_SECOND_MIN, OF_BARE_MIN, OF_PEER_MIN = 400, 60_000, 0.6, 6
KEYED_CONNECTIONS, KEYED_PER_SECOND_MIN = 1000, 10_000


class Accepting:
    """`with Accepting(stack, options) as systems`: those that take submissions, {name: url}; their topics are filled and
    not read, and moru's workers are stopped."""

    def __init__(self, stack, options):
        self.stack, self.options = stack, options
        self.servers = Servers(pathlib.Path(options.state) / "peers")
        self.topics = {"moru": "requests.normal", "peer": "requests.peer",
                       **{name: f"requests.bare-{linger_ms}" for name, linger_ms in BARE.items()}}
        self.urls = {"moru": stack.urls["GATEWAY_URL"]}

    def start(self, name, port, command, environment=None):
        self.servers.start(name, command, environment)
        self.urls[name] = f"http://127.0.0.1:{port}"

    def start_all(self):
        brokers = self.stack.urls["KAFKA_BROKERS"]
        for name, linger_ms in BARE.items():
            port = free_port()
            self.start(name, port, [self.options.probe, str(port), brokers, self.topics[name], str(linger_ms)])
        port = free_port()
        self.start("peer", port, uvicorn("submitter", port, "--workers", str(PEER_PROCESSES)),
                   {"PEER_BROKERS": brokers, "PEER_TOPIC": self.topics["peer"], "PYTHONDONTWRITEBYTECODE": "1"})
        for name in self.servers.running:
            self.servers.wait(name, f"{self.urls[name]}/health")

    def __enter__(self):
        self.stack.stop_workers(*WORKERS)
        for name, topic in self.topics.items():
            if name != "moru":
                create_topic(self.stack, topic, "requests")
        try:
            self.start_all()
        except BaseException:
            self.servers.stop()
            raise
        return {name: f"{url}{PATH}" for name, url in self.urls.items()}

    def __exit__(self, *_error):
        self.servers.stop()


def load(options, url, connections, keyed=False):
    """One measured run, after one that is not."""
    for seconds in (options.warmup, options.seconds):
        figures = wrk_load.run_wrk(url, connections, seconds, secrets.token_hex(6) if keyed else None)
    return figures


def measure(options, systems):
    """{connections: {system: [figures of each round]}}"""
    results = {connections: {name: [] for name in systems} for connections in options.connections}
    for name, url in systems.items():
        say(f"warm-up: {name}, {FIRST_WARMUP_CONNECTIONS} connections, {FIRST_WARMUP_SECONDS} s")
        wrk_load.run_wrk(url, FIRST_WARMUP_CONNECTIONS, FIRST_WARMUP_SECONDS)
    for turn in range(options.rounds):
        for connections in options.connections:
            say(f"accept, round {turn + 1} of {options.rounds}, connections: {connections}; "
                f"{len(systems)} × {options.warmup + options.seconds} s")
            for name, url in systems.items():
                figures = load(options, url, connections)
                results[connections][name].append(figures)
                print(f"   {name}: {wrk_load.describe(figures)}", flush=True)
    return results


def checks_of(connections, moru, per_bare, per_peer):
    checks = {"no stall, all accepted": not wrk_load.stalled(moru) and not moru["wrong"]}
    if connections == 1:
        checks["median ≤ 0.4 ms"] = moru["median_us"] <= MEDIAN_US_MAX
    if connections == 1000:
        checks["≥ 60,000/s"] = moru["per_second"] >= PER_SECOND_MIN
        checks["≥ 0.6 × bare"] = per_bare >= OF_BARE_MIN
        checks["≥ 6 × peer"] = per_peer >= OF_PEER_MIN
    return checks


def accept(options, stack, table):
    accepting = Accepting(stack, options)
    with accepting as systems:
        results = measure(options, systems)
        for name, topic in accepting.topics.items():
            told = sum(figures["accepted"] for by_name in results.values() for figures in by_name[name])
            kept = count_records(stack, topic)
            table.must_hold(kept >= told, f"accept, {name}: told 202 for {told:,}, Kafka has {kept:,}")
    for connections, by_name in results.items():
        figures = {name: wrk_load.summary(rounds) for name, rounds in by_name.items()}
        better = max(BARE, key=lambda name: figures[name]["per_second"])
        figures["bare"] = figures[better]
        ratios = {name: figures["moru"]["per_second"] / max(figures[name]["per_second"], 1) for name in ("bare", "peer")}
        cells = {name: wrk_load.describe(figure) for name, figure in figures.items()}
        cells["bare"] += f" ({better.removeprefix('bare, ')})"
        table.add(f"accept, connections: {connections:,}", cells["moru"],
                  checks_of(connections, figures["moru"], ratios["bare"], ratios["peer"]), bare=cells["bare"],
                  peer=cells["peer"], per_bare=ratios["bare"], per_peer=ratios["peer"])


def keys(options, stack, table):
    """A fresh Idempotency-Key on every request, each of which Postgres keeps."""
    stack.stop_workers(*WORKERS)
    url = f"{stack.urls['GATEWAY_URL']}{PATH}"
    wrk_load.run_wrk(url, FIRST_WARMUP_CONNECTIONS, FIRST_WARMUP_SECONDS, secrets.token_hex(6))
    rounds = []
    for turn in range(options.rounds):
        say(f"keys, round {turn + 1} of {options.rounds}, connections: {KEYED_CONNECTIONS:,}")
        rounds.append(load(options, url, KEYED_CONNECTIONS, keyed=True))
        print(f"   moru: {wrk_load.describe(rounds[-1])}", flush=True)
    figures = wrk_load.summary(rounds)
    kept = int(stack.query("SELECT count(*) FROM idempotency_keys")[0])
    table.must_hold(kept >= figures["accepted"], f"keys: {figures['accepted']:,} accepted, {kept:,} keys kept")
    table.add(f"accept with an Idempotency-Key each, connections: {KEYED_CONNECTIONS:,}", wrk_load.describe(figures),
              {"≥ 10,000/s": figures["per_second"] >= KEYED_PER_SECOND_MIN,
               "no stall, all accepted": not wrk_load.stalled(figures) and not figures["wrong"]})
