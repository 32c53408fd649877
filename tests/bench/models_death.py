"""A provider that dies for a while under 500 requests a second: what is lost, and how soon the breaker knows."""
import asyncio
import json
import threading
import time

import aiohttp

from private_stack import direct, say

RATE = 500
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


def death(options, stack, sim, table):
    url = stack.urls["GENERATOR_URL"]
    if not breaker_states(url):
        say(f"SKIPPED: a provider's death. The generator has no metric {METRIC}")
        table.add(f"a provider dead for {options.dead_seconds:g} s", {"moru": f"skipped: no {METRIC}"})
        return
    say(f"{RATE} requests/s, and the provider dies for {options.dead_seconds:g} s")
    sim.control(latency_ms=100)
    before, accepted = succeeded(stack), []
    seconds = 2 * LIVE_SECONDS + options.dead_seconds
    load = threading.Thread(target=lambda: accepted.extend(
        asyncio.run(submit_steadily(stack.urls["GATEWAY_URL"], seconds))))
    with BreakerWatch(url) as watch:
        load.start()
        time.sleep(LIVE_SECONDS)
        died = time.monotonic()
        sim.control(dead_ms=int(options.dead_seconds * 1000))
        load.join()
        recorded = wait_recorded(stack, before + len(accepted)) - before
    lost = len(accepted) - recorded
    table.add(f"{RATE} requests/s, the provider dead for {options.dead_seconds:g} s: lost of {len(accepted):,}",
              {"moru": f"{lost:,}"}, "0", lost == 0)
    within(table, "… breaker open after its death", watch.first(OPEN, died), died)
    back = died + options.dead_seconds
    within(table, "… breaker closed after its return", watch.first(CLOSED, back), back)
