"""Batches: how fast their lines are accepted, and how fast they go through to the end."""
import http.client
import json
import statistics
import sys
import time
from urllib.parse import urlsplit

import machine
from bench_topics import count_records
from private_stack import say
from submit_accept import WORKERS

LINES = 100_000
# A cold broker compiles its code meanwhile.
WARM_UP = 40_000
LINES_PER_SECOND_MIN, MEMORY_MB_MAX = 150_000, 100
THROUGH_PER_SECOND_MIN, SILENCE_SECONDS_MAX = 8_000, 60


def body_of(lines):
    line = '{"user_input":"Write a fibonacci function, variant %06d","task_type":"code_generation"}\n'
    return "".join(line % number for number in range(lines)).encode()


def upload(stack, body):
    """Posts one batch; returns the lines that were accepted, and the seconds it took."""
    address = urlsplit(stack.urls["GATEWAY_URL"])
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=120)
    start = time.monotonic()
    connection.request("POST", "/api/v1/requests:batch", body, {"Content-Type": "application/x-ndjson"})
    answer = connection.getresponse()
    text = answer.read()
    seconds = time.monotonic() - start
    connection.close()
    if answer.status != 200:
        sys.exit(f"bench: the batch was answered {answer.status}: {text[:500].decode(errors='replace')}")
    return json.loads(text)["accepted"], seconds


def upload_all(stack, requests):
    """Posts that many in batches of 100,000 lines at most."""
    accepted = 0
    while accepted < requests:
        lines = min(LINES, requests - accepted)
        taken, seconds = upload(stack, body_of(lines))
        if taken != lines:
            sys.exit(f"bench: {taken:,} of {lines:,} lines were accepted, so there is no figure")
        accepted += taken
        print(f"   {accepted:,} of {requests:,} accepted; the last {lines:,} in {seconds:.2f} s", flush=True)


def batch(options, stack, table):
    stack.stop_workers(*WORKERS)
    gateway = stack.processes()["gateway"]
    body, rates = body_of(LINES), []
    with machine.Sampler({"gateway": gateway}) as sampler:
        say(f"batch: warm-up and {options.rounds} rounds of {LINES:,} lines")
        for turn in range(options.rounds + 1):
            accepted, seconds = upload(stack, body)
            table.must_hold(accepted == LINES, f"batch: {accepted:,} of {LINES:,} lines accepted")
            rates += [accepted / seconds] if turn else []
            print(f"   {accepted / seconds:,.0f} lines/s", flush=True)
    kept = count_records(stack, "requests.low")
    table.must_hold(kept == LINES * (options.rounds + 1),
                    f"batch: {kept:,} lines in Kafka after {options.rounds + 1} batches")
    peak, rate = machine.memory_mb(gateway, "VmHWM"), statistics.median(rates)
    table.add(f"batch of {LINES:,} lines", f"{rate:,.0f} lines/s", {"≥ 150,000 lines/s": rate >= LINES_PER_SECOND_MIN})
    table.add("gateway's memory throughout the batches",
              f"peak {peak:.1f} MB, highest sample {sampler.highest['gateway']:.1f} MB", {"≤ 100 MB": peak <= MEMORY_MB_MAX})


def rows_written(stack):
    """About how many rows execution_logs has got: its sequence costs nothing to read, and is never behind."""
    return int(stack.query("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM execution_logs_id_seq")[0])


def wait_for(count, reached, what):
    """Returns when reached() is count or more; ends the program when it does not grow for long."""
    last, since = -1, time.monotonic()
    while last < count:
        now = reached()
        if now > last:
            last, since = now, time.monotonic()
            print(f"   {min(now, count):,} of {count:,} {what}", flush=True)
        elif time.monotonic() - since > SILENCE_SECONDS_MAX:
            sys.exit(f"bench: {last:,} of {count:,} {what}, and none for {SILENCE_SECONDS_MAX} s")
        time.sleep(1)


def counts(stack):
    """Rows of execution_logs, and how many different requests they are of."""
    return [int(value) for value in stack.query(
        "SELECT count(*) FROM execution_logs UNION ALL SELECT count(DISTINCT request_id) FROM execution_logs")]


def upload_and_wait(stack, requests, before):
    """Returns when all are recorded behind the rows there are, and the seconds that took."""
    start = time.time()
    upload_all(stack, requests)
    wait_for(before + requests, lambda: rows_written(stack), "rows written")
    wait_for(before + requests, lambda: counts(stack)[0], "rows counted")
    return float(stack.query("SELECT extract(epoch FROM max(created_at)) FROM execution_logs")[0]) - start


def through(options, stack, table):
    say(f"through to the end: warm-up of {WARM_UP:,}, then {options.requests:,} requests with the mock model")
    upload_and_wait(stack, WARM_UP, 0)
    rate = options.requests / upload_and_wait(stack, options.requests, WARM_UP)
    rows, different = (count - WARM_UP for count in counts(stack))
    table.must_hold(rows == different == options.requests,
                    f"through: {options.requests:,} accepted, {rows:,} rows of {different:,} requests")
    short = "" if options.full else " (500,000 with --full)"
    table.add(f"through to the end, {options.requests:,} requests{short}",
              f"{rate:,.0f}/s; {rows:,} rows of {different:,} requests",
              {"≥ 8,000/s": rate >= THROUGH_PER_SECOND_MIN, "all recorded": rows == different == options.requests})
