"""moru with a real small model: `run` serves it, `test` sends ten requests through it, `install` makes it ready."""
import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

# One way to start and look into a stack, for the bench and for this.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))

from model_server import ModelServer, install  # noqa: E402
from private_stack import ROOT, PrivateStack, direct, metric_sum, say, stop_on_signals  # noqa: E402

TASK_TYPE = "code_generation"
MAX_TOKENS = 200
ANSWER_SECONDS_MAX = 150
SERVICES = {"gateway", "generator", "evaluator", "recorder"}
INPUTS = (
    "Write a fibonacci function",
    "Write a function that reverses a string",
    "Sort a list of numbers with bubble sort",
    "Check whether a number is prime",
    "Compute the factorial of n without recursion",
    "Count the words in a text",
    "Find the largest number in a list",
    "Convert Celsius to Fahrenheit",
    "Read a CSV file and print its first column",
    "Write a class for a stack with push and pop",
)


def post(gateway_url, user_input):
    """Returns status and body as an object ({} when it is none)."""
    body = json.dumps({"user_input": user_input, "task_type": TASK_TYPE}).encode()
    request = urllib.request.Request(f"{gateway_url}/api/v1/request", body, {"Content-Type": "application/json"})
    try:
        with direct.open(request, timeout=ANSWER_SECONDS_MAX) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace")
        return error.code, json.loads(text) if text.startswith("{") else {}


def faults(status, reply, earlier, rows, services):
    """What is wrong with one request, in words; nothing when all is right."""
    output = reply.get("worker_output") or ""
    if status != 200:
        yield f"answered {status}: {json.dumps(reply)[:300]}"
        return
    if not output.strip():
        yield "the output is empty"
    if output in earlier:
        yield "the output is that of an earlier request"
    if [row["worker_output"] for row in rows] != [output]:
        yield f"execution_logs has {len(rows)} rows for it, or another output"
    elif rows[0]["evaluation_score"] != reply.get("evaluation_score"):
        yield "execution_logs has another score"
    if SERVICES - services:
        yield f"no log line of {', '.join(sorted(SERVICES - services))}"


def services_that_logged(stack, request_ids):
    """{request_id: {service, …}}"""
    found = {request_id: set() for request_id in request_ids}
    for line in stack.log_lines():
        if line.get("request_id") in found:
            found[line["request_id"]].add(line["service"])
    return found


def check_calls(stack, server):
    """The model server's count of calls against moru's own."""
    reported = sum(metric_sum(stack.urls[name], "agent_model_calls_total")
                   for name in ("GENERATOR_URL", "EVALUATOR_URL"))
    counted = server.calls()
    print(f"calls of the model: the server counted {counted}, moru reports {reported:g}")
    return counted == reported and counted > 0


def send_all(stack):
    """[(input, status, reply, seconds)], one after the other."""
    answers = []
    for number, user_input in enumerate(INPUTS, 1):
        start = time.monotonic()
        status, reply = post(stack.urls["GATEWAY_URL"], user_input)
        answers.append((user_input, status, reply, time.monotonic() - start))
        say(f"{number} of {len(INPUTS)}: {status} after {answers[-1][3]:.1f} s")
    return answers


def read_rows(stack, request_ids):
    """{request_id: [row, …]}"""
    rows = {request_id: [] for request_id in request_ids}
    for line in stack.query("SELECT json_build_object('request_id', request_id, 'worker_output', worker_output, "
                            "'evaluation_score', evaluation_score) FROM execution_logs"):
        row = json.loads(line)
        rows.setdefault(row["request_id"], []).append(row)
    return rows


def check(stack, server):
    """Returns how many checks failed, after printing the table and what was wrong."""
    answers = send_all(stack)
    request_ids = {reply.get("request_id") for _, _, reply, _ in answers} - {None}
    rows, services = read_rows(stack, request_ids), services_that_logged(stack, request_ids)
    earlier, wrong = [], []
    print(f"\n{'input':46} {'first line of the output':46} {'score':>6} {'seconds':>8}")
    for user_input, status, reply, seconds in answers:
        request_id, output = reply.get("request_id"), reply.get("worker_output") or ""
        first = next((line.strip() for line in output.splitlines() if line.strip()), "")
        score = reply.get("evaluation_score")
        print(f"{user_input[:46]:46} {first[:46]:46} {'null' if score is None else f'{score:.3f}':>6} {seconds:8.1f}")
        reasons = list(faults(status, reply, earlier, rows.get(request_id, []), services.get(request_id, set())))
        wrong += [f"FAILED {user_input}: {'; '.join(reasons)}"] if reasons else []
        earlier.append(output)
    print("", *wrong, sep="\n")
    passed = len(answers) - len(wrong)
    calls_agree = check_calls(stack, server)
    if not calls_agree:
        print("FAILED the counts of model calls do not agree")
    failed = len(wrong) + (not calls_agree)
    print(f"{passed} passed, {failed} failed")
    return failed


def test(options):
    stop_on_signals()
    say("starting the model server")
    with ModelServer(options.venv, options.venv / "test-server.log") as server:
        say("starting a private moru stack")
        # Healing would ask the model beside the ten.
        settings = {**server.settings(MAX_TOKENS), "OPTIMIZER_MODE": "off"}
        with PrivateStack(ROOT / ".moru" / "test-llm", settings) as stack:
            if check(stack, server):
                sys.exit(1)


def run(options):
    say("starting the model server")
    with ModelServer(options.venv, options.venv / "server.log") as server:
        environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS")}
        moru = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", "make", "--no-print-directory", "run",
                                 f"STATE={options.state}"], cwd=ROOT,
                                env={**environment, **server.settings()}, start_new_session=True)

        # A session of its own, so that a Ctrl-C reaches moru once, as SIGTERM, which make passes on.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: moru.send_signal(signal.SIGTERM))
        return moru.wait()


def main():
    parser = argparse.ArgumentParser(prog="llm.py", description=__doc__)
    parser.add_argument("command", choices=("install", "run", "test"))
    parser.add_argument("--venv", type=pathlib.Path, default=ROOT / ".moru" / "venv-llm", help="where the model lives")
    parser.add_argument("--state", default=".moru", help="run: folder of the stack (.moru)")
    options = parser.parse_args()
    options.venv = options.venv.resolve()
    if options.command == "install":
        sys.exit(install(options.venv))
    sys.exit(run(options) if options.command == "run" else test(options))


if __name__ == "__main__":
    main()
