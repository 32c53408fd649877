"""The local stack itself: its servers, and the commands behind make run, up, down, env and status."""

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import psycopg
import pytest
from confluent_kafka.admin import AdminClient, NewTopic

import harness

STACK = harness.ROOT / "deploy" / "local" / "stack.py"
NAMES = ["kafka", "postgres", "generator", "evaluator", "recorder", "optimizer", "gateway"]


class Stack:
    """stack.py with a folder of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.environment = {name: value for name, value in os.environ.items()
                            if name not in ("KAFKA_BROKERS", "DATABASE_URL")}

    def arguments(self, command):
        return [sys.executable, STACK, command, "--state", self.folder, "--build", harness.BUILD,
                "--cache", harness.CACHE]

    def do(self, command, **environment):
        return subprocess.run(self.arguments(command), env={**self.environment, **environment}, text=True,
                              capture_output=True, timeout=120, check=False)

    def run(self):
        """make run, once it has said that moru is ready."""
        process = subprocess.Popen(self.arguments("run"), env=self.environment, text=True, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT)
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("moru is ready"):
                return process
        raise AssertionError("".join(said))

    def addresses(self):
        lines = shlex.split(self.do("env").stdout)
        return dict(line.split("=", 1) for line in lines)

    def pids(self):
        record = json.loads((self.folder / "stack.json").read_text())
        return {name: entry["pid"] for name, entry in record["processes"].items()}


def ended(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.fixture
def stack():
    # A short folder that user postgres can enter.
    with tempfile.TemporaryDirectory(prefix="moru-stack-", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        stack = Stack(Path(folder) / "state")
        yield stack
        stack.do("down")


def make_topic(moru, name):
    admin = AdminClient({"bootstrap.servers": moru.brokers})
    admin.create_topics([NewTopic(name, 1, 1)])[name].result()


def test_postgres_is_durable_and_its_role_is_no_superuser(moru):
    assert moru.row("SHOW fsync") == {"fsync": "on"}
    assert moru.row("SHOW synchronous_commit") == {"synchronous_commit": "on"}
    assert moru.row("SELECT current_user AS role, current_database() AS base") == {
        "role": "agent", "base": "agent_system"}
    assert moru.row("SELECT rolsuper FROM pg_roles WHERE rolname = current_user") == {"rolsuper": False}


def test_postgres_asks_for_the_password(moru):
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(moru.database_url.replace("agent1234", "wrong"))


def test_kafka_keeps_what_it_acknowledged_through_kill_9(moru):
    make_topic(moru, "kept")
    moru.produce("kept", {"number": 1}, key="a", headers={"ce_type": "test"})

    moru.kill(moru.kafka)
    moru.restart(moru.kafka)

    moru.produce("kept", b"no JSON")
    first, second = moru.consume("kept", count=2)
    assert (first.value, first.key, first.headers) == ({"number": 1}, "a", {"ce_type": "test"})
    assert second.value == b"no JSON"


def test_postgres_keeps_what_it_committed_through_an_immediate_shutdown(moru):
    moru.execute("CREATE TABLE kept (number int)")
    moru.execute("INSERT INTO kept VALUES (7)")

    moru.kill(moru.postgres)
    with pytest.raises(psycopg.OperationalError):
        moru.row("SELECT number FROM kept")
    moru.restart(moru.postgres)
    moru.world.ensure_servers()

    assert moru.row("SELECT number FROM kept") == {"number": 7}
    moru.execute("DROP TABLE kept")


def test_paused_servers_answer_again_when_resumed(moru):
    make_topic(moru, "paused")
    moru.kafka.pause()
    moru.postgres.pause()
    produced = moru.background(moru.produce, "paused", {})
    asked = moru.background(moru.row, "SELECT 1 AS one")
    assert moru.postgres.service.ready() and moru.kafka.service.ready()
    assert not produced.done() and not asked.done()

    moru.kafka.resume()
    moru.postgres.resume()
    assert asked.result(harness.TIMEOUT_S) == {"one": 1}
    assert produced.result(harness.TIMEOUT_S) == (0, 0)


def test_kafka_makes_no_topic_by_itself(moru):
    with pytest.raises(AssertionError, match="no topic"):
        moru.consume("never-declared")
    with pytest.raises(Exception, match="(?i)unknown topic"):
        moru.produce("never-declared", {})
    assert "never-declared" not in moru.topics()


def test_up_starts_a_stack_that_answers_and_down_ends_all_of_it(stack):
    up = stack.do("up")
    assert up.returncode == 0, up.stdout + up.stderr
    assert "moru is ready" in up.stdout

    addresses = stack.addresses()
    assert list(addresses) == ["GATEWAY_URL", "GENERATOR_URL", "EVALUATOR_URL", "RECORDER_URL", "OPTIMIZER_URL",
                               "KAFKA_BROKERS", "DATABASE_URL"]
    for name in list(addresses)[:5]:
        assert httpx.get(addresses[name] + "/ready", trust_env=False).status_code == 200
    assert stack.do("status").returncode == 0

    again = stack.do("up")
    assert (again.returncode, again.stdout.startswith("moru: it is running")) == (0, True)

    pids = stack.pids()
    assert sorted(pids) == sorted(NAMES)
    assert stack.do("down").returncode == 0
    assert all(ended(pid) for pid in pids.values())
    assert stack.do("status").returncode == 1
    environment = stack.do("env")
    assert (environment.returncode, environment.stdout) == (1, "")
    assert "make up" in environment.stderr


def assert_secrets_are_kept(stack, key):
    for name in ("request-id-key", "stack.json"):
        assert (stack.folder / name).stat().st_mode & 0o077 == 0
    logs = "".join(file.read_text(errors="replace") for file in (stack.folder / "log").iterdir())
    assert key not in logs
    assert "agent1234" not in logs


def test_the_next_start_finds_data_and_ports_as_they_were_and_secrets_kept(stack):
    assert stack.do("up").returncode == 0
    before = stack.addresses()
    with psycopg.connect(before["DATABASE_URL"]) as database:
        database.execute("CREATE TABLE kept AS SELECT 7 AS number")
    key = (stack.folder / "request-id-key").read_text()
    assert_secrets_are_kept(stack, key)
    stack.do("down")

    assert stack.do("up").returncode == 0
    assert stack.addresses() == before
    with psycopg.connect(before["DATABASE_URL"]) as database:
        assert database.execute("SELECT number FROM kept").fetchone() == (7,)
    assert (stack.folder / "request-id-key").read_text() == key


def test_run_starts_again_what_ends_and_takes_all_down_on_sigterm(stack):
    run = stack.run()
    first = stack.pids()
    os.kill(first["generator"], signal.SIGKILL)
    harness.wait(lambda: stack.pids()["generator"] != first["generator"])
    harness.wait(lambda: stack.do("status").returncode == 0)

    pids = stack.pids()
    run.terminate()
    said, _ = run.communicate(timeout=120)
    assert run.returncode == 0
    assert "generator ended with signal SIGKILL" in said
    assert all(ended(pid) for pid in pids.values())


def test_down_ends_a_run_in_another_terminal(stack):
    run = stack.run()
    pids = stack.pids()
    assert stack.do("down").returncode == 0
    run.communicate(timeout=10)
    assert run.returncode == 0
    assert all(ended(pid) for pid in pids.values())


def test_a_process_that_ends_during_the_start_shows_its_last_lines(stack):
    up = stack.do("up", LISTEN_ADDRESS="not-an-address")
    assert up.returncode == 1
    assert "LISTEN_ADDRESS" in up.stderr or "ended with" in up.stderr
    assert stack.pids() == {}


def test_with_the_users_own_servers_nothing_private_starts(moru, stack):
    # The two fleets would share their groups and their instance ids.
    moru.world.stop_fleet()
    one = stack.do("up", KAFKA_BROKERS=moru.brokers)
    assert one.returncode == 1
    assert "DATABASE_URL" in one.stderr

    up = stack.do("up", KAFKA_BROKERS=moru.brokers, DATABASE_URL=moru.database_url)
    assert up.returncode == 0, up.stdout + up.stderr
    pids = stack.pids()
    assert sorted(pids) == sorted(set(NAMES) - {"kafka", "postgres"})

    assert stack.do("down").returncode == 0
    assert all(ended(pid) for pid in pids.values())
    assert moru.kafka.running and moru.postgres.running


def test_down_leaves_a_process_alone_that_only_has_a_recorded_pid(stack):
    stack.folder.mkdir()
    with subprocess.Popen(["sleep", "600"]) as stranger:
        entry = {"pid": stranger.pid, "began": "another boot/1", "order": 3, "signal": signal.SIGTERM,
                 "last_signal": signal.SIGKILL, "grace_s": 1, "url": None}
        (stack.folder / "stack.json").write_text(json.dumps({"processes": {"kafka": entry}}))

        assert stack.do("down").returncode == 0
        assert stranger.poll() is None
        stranger.kill()
    assert stack.pids() == {}
