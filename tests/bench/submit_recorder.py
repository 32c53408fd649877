"""The recorder alone, on a topic that was filled before, beside the bare insert of the same rows."""
import itertools
import pathlib
import statistics
import time

from bench_topics import count_records
from private_stack import say
from submit_batch import counts, rows_written, upload_all, wait_for

ROWS_PER_SECOND_MIN, ROWS_OF_RESULT = 50_000, 2
ROWS_A_COMMIT = 1000
TOPICS = [f"evaluations.{lane}" for lane in ("high", "normal", "low")]
LOG_COLUMNS = ("request_id, task_type, user_input, refined_input, prompt_version, worker_output, worker_latency_ms, "
               "evaluation_score, evaluation_passed, evaluation_detail, error_message, created_at")

# The rows of the transaction that began last are left out: it ended later than it says.
RATE = """SELECT count(*) FILTER (WHERE created_at < last) / nullif(extract(epoch FROM last - first), 0)
    FROM results, (SELECT min(created_at) AS first, max(created_at) AS last FROM results) AS ends GROUP BY first, last"""

BARE_TABLES = """SET client_min_messages = warning;
    DROP TABLE IF EXISTS bare_results, bare_logs;
    CREATE TABLE bare_results (LIKE results INCLUDING ALL);
    CREATE TABLE bare_logs (LIKE execution_logs INCLUDING ALL);
    CREATE SEQUENCE IF NOT EXISTS bare_logs_id;
    ALTER TABLE bare_logs ALTER COLUMN id SET DEFAULT nextval('bare_logs_id')"""


def fill(options, stack):
    """Evaluations of as many different requests, made by the pipeline itself while nobody records them."""
    stack.stop_workers("recorder")
    say(f"recorder: filling its topic with {options.requests:,} evaluations")
    upload_all(stack, options.requests)
    wait_for(options.requests, lambda: count_records(stack, *TOPICS), "evaluated")
    stack.stop_workers("generator", "evaluator", "optimizer")


def record(options, stack, table):
    """Results a second from the first to the last; the recorder's start is not in it."""
    stack.psql("-c", "TRUNCATE results, execution_logs RESTART IDENTITY; DELETE FROM positions")
    stack.start_worker("recorder")
    wait_for(options.requests, lambda: rows_written(stack), "rows written")
    wait_for(options.requests, lambda: counts(stack)[0], "rows counted")
    rows, different = counts(stack)
    table.must_hold(rows == different == options.requests,
                    f"recorder: {options.requests:,} evaluations, {rows:,} rows of {different:,} requests")
    stack.stop_workers("recorder")
    return float(stack.query(RATE)[0])


def write_script(stack, script):
    """A psql script of COPYs, a transaction for each thousand rows, of what the recorder has written to both tables."""
    sources = {"bare_results": "SELECT * FROM results ORDER BY created_at, request_id",
               f"bare_logs ({LOG_COLUMNS})": f"SELECT {LOG_COLUMNS} FROM execution_logs ORDER BY id"}
    files = []
    for number, query in enumerate(sources.values()):
        path = script.with_suffix(f".{number}")
        with open(path, "wb") as out:
            stack.psql("-c", f"COPY ({query}) TO STDOUT", output=out)
        files.append(open(path, "rb"))
    with open(script, "wb") as out:
        while parts := [part for file in files if (part := list(itertools.islice(file, ROWS_A_COMMIT)))]:
            out.write(b"BEGIN;\n")
            for table, part in zip(sources, parts):
                out.write(f"COPY {table} FROM STDIN;\n".encode() + b"".join(part) + b"\\.\n")
            out.write(b"COMMIT;\n")
    for file in files:
        file.close()


def insert_bare(options, stack, script, table):
    stack.psql("-c", BARE_TABLES)
    start = time.monotonic()
    stack.psql("-f", str(script))
    seconds = time.monotonic() - start
    rows = [int(stack.query(f"SELECT count(*) FROM {name}")[0]) for name in ("bare_results", "bare_logs")]
    table.must_hold(rows == [options.requests] * 2, f"bare insert: {rows} rows of {options.requests:,}")
    return options.requests / seconds


def recorder(options, stack, table):
    fill(options, stack)
    script = pathlib.Path(options.state) / "bare.sql"
    rates = {"moru": [], "bare": []}
    for turn in range(options.rounds):
        say(f"recorder, round {turn + 1} of {options.rounds}: {options.requests:,} rows")
        rates["moru"].append(record(options, stack, table))
        if not turn:
            write_script(stack, script)
        rates["bare"].append(insert_bare(options, stack, script, table))
        print(f"   moru: {rates['moru'][-1]:,.0f} results/s, bare: {rates['bare'][-1]:,.0f} results/s", flush=True)
    middle = {name: statistics.median(values) for name, values in rates.items()}
    rows = {name: ROWS_OF_RESULT * rate for name, rate in middle.items()}
    cells = {name: f"{rows[name]:,.0f} rows/s ({rate:,.0f} results/s)" for name, rate in middle.items()}
    table.add(f"recorder alone, {options.requests:,} results, each a row of results and one of execution_logs; bare: COPY "
              "of these rows", cells["moru"], {"≥ 50,000 rows/s": rows["moru"] >= ROWS_PER_SECOND_MIN},
              bare=cells["bare"], per_bare=middle["moru"] / middle["bare"])
