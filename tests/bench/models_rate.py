"""Calls a second with 10,000 in flight from one process, over plain HTTP and TLS; and what a kill -9 in their midst repeats."""
import asyncio
import itertools
import json
import pathlib
import signal
import statistics
import subprocess
import sys
import time
import uuid

import aiokafka

import machine
from models_sim import Sim
from private_stack import metric_sum, say

HERE = pathlib.Path(__file__).resolve().parent
WORKERS = ("evaluator", "recorder", "optimizer")
IN_FLIGHT = {"aiohttp": 10_000, "httpx": 1_000}
RATE_MIN, MEMORY_MB_MAX = 8_500, 400
CALLS_PER_REQUEST = 2
REQUESTS_PER_SECOND_MAX = 5_500
REQUESTS_UNTIL_FULL = 20_000  # moru begins with few calls in flight and finds out how many the model takes
COMMITTED_WITHIN_SECONDS = 0.1
FULL = 0.9
KILL_LATENCY_MS, KILL_JITTER_MS, KILL_REQUESTS = 1_500, 1_000, 40_000
numbers = itertools.count()


def input_text():
    """As long as a request usually is, and never the same."""
    return (f"Write a Python function that reverses a string, variant {next(numbers):07d}. It is called from a web service "
            "with texts of some hundred characters, in many languages, and its callers rely on what it returns.")


def request():
    """As the gateway writes it (schemas/request.schema.json)."""
    now = int(time.time() * 1000)
    return {"request_id": str(uuid.uuid4()), "tenant": "default", "lane": "normal", "purpose": "serve", "run": 1,
            "origin_id": None, "batch_id": None, "line": None, "accepted_at": now, "expires_at": now + 3_600_000,
            "task_type": "code_generation", "user_input": input_text()}


async def produce(stack, requests):
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=stack.urls["KAFKA_BROKERS"], acks="all", linger_ms=5)
    await producer.start()
    try:
        sent = []
        for _ in range(requests):
            message = request()
            sent.append(await producer.send("requests.normal", json.dumps(message).encode(),
                                            key=message["request_id"].encode()))
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


def fill(stack, requests):
    asyncio.run(produce(stack, requests))


def wait_full(sim):
    """Until nearly IN_FLIGHT calls are in flight."""
    deadline = time.monotonic() + 60
    while sim.stats()["in_flight"] < FULL * IN_FLIGHT["aiohttp"]:
        if time.monotonic() > deadline:
            sys.exit("bench: 10,000 calls are not in flight after 60 s")
        time.sleep(0.05)


def run_moru(options, stack, sim):
    """(calls a second, in flight, megabytes) of one round."""
    fill(stack, REQUESTS_UNTIL_FULL + int(REQUESTS_PER_SECOND_MAX * (options.warmup + options.seconds)))
    wait_full(sim)
    with machine.Sampler({"generator": stack.processes()["generator"]}) as sampler:
        rate, in_flight = sim.measure(options.warmup, options.seconds)
    sim.wait_quiet(120)
    return rate, in_flight, sampler.highest["generator"]


def call_body(folder):
    """The body of a refining call, as moru writes it."""
    system = ("You refine requests before another model works on them. Rewrite the user's request so that it is clear, "
              "complete and specific. Keep its meaning and its language, add no new wishes, and do not answer it. "
              "Reply with the rewritten request only.")
    path = folder / "call.json"
    path.write_text(json.dumps({
        "model": "gpt-4o-mini", "messages": [{"role": "system", "content": system}, {"role": "user", "content": input_text()}],
        "temperature": 0.2, "max_tokens": 1024}, separators=(",", ":")))
    return path


def run_peer(options, client, folder, tls=None):
    """Against a simulator of its own: moru keeps its connections open, and the two would not fit into one."""
    with Sim(options.sim, folder / "sim", tls=tls, latency_ms=1000) as sim:
        return run_client(options, sim, client, folder, tls and tls[0])


def run_client(options, sim, client, folder, certificate):
    command = [sys.executable, str(HERE / "peer" / "model_calls.py"), "--client", client, "--url",
               f"{sim.url}/chat/completions", "--body", str(call_body(folder)), "--in-flight", str(IN_FLIGHT[client])]
    command += ["--ca", str(certificate)] if certificate else []
    process = subprocess.Popen(command)
    try:
        with machine.Sampler({client: process.pid}) as sampler:
            rate, in_flight = sim.measure(options.warmup, options.seconds)
        if process.poll() is not None:
            sys.exit(f"bench: the {client} peer ended early")
    finally:
        process.kill()
        process.wait()
    return rate, in_flight, sampler.highest[client]


