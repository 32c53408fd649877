"""What moru adds to a synchronous call beyond the model's own time, with 1,000 calls in flight."""
import json
import statistics
import subprocess
import sys

from models_rate import call_body
from private_stack import say

CALLS = 3  # refine, generate, judge
IN_FLIGHT = 1_000
ADDED_MS_MAX = 5
BARE_RATE = 50
WARMUP_SECONDS = 15
REQUEST = '{"user_input":"Write a Python function that reverses a string.","task_type":"code_generation"}'


def load(options, url, body, rate, connections):
    """At a rate, so that calls are spread over time as they are in life. More connections than are in flight, so that
    what piles up in the warm-up, while moru finds out how many calls the model takes, does not stay."""
    command = [options.load, "--url", url, "--body", body, "--connections", str(connections), "--seconds",
               str(options.seconds), "--warmup", str(WARMUP_SECONDS), "--rate", str(rate)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def result_of(process):
    text = process.communicate()[0]
    if process.returncode != 0:
        sys.exit("bench: the load of synchronous calls failed")
    return {name: value / 1000 for name, value in json.loads(text).items() if name.endswith("_us")}


def measure(options, stack, sim):
    """Latencies in ms of synchronous requests at the gateway, and of single calls that a bare client makes of the same
    model beside them: both see how late the model is."""
    requests = load(options, f"{stack.urls['GATEWAY_URL']}/api/v1/request", REQUEST, IN_FLIGHT / CALLS, 3 * IN_FLIGHT)
    bare = load(options, f"{sim.url}/chat/completions", call_body(stack.state).read_text(), BARE_RATE, BARE_RATE * 4)
    return result_of(requests), result_of(bare)


def latency(options, stack, sim, table):
    sim.control(latency_ms=1000)
    added, slow = [], []
    for turn in range(options.rounds):
        say(f"round {turn + 1} of {options.rounds}: synchronous calls, {IN_FLIGHT:,} in flight")
        moru, bare = measure(options, stack, sim)
        added.append(moru["median_us"] - CALLS * bare["median_us"])
        slow.append(moru["p99_us"] - CALLS * bare["median_us"])
        print(f"   median {moru['median_us']:.1f} ms; a bare client's of one call {bare['median_us']:.2f} ms", flush=True)
    middle = statistics.median(added)
    table.add(f"added to a synchronous call, {IN_FLIGHT:,} in flight, median", {"moru": f"{middle:.1f} ms"},
              f"≤ {ADDED_MS_MAX} ms", middle <= ADDED_MS_MAX)
    table.add("… p99", {"moru": f"{statistics.median(slow):.1f} ms"})
