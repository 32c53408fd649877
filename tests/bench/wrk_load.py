"""One run of wrk against a service: its figures, and the longest time without any answer."""
import json
import pathlib
import statistics
import subprocess
import sys
import time

SCRIPT = pathlib.Path(__file__).resolve().parent / "wrk" / "submit.lua"
THREADS = 2
LOOK_SECONDS = 0.01
STALL_SECONDS = 1


def bytes_read(pid):
    """What a process has read since its start: of wrk, the answers."""
    try:
        return int(pathlib.Path(f"/proc/{pid}/io").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return None


def longest_silence(process, seconds):
    """Seconds of the measured ones in which wrk read nothing, at most 10 ms too many. It is looked at from outside,
    because a look at each answer inside wrk would cost more than the answer."""
    last = start = time.monotonic()
    read, longest = 0, 0.0
    while process.poll() is None:
        now, total = time.monotonic(), bytes_read(process.pid)
        if now > start + seconds or total is None:
            break
        longest = max(longest, now - last)
        if total != read:
            read, last = total, now
        time.sleep(LOOK_SECONDS)
    return longest


def run_wrk(url, connections, seconds, key_prefix=None):
    """Returns its figures: answered, refused (an HTTP error), failed (no answer), accepted and per_second of it,
    median_us, p99_us, silence_s."""
    command = ["wrk", f"-t{min(THREADS, connections)}", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s",
               str(SCRIPT), url]
    if key_prefix:
        command += ["--", key_prefix]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as wrk:
        silence = longest_silence(wrk, seconds)
        text = wrk.communicate()[0]
    if wrk.returncode != 0 or not text.rstrip().endswith("}"):
        sys.exit(f"bench: wrk on {url} failed:\n{text}")
    figures = json.loads(text.splitlines()[-1])
    accepted = figures["answered"] - figures["refused"]
    return {**figures, "per_second": accepted / figures["seconds"], "accepted": accepted, "silence_s": silence}


def summary(rounds):
    """Medians of the rounds; the longest silence and the sums of what went wrong are over all of them."""
    middle = {field: statistics.median(figures[field] for figures in rounds)
              for field in ("per_second", "median_us", "p99_us")}
    return {**middle, "silence_s": max(figures["silence_s"] for figures in rounds),
            "accepted": sum(figures["accepted"] for figures in rounds),
            "wrong": sum(figures["refused"] + figures["failed"] for figures in rounds)}


def stalled(figures):
    return figures["silence_s"] > STALL_SECONDS


def describe(figures):
    """A cell of the table: 61,234/s, 0.98 ms, 2.10 ms."""
    silence = figures["silence_s"]
    text = f"{figures['per_second']:,.0f}/s, {figures['median_us'] / 1000:.2f} ms, {figures['p99_us'] / 1000:.2f} ms, "
    text += f"**stall of {silence:.1f} s**" if stalled(figures) else f"{silence * 1000:.0f} ms"
    wrong = figures.get("wrong", figures.get("refused", 0) + figures.get("failed", 0))
    return text + (f", **{wrong:,} not accepted**" if wrong else "")
