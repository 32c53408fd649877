"""10,000 callers that wait: the gateway's memory, and what they cost those who submit meanwhile."""
import contextlib
import resource
import socket
import statistics
import sys
import time
from urllib.parse import urlsplit

import machine
import wrk_load
from private_stack import metric_sum, say
from submit_accept import FIRST_WARMUP_CONNECTIONS, FIRST_WARMUP_SECONDS, PATH, WORKERS, load

WAITING, CONNECTIONS = 10_000, 1000
FILES_BESIDE = 200
MEMORY_MB_MAX, OF_ALONE_MIN = 120, 0.9
SETTLE_SECONDS = 60
SETTINGS = {"HTTP_CONNECTIONS_MAX": "12000", "REQUESTS_WAITING_MAX": str(WAITING)}
BODY = '{"user_input":"Write a fibonacci function","task_type":"code_generation"}'


def raise_open_files():
    """The gateway does the same for itself; the hard limit is for both."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    needed = int(SETTINGS["HTTP_CONNECTIONS_MAX"]) + FILES_BESIDE
    if hard != resource.RLIM_INFINITY and hard < needed:
        sys.exit(f"bench: {WAITING:,} waiting callers need {needed:,} open files a process, and the hard limit is "
                 f"{hard:,} (ulimit -Hn); leave them out with --only")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(needed, resource.getrlimit(resource.RLIMIT_NOFILE)[0]), hard))


def await_waiting(url, count):
    deadline = time.monotonic() + SETTLE_SECONDS
    while (waiting := metric_sum(url, "agent_requests_waiting")) != count:
        if time.monotonic() > deadline:
            sys.exit(f"bench: {waiting:,.0f} callers wait, not {count:,}, after {SETTLE_SECONDS} s")
        time.sleep(0.1)


@contextlib.contextmanager
def waiting_callers(url):
    """Inside, that many calls wait for an answer that nobody makes."""
    address = urlsplit(url)
    request = (f"POST {PATH} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: application/json\r\nPrefer: wait=600\r\n"
               f"Content-Length: {len(BODY)}\r\n\r\n{BODY}").encode()
    sockets = []
    try:
        for _ in range(WAITING):
            sockets.append(socket.create_connection((address.hostname, address.port), timeout=30))
            sockets[-1].sendall(request)
        await_waiting(url, WAITING)
        yield
        await_waiting(url, WAITING)
    finally:
        for opened in sockets:
            opened.close()
    await_waiting(url, 0)


def waiting(options, stack, table):
    stack.stop_workers(*WORKERS)
    url, gateway = stack.urls["GATEWAY_URL"], stack.processes()["gateway"]
    rounds, memory = {"without": [], "with": []}, []
    wrk_load.run_wrk(f"{url}{PATH}", FIRST_WARMUP_CONNECTIONS, FIRST_WARMUP_SECONDS)
    with machine.Sampler({"gateway": gateway}) as sampler:
        for turn in range(options.rounds):
            say(f"waiting, round {turn + 1} of {options.rounds}: {CONNECTIONS:,} connections, without and with "
                f"{WAITING:,} callers that wait")
            rounds["without"].append(load(options, f"{url}{PATH}", CONNECTIONS))
            with waiting_callers(url):
                memory.append(machine.memory_mb(gateway, "VmRSS"))
                rounds["with"].append(load(options, f"{url}{PATH}", CONNECTIONS))
            for name, figures in rounds.items():
                print(f"   {name}: {wrk_load.describe(figures[-1])}", flush=True)
            print(f"   gateway: {memory[-1]:.1f} MB", flush=True)
    highest = max(sampler.highest["gateway"], *memory)
    figures = {name: wrk_load.summary(results) for name, results in rounds.items()}
    ratio = statistics.median(with_them["per_second"] / without["per_second"]
                              for with_them, without in zip(rounds["with"], rounds["without"]))
    table.add(f"gateway's memory with {WAITING:,} callers that wait",
              f"{max(memory):.1f} MB; {highest:.1f} MB at most with the load below",
              {"≤ 120 MB": max(memory) <= MEMORY_MB_MAX})
    table.add(f"accept beside {WAITING:,} callers that wait, connections: {CONNECTIONS:,}; bare: moru without them",
              wrk_load.describe(figures["with"]), {"≥ 0.9 × without": ratio >= OF_ALONE_MIN,
              "no stall, all accepted": not wrk_load.stalled(figures["with"]) and not figures["with"]["wrong"]},
              bare=wrk_load.describe(figures["without"]), per_bare=ratio)
