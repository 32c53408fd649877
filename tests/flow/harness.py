"""The verbs of the flow tests, over the real programs, a private Kafka and a private Postgres."""

import collections
import concurrent.futures
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import confluent_kafka
import confluent_kafka.admin
import httpx
import psycopg
import psycopg.rows

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "deploy" / "local"))

import broker  # noqa: E402
import database  # noqa: E402
import fleet as local_fleet  # noqa: E402
import ports  # noqa: E402
from processes import last_lines  # noqa: E402

BUILD = Path(os.environ.get("BUILD", ROOT / "build")).resolve()
CACHE = Path(os.environ.get("CACHE", ROOT / ".moru" / "cache")).resolve()
TIMEOUT_S = 30  # of every wait; a bound, not a measure

Message = collections.namedtuple("Message", "topic partition offset key value headers")


def wait(condition, timeout=TIMEOUT_S, what=None):
    """Calls condition until it returns something true, and returns that; an error of it counts as not yet."""
    deadline = time.monotonic() + timeout
    pause = 0.005
    while True:
        try:
            seen = condition()
            if seen:
                return seen
        except (AssertionError, LookupError, OSError, httpx.HTTPError, psycopg.Error, confluent_kafka.KafkaException) as error:
            seen = error
        if time.monotonic() > deadline:
            raise AssertionError(f"{what or 'the condition'} did not come in {timeout} s; last seen: {seen!r}")
        time.sleep(pause)
        pause = min(2 * pause, 0.1)


class Process:
    """One process under test, of moru's or one of the servers. After a restart it is the same object."""

    def __init__(self, service):
        self.service = service
        self.name, self.url = service.name, service.url

    @property
    def pid(self):
        return self.service.identity.pid

    @property
    def running(self):
        return self.service.running()

    @property
    def log(self):
        """Its lines since the first start, as objects; one that is no JSON is {"text": line}."""
        return [parse_line(line) for line in self.log_text().splitlines()]

    def log_text(self):
        try:
            return self.service.log.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def start(self, ready=True):
        """Starts it, again with the same port and environment if it ran before; ready: waits until it is."""
        self.service.start()
        if ready:
            self.wait_ready()
        return self

    def wait_ready(self, timeout=TIMEOUT_S):
        def ready():
            if not self.running:
                raise EndedEarly(self.service.failure())
            reason = self.service.ready()
            if reason is not None:
                raise AssertionError(reason)
            return True
        wait(ready, timeout, what=f"{self.name} ready")

    def kill(self, number=None):
        """Ends it at once. Postgres gets SIGQUIT, its immediate shutdown, so that none of its children is left."""
        self.service.signal(number or self.service.last_signal)
        assert self.service.wait_end(TIMEOUT_S), f"{self.name} did not end when killed"

    def stop(self):
        """Ends it as an operator does, and returns its exit code."""
        return self.service.stop()

    def pause(self):
        """Stops it and its children from running, their connections staying open."""
        self.service.signal(signal.SIGSTOP)
        self.signal_children(signal.SIGSTOP)
        # The signal is on its way when kill returns, and a broker of many threads may answer once more.
        wait(lambda: not self.running or all(
            task.read_text().rpartition(")")[2].split()[0] == "T" for task in Path(f"/proc/{self.pid}/task").glob("*/stat")),
            what=f"{self.name} stopped")

    def resume(self):
        self.signal_children(signal.SIGCONT)
        self.service.signal(signal.SIGCONT)

    def signal_children(self, number):
        if not self.running:
            return
        for child in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
            try:
                os.kill(int(child), number)
            except ProcessLookupError:
                pass  # It ended by itself.

    def log_end(self):
        return last_lines(self.service.log, 30)


class EndedEarly(Exception):
    """A process ended while it was expected to become ready."""


def parse_line(line):
    try:
        parsed = json.loads(line)
    except ValueError:
        return {"text": line}
    return parsed if isinstance(parsed, dict) else {"text": line}


