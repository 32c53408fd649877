"""What moru adds to a synchronous call beyond the model's own time, with 1,000 calls in flight."""
import json
import statistics
import subprocess
import sys

from private_stack import say

CALLS = 3  # refine, generate, judge
IN_FLIGHT = 1_000
ADDED_MS_MAX = 5
BODY = '{"user_input":"Write a Python function that reverses a string.","task_type":"code_generation"}'


def run_load(options, stack, rate):
    """At a rate, so that requests are spread over time as they are in life."""
    command = [options.load, "--url", f"{stack.urls['GATEWAY_URL']}/api/v1/request", "--body", BODY, "--connections",
               "1024", "--seconds", str(options.seconds), "--warmup", "8", "--rate", str(rate)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit("bench: the load of synchronous calls failed")
    return json.loads(done.stdout)


def model_ms(before, after):
    """Of one call, as the simulator has measured it."""
    calls = sum(after["roles"].values()) - sum(before["roles"].values())
    return (after["answer_seconds"] - before["answer_seconds"]) * 1000 / calls


def latency(options, stack, sim, table):
    sim.control(latency_ms=1000)
    added, slow = [], []
    for turn in range(options.rounds):
        say(f"round {turn + 1} of {options.rounds}: synchronous calls, {IN_FLIGHT:,} in flight")
        before = sim.stats()
        result = run_load(options, stack, IN_FLIGHT / CALLS)
        own = CALLS * model_ms(before, sim.stats())
        added.append(result["median_us"] / 1000 - own)
        slow.append(result["p99_us"] / 1000 - own)
        print(f"   median {result['median_us'] / 1000:.1f} ms, the model's own time {own:.1f} ms", flush=True)
    middle = statistics.median(added)
    table.add(f"added to a synchronous call, {IN_FLIGHT:,} in flight, median", {"moru": f"{middle:.1f} ms"},
              f"≤ {ADDED_MS_MAX} ms", middle <= ADDED_MS_MAX)
    table.add("… p99", {"moru": f"{statistics.median(slow):.1f} ms"})