def rounds(options, stack, sim, tls=None):
    """{system: [(calls a second, in flight, megabytes) of each round]}"""
    found = {"moru": [], **{client: [] for client in IN_FLIGHT}}
    for turn in range(options.rounds):
        for system in found:
            say(f"round {turn + 1} of {options.rounds}: {system}{', TLS' if tls else ''}")
            result = (run_moru(options, stack, sim) if system == "moru"
                      else run_peer(options, system, stack.state, tls))
            found[system].append(result)
            print("   {:,.0f} calls/s, {:,.0f} in flight, {:.0f} MB".format(*result), flush=True)
    return found


def middle(found, place):
    return {system: statistics.median(result[place] for result in results) for system, results in found.items()}


def add_rows(table, found, how, rate_target, memory_target):
    rates, in_flight, memory = (middle(found, place) for place in range(3))
    table.add(f"calls/s, {how}", {system: f"{value:,.0f}" for system, value in rates.items()},
              f"≥ {RATE_MIN:,}" if rate_target else "", rates["moru"] >= RATE_MIN if rate_target else None)
    table.add("… in flight", {system: f"{value:,.0f}" for system, value in in_flight.items()})
    table.add("… resident memory", {system: f"{value:,.0f} MB" for system, value in memory.items()},
              f"≤ {MEMORY_MB_MAX} MB" if memory_target else "",
              memory["moru"] <= MEMORY_MB_MAX if memory_target else None)


def stop_others(stack):
    running = [name for name in WORKERS if name in stack.processes()]
    if running:
        stack.stop_workers(*running)


def rate(options, stack, sim, table):
    sim.control(latency_ms=1000)
    stop_others(stack)
    add_rows(table, rounds(options, stack, sim), "plain HTTP, model at 1 s", True, True)


def tls(options, stack, sim, table, pair):
    stop_others(stack)
    add_rows(table, rounds(options, stack, sim, pair), "TLS, model at 1 s", False, False)


def growth(after, before, name):
    return {role: after[name][role] - before[name][role] for role in ("refiner", "author")}


def kill(options, stack, sim, table):
    """A kill -9 with 10,000 calls in flight, at a latency at which the process is not saturated: else answers that had
    come wait unread in its sockets, and are asked for again."""
    sim.control(latency_ms=KILL_LATENCY_MS, jitter_ms=KILL_JITTER_MS)
    stop_others(stack)
    say("kill -9 of the generator with 10,000 calls in flight")
    before = sim.stats()
    fill(stack, KILL_REQUESTS)
    wait_full(sim)
    time.sleep(options.warmup)
    url = stack.urls["GENERATOR_URL"]
    jobs = metric_sum(url, "agent_jobs_in_flight")
    first, began = sim.stats(), time.monotonic()
    stack.stop_workers("generator", number=signal.SIGKILL)
    passed, at_kill = sim.drop_all() - began, sim.stats()
    share = min(1, COMMITTED_WITHIN_SECONDS / passed)
    last = {role: count * share for role, count in growth(at_kill, first, "roles").items()}
    stack.start_worker("generator")
    while growth(sim.stats(), before, "roles")["author"] < KILL_REQUESTS:
        time.sleep(0.1)
    sim.wait_quiet(120)
    sim.control(jitter_ms=0)
    after = sim.stats()
    repeats, answered = growth(after, before, "repeats"), growth(after, before, "repeats_of_answered")
    total, most = sum(repeats.values()), int(jobs + last["author"])
    table.add(f"kill -9 with {first['in_flight']:,} calls in flight: calls repeated",
              {"moru": f"{total:,}"}, f"≤ {most:,}: jobs in flight and ended in the last 100 ms", total <= most)
    for role, what in (("author", "generated again, though answered"), ("refiner", "refined again, though answered")):
        table.add(f"… {what}", {"moru": f"{answered[role]:,}"}, f"≤ {int(last[role]):,}: answered in the last 100 ms",
                  answered[role] <= last[role])
    done = after["distinct"] - before["distinct"]
    table.must_hold(done == CALLS_PER_REQUEST * KILL_REQUESTS,
                    f"kill: {done:,} different calls for {KILL_REQUESTS:,} requests")