class World:
    """What all tests of a session share: the two servers, and the fleet."""

    def __init__(self):
        # Not below pytest's own folder, which user postgres cannot enter.
        self.folder = Path(tempfile.mkdtemp(prefix="moru-flow-"))
        self.folder.chmod(0o755)
        self.logs = self.folder / "log"
        self.kafka = self.postgres = None
        self.librdkafka = None  # a folder with another one for moru's programs than this machine's
        self.members = {}
        self.extra = []
        self.counter = itertools.count(1)

    def open(self):
        kafka = broker.Kafka(self.folder / "kafka", broker.fetch(CACHE), self.logs / "kafka.log",
                             ports.choose(), ports.choose())
        self.postgres_home = database.home(self.folder)
        postgres = database.Postgres(self.postgres_home, self.logs / "postgres.log", ports.choose())
        kafka.prepare()
        self.kafka = Process(kafka.service()).start(ready=False)
        postgres.prepare()
        self.postgres = Process(postgres.service()).start()
        self.kafka.wait_ready()
        self.brokers, self.database_url = kafka.address, postgres.url
        # A setting in the shell that runs the tests must not change what they see.
        clean = {name: value for name, value in os.environ.items()
                 if not re.match(r"(LLM|OTEL|KAFKA|PG|LISTEN|HTTP|REQUEST|LOG|TOPIC|OPTIMIZER|WORKER)_", name)}
        self.environment = {**clean, "KAFKA_BROKERS": self.brokers, "DATABASE_URL": self.database_url}
        if self.librdkafka:
            self.environment["LD_LIBRARY_PATH"] = str(self.librdkafka)
        local_fleet.set_up(BUILD, self.environment, True, self.logs / "setup.log")
        self.environment["REQUEST_ID_KEY"] = "11" * 32
        self.database = psycopg.connect(self.database_url, autocommit=True)
        self.seed = self.database.execute("SELECT * FROM prompts ORDER BY id").fetchall()

    def member(self, name, variables):
        """A process of the fleet that is not started yet; the first of its name that runs is <name>-0."""
        taken = {process.service.environment["INSTANCE_ID"] for process in self.all_members() if process.running}
        instance = next(candidate for number in itertools.count()
                        if (candidate := f"{name}-{number}") not in taken)
        instance = variables.get("INSTANCE_ID", instance)
        environment = {**self.environment, **{key: str(value) for key, value in variables.items()}}
        log = self.logs / f"{name}-{next(self.counter)}.log"
        return Process(local_fleet.member(name, BUILD, environment, ports.choose(), log, instance))

    def all_members(self):
        return [*self.members.values(), *self.extra]

    def processes(self):
        return [process for process in (self.kafka, self.postgres, *self.all_members()) if process]

    def ensure_servers(self):
        """Brings the servers back as a test may have left them stopped or paused."""
        for server in (self.kafka, self.postgres):
            if not server.running:
                server.start(ready=False)
            server.resume()
        for server in (self.kafka, self.postgres):
            server.wait_ready()
        try:
            self.database.execute("SELECT 1")
        except psycopg.Error:  # it was connected to a Postgres that a test has ended
            self.database = psycopg.connect(self.database_url, autocommit=True)

    def ensure_fleet(self):
        """The members that serve run and are ready, and the prompts are those of the setup. The optimizer is no part of
        it: a test that breaks a prompt says itself whether it is to be healed."""
        for name in local_fleet.PORTS:
            if name == "optimizer":
                continue
            if name not in self.members:
                self.members[name] = self.member(name, {})
            if not self.members[name].running:
                self.members[name].start(ready=False)
            self.members[name].resume()
        for process in self.members.values():
            process.wait_ready()
        self.restore_prompts()

    def restore_prompts(self):
        with self.database.transaction():
            self.database.execute("DELETE FROM prompts")
            for row in self.seed:
                places = ", ".join(["%s"] * len(row))
                self.database.execute(f"INSERT INTO prompts VALUES ({places})", row)

    def stop_fleet(self):
        """For a test that starts its own members: none of the shared ones takes its messages."""
        for process in self.members.values():
            process.resume()
            process.service.signal(signal.SIGTERM)
        for process in self.members.values():
            if process.service.child:
                process.stop()

    def close_extra(self):
        for process in self.extra:
            process.resume()
            # Given the time, it leaves its group, and the next test need not wait until the group has missed it.
            process.service.grace_s = 3
            if process.service.child:
                process.stop()
        self.extra = []

    def close(self):
        """Ends everything, whatever state it is in, and removes the data."""
        for process in reversed(self.processes()):
            if process.service.child:
                process.resume()
                process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.postgres:
            shutil.rmtree(self.postgres_home, ignore_errors=True)


