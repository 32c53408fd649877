"""A provider that dies for a while under 500 requests a second: what is lost, and how soon the breaker knows."""
import asyncio
import json
import threading
import time
import urllib.request

import aiohttp

from models_sim import Sim
from private_stack import direct, say

CALLERS = ("generator", "evaluator")
RATE = 500
LATENCY_MS = 100
LIVE_SECONDS = 5  # before the death, and after it
KNOWN_WITHIN_SECONDS = 2
METRIC = "agent_model_breaker_state"
CLOSED, OPEN = 0, 2
BODY = json.dumps({"user_input": "Write a Python function that reverses a string.", "task_type": "code_generation"})


def breaker_states(url):
    """Of each target; empty while there is no such metric."""
    with direct.open(f"{url}/metrics", timeout=10) as answer:
        return [float(line.rsplit(" ", 1)[1]) for line in answer.read().decode().splitlines()
                if line.startswith((f"{METRIC}{{", f"{METRIC} "))]


class BreakerWatch(threading.Thread):
    """`with BreakerWatch(url) as watch`: watch.seen are (time, state) at each change of the highest state."""

    def __init__(self, url):
        super().__init__(daemon=True)
        self.url, self.seen, self.over = url, [], threading.Event()

    def run(self):
        while not self.over.wait(0.02):
            state = max(breaker_states(self.url), default=None)
            if not self.seen or self.seen[-1][1] != state:
                self.seen.append((time.monotonic(), state))

    def first(self, state, after):
        return next((when for when, seen in self.seen if seen == state and when >= after), None)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_error):
        self.over.set()
        self.join()


async def submit_steadily(url, seconds):
    """RATE submissions a second; returns the ids of those that were accepted."""
    accepted = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        async def submit():
            headers = {"Content-Type": "application/json"}
            async with session.post(f"{url}/api/v1/requests", data=BODY, headers=headers) as answer:
                if answer.status == 202:
                    accepted.append((await answer.json())["request_id"])
        began, tasks = time.monotonic(), []
        for number in range(int(RATE * seconds)):
            await asyncio.sleep(max(0, began + number / RATE - time.monotonic()))
            tasks.append(asyncio.create_task(submit()))
        await asyncio.gather(*tasks)
    return accepted


def warm_up(stack):
    """Until a request has gone all the way, so that every process has its partitions."""
    body = json.dumps({"user_input": "Say when you are ready.", "task_type": "code_generation"}).encode()
    request = urllib.request.Request(f"{stack.urls['GATEWAY_URL']}/api/v1/request", body,
                                     {"Content-Type": "application/json"})
    direct.open(request, timeout=60).close()


def succeeded(stack):
    return int(stack.query("SELECT count(*) FROM results WHERE status = 'succeeded'")[0])


def wait_recorded(stack, count):
    """Until so many have succeeded, or none has for 60 s; returns how many have."""
    last, since = -1, time.monotonic()
    while last < count and time.monotonic() - since < 60:
        now = succeeded(stack)
        if now > last:
            last, since = now, time.monotonic()
        time.sleep(0.5)
    return last


def within(table, what, when, since):
    took = when - since if when is not None else None
    table.add(what, {"moru": f"{took:.2f} s" if took is not None else "never"}, f"≤ {KNOWN_WITHIN_SECONDS} s",
              took is not None and took <= KNOWN_WITHIN_SECONDS)


def live_through(options, stack, sim):
    """(accepted, recorded, died, recorded while dead, changes of the breaker)"""
    before, accepted = succeeded(stack), []
    seconds = 2 * LIVE_SECONDS + options.dead_seconds
    load = threading.Thread(target=lambda: accepted.extend(
        asyncio.run(submit_steadily(stack.urls["GATEWAY_URL"], seconds))))
    with BreakerWatch(stack.urls["GENERATOR_URL"]) as watch:
        load.start()
        time.sleep(LIVE_SECONDS)
        died = time.monotonic()
        sim.control(dead_ms=int(options.dead_seconds * 1000))
        at_death = succeeded(stack)
        time.sleep(max(0, died + options.dead_seconds - time.monotonic()))
        meanwhile = succeeded(stack) - at_death
        load.join()
        recorded = wait_recorded(stack, before + len(accepted)) - before
    return len(accepted), recorded, died, meanwhile, watch


def add_rows(options, table, how, lived):
    accepted, recorded, died, _, watch = lived
    lost = accepted - recorded
    table.add(f"{RATE} requests/s, the provider dead for {options.dead_seconds:g} s, {how}: lost of {accepted:,}",
              {"moru": f"{lost:,}"}, "0", lost == 0)
    within(table, "… breaker open after its death", watch.first(OPEN, died), died)
    back = died + options.dead_seconds
    within(table, "… breaker closed after its return", watch.first(CLOSED, back), back)


def death(options, stack, sim, table):
    sim.control(latency_ms=LATENCY_MS)
    say(f"{RATE} requests/s, and the provider dies for {options.dead_seconds:g} s")
    warm_up(stack)
    add_rows(options, table, "no fallback", live_through(options, stack, sim))
    with Sim(options.sim, stack.state / "fallback", latency_ms=LATENCY_MS) as fallback:
        say("the same with a fallback")
        stack.stop_workers(*CALLERS)
        for worker in CALLERS:
            stack.start_worker(worker, {"LLM_FALLBACKS": f"second=openai:gpt-4o-mini@{fallback.url}"})
        warm_up(stack)
        lived = live_through(options, stack, sim)
        share = lived[3] / (RATE * options.dead_seconds)
        add_rows(options, table, "with a fallback", lived)
        table.add("… served meanwhile by the fallback", {"moru": f"{share:.0%} of the requests"})
        stack.stop_workers(*CALLERS)
        for worker in CALLERS:
            stack.start_worker(worker, {"LLM_FALLBACKS": ""})
    warm_up(stack)