class Moru:
    """What one test sees; consume() and log_event() see only what came since the test began."""

    def __init__(self, world):
        self.world = world
        self.began_ms = int(time.time() * 1000)
        self.http = httpx.Client(timeout=TIMEOUT_S, trust_env=False,
                                 limits=httpx.Limits(max_connections=None, max_keepalive_connections=None))
        self.threads = concurrent.futures.ThreadPoolExecutor(max_workers=64)
        self.log_starts = {process.service.log: len(process.log) for process in world.processes()}
        self.producer = None

    kafka = property(lambda self: self.world.kafka)
    postgres = property(lambda self: self.world.postgres)
    brokers = property(lambda self: self.world.brokers)
    database_url = property(lambda self: self.world.database_url)
    wait = staticmethod(wait)

    def start(self, name, ready=True, **variables):
        """Starts a process of its own for this test ("generator"), with settings; ended with the test."""
        process = self.world.member(name, variables)
        self.world.extra.append(process)
        return process.start(ready)

    def run(self, name, *arguments, **variables):
        """Runs a program of the fleet to its end, as a person does with what make env prints; returns it with returncode,
        stdout and stderr."""
        known = {key: value for key, value in self.world.environment.items() if key != "REQUEST_ID_KEY"}
        environment = {**known, **{key: str(value) for key, value in variables.items()}}
        return subprocess.run([str(BUILD / f"moru-{name}"), *arguments], env=environment, capture_output=True, text=True,
                              timeout=60)

    def kill(self, process, signal=None):
        process.kill(signal)

    def stop(self, process):
        return process.stop()

    def restart(self, process, ready=True):
        return process.start(ready)

    def address(self, to):
        return (to or self.world.members["gateway"]).url

    def post(self, path, body=None, headers=None, to=None, timeout=TIMEOUT_S):
        """Sends body (bytes or text as they are, anything else as JSON) to a process, by default the gateway."""
        content = body if isinstance(body, (bytes, str)) else json.dumps(body)
        return self.http.post(self.address(to) + path, content=content, timeout=timeout,
                              headers={"Content-Type": "application/json", **(headers or {})})

    def get(self, path, headers=None, to=None):
        return self.http.get(self.address(to) + path, headers=headers)

    def background(self, call, *arguments, **options):
        """Begins a call in a thread; .result() waits for what it returns."""
        return self.threads.submit(call, *arguments, **options)

    def rows(self, sql, parameters=()):
        """The rows of a query, each a dict."""
        with self.world.database.cursor(row_factory=psycopg.rows.dict_row) as cursor:
            return cursor.execute(sql, parameters).fetchall()

    def row(self, sql, parameters=()):
        """The one row of a query, or None."""
        found = self.rows(sql, parameters)
        assert len(found) <= 1, f"{len(found)} rows where one was expected"
        return found[0] if found else None

    def execute(self, sql, parameters=()):
        """Runs a statement and returns how many rows it touched."""
        return self.world.database.execute(sql, parameters).rowcount

    def produce(self, topic, value, key=None, headers=None, partition=-1):
        """Puts a message on a topic, by its Kafka name, and returns its (partition, offset) once it is acknowledged."""
        if self.producer is None:
            self.producer = confluent_kafka.Producer({"bootstrap.servers": self.brokers, "acks": "all",
                                                      "topic.metadata.propagation.max.ms": 3000})
        told = []
        self.producer.produce(topic, value if isinstance(value, (bytes, str)) else json.dumps(value), key,
                              partition, headers=list((headers or {}).items()),
                              on_delivery=lambda error, message: told.append((error, message)))
        assert self.producer.flush(TIMEOUT_S) == 0, f"no acknowledgement from {topic}"
        error, message = told[0]
        assert error is None, f"{topic}: {error}"
        return message.partition(), message.offset()

    def topics(self, topic=None):
        """Kafka's names of a topic: its lanes, if it has any; without a name all there are."""
        admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": self.brokers})
        names = [name for name in admin.list_topics(timeout=TIMEOUT_S).topics if not name.startswith("__")]
        return [name for name in names if topic is None or re.fullmatch(
            rf"{re.escape(topic)}([._-](high|normal|low))?", name)]

    def consume(self, topic, where=lambda message: True, count=1, timeout=TIMEOUT_S):
        """Waits for count messages of a topic (all lanes of it) that came since the test began and pass where; returns
        all that passed."""
        return self.read(topic, where, lambda found, at_end: len(found) >= count, timeout)

    def published(self, topic, where=lambda message: True):
        """The messages of a topic since the test began, up to its present end; does not wait for more."""
        return self.read(topic, where, lambda found, at_end: at_end, TIMEOUT_S)

    def read(self, topic, where, enough, timeout):
        consumer = confluent_kafka.Consumer({
            "bootstrap.servers": self.brokers, "group.id": "flow-tests", "enable.auto.commit": False,
            "enable.partition.eof": True, "auto.offset.reset": "earliest", "fetch.wait.max.ms": 50,
            "error_cb": lambda error: None})
        deadline = time.monotonic() + timeout
        try:
            partitions = self.positions(consumer, topic)
            consumer.assign(partitions)
            found, ended = [], set()
            while not enough(found, len(ended) == len(partitions)):
                left = deadline - time.monotonic()
                assert left > 0, f"{topic}: {len(found)} messages passed in {timeout} s: {found}"
                message = consumer.poll(min(left, 1))
                if message is None:
                    continue
                if message.error():
                    if message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF:
                        ended.add((message.topic(), message.partition()))
                    continue
                seen = to_message(message)
                if where(seen):
                    found.append(seen)
            return found
        finally:
            consumer.close()

    def positions(self, consumer, topic):
        """Where the test's time begins in each partition."""
        names = self.topics(topic)
        assert names, f"there is no topic {topic}"
        described = consumer.list_topics(timeout=TIMEOUT_S).topics
        places = [confluent_kafka.TopicPartition(name, partition, self.began_ms)
                  for name in names for partition in described[name].partitions]
        # Where nothing has come so far the answer is "at the end", which would be that of later, behind what comes now.
        # A broker that has only just come back leads nothing for a moment.
        ends = wait(lambda: [consumer.get_watermark_offsets(place, timeout=TIMEOUT_S)[1] for place in places])
        found = consumer.offsets_for_times(places, timeout=TIMEOUT_S)
        for place, end in zip(found, ends):
            place.offset = place.offset if place.offset >= 0 else end
        return found

    def metric(self, process, name, **labels):
        """The sum of the samples of a metric (name as it stands in /metrics) that have these labels, 0.0 for none."""
        return sum(value for sample, its, value in read_metrics(self.get("/metrics", to=process).text)
                   if sample == name and all(its.get(key) == str(wanted) for key, wanted in labels.items()))

    def log_event(self, process, event, **fields):
        """The log lines of an event since the test began that have these fields."""
        lines = process.log[self.log_starts.get(process.service.log, 0):]
        return [line for line in lines if line.get("event") == event
                and all(line.get(key) == wanted for key, wanted in fields.items())]

    def close(self):
        self.threads.shutdown(wait=False, cancel_futures=True)
        self.http.close()


def to_message(message):
    """value is the parsed JSON, or the bytes when they are none; headers are text."""
    value = message.value() or b""
    try:
        value = json.loads(value)
    except ValueError:
        pass
    headers = {name: (content or b"").decode(errors="replace") for name, content in message.headers() or []}
    key = message.key().decode(errors="replace") if message.key() is not None else None
    return Message(message.topic(), message.partition(), message.offset(), key, value, headers)


SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)(?: -?\d+)?')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


def read_metrics(text):
    """(name, labels, value) of each sample in Prometheus text; a line that is none fails the test."""
    samples = []
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        match = SAMPLE.fullmatch(line)
        assert match, f"no sample: {line}"
        labels = {name: re.sub(r"\\(.)", lambda escaped: {"n": "\n"}.get(escaped[1], escaped[1]), value)
                  for name, value in LABEL.findall(match[2] or "")}
        samples.append((match[1], labels, float(match[3])))
    return samples
