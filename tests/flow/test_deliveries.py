"""Nothing is lost and nothing is made twice: what waits for a later try, what kills its worker, what comes again, what
Kafka or Postgres refuses, and restarts under load."""

import collections
import itertools
import json
import threading
import time
import uuid

import confluent_kafka
import confluent_kafka.admin
import psycopg
import pytest

from harness import TIMEOUT_S
from model_server import ModelServer, is_judge
from test_failures import CODE, GOOD_JUDGEMENT, own_fleet, rows_of
from test_request import FIBONACCI, request_message

LATER_S = 6  # more than the 5 s from which on a job is deferred
TOO_MANY = (429, "{}", {"Retry-After": str(LATER_S)})


def good(messages):
    return GOOD_JUDGEMENT if is_judge(messages) else CODE


def echo(messages):
    """What is refined stays as it was, so that all of a request's calls name it."""
    return GOOD_JUDGEMENT if is_judge(messages) else messages[-1]["content"]


def send(moru, message, topic="requests.normal", **options):
    moru.produce(topic, message, key=message["request_id"], **options)
    return message["request_id"]


def recorded(moru, request_id):
    return moru.wait(lambda: moru.row("SELECT * FROM results WHERE request_id = %s", [request_id]))


def committed_lag(moru, group, topic):
    """Messages of a topic that the group has not committed as finished."""
    consumer = confluent_kafka.Consumer({"bootstrap.servers": moru.brokers, "group.id": group})
    try:
        places = [confluent_kafka.TopicPartition(topic, number)
                  for number in consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic].partitions]
        return sum(consumer.get_watermark_offsets(place, timeout=TIMEOUT_S)[1] - max(place.offset, 0)
                   for place in consumer.committed(places, timeout=TIMEOUT_S))
    finally:
        consumer.close()


def failing_once(failure, when, then=good):
    """answer(messages) that fails the first time it is called where when(messages) is true."""
    times, first = [], threading.Lock()

    def answer(messages):
        if when(messages):
            times.append(time.monotonic())
            if first.acquire(blocking=False):
                return failure
        return then(messages)
    return answer, times


@pytest.mark.parametrize("stage, source", [("generator", "requests.normal"), ("evaluator", "generations.normal")])
def test_a_job_whose_next_try_is_some_time_away_waits_on_deferred(moru, fleet, stage, source):
    answer, times = failing_once(TOO_MANY, lambda messages: is_judge(messages) == (stage == "evaluator"))
    with ModelServer(answer) as model:
        members = own_fleet(moru, fleet, model)
        message = request_message(lane="normal", user_input="Write a queue")
        request_id = send(moru, message, headers={"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"})
        deferred = moru.consume("deferred", lambda seen: seen.key == request_id)[0]
        original = moru.consume(source.split(".")[0], lambda seen: seen.key == request_id)[0]
        assert deferred.value == original.value
        assert original.headers.items() <= deferred.headers.items()
        assert deferred.headers["source-topic"] == source and deferred.headers["lane"] == "normal"
        assert int(deferred.headers["source-partition"]) == original.partition
        assert int(deferred.headers["source-offset"]) == original.offset
        assert (deferred.headers["stage"], deferred.headers["attempts"]) == (stage, "1")
        assert "429" in deferred.headers["reason"]
        # Its offset is finished, and the worker that it is not meant for has let go of it.
        other = members["evaluator" if stage == "generator" else "generator"]
        moru.wait(lambda: moru.metric(members[stage], "agent_jobs_waiting") == 1)
        moru.wait(lambda: moru.metric(members[stage], "agent_consumer_lag", topic=source) == 0)
        moru.wait(lambda: moru.metric(other, "agent_consumer_lag", topic="deferred") == 0)
        assert moru.metric(members[stage], "agent_consumer_lag", topic="deferred") == 1
        assert moru.metric(members[stage], "agent_jobs_in_flight") == 0
        assert recorded(moru, request_id)["status"] == "succeeded"
        assert times[1] - times[0] >= LATER_S - 0.1
        moru.wait(lambda: moru.metric(members[stage], "agent_consumer_lag", topic="deferred") == 0)
        assert moru.metric(members[stage], "agent_jobs_deferred_total") == 1


def test_the_tries_of_a_deferred_job_are_counted_on(moru, fleet):
    with ModelServer(lambda messages: TOO_MANY) as model:
        members = own_fleet(moru, fleet, model, LLM_TRIES_MAX=2)
        request_id = send(moru, request_message(lane="normal"))
        row = recorded(moru, request_id)
        assert row["status"] == "failed" and "429" in row["error"]
        letter = moru.consume("dead-letters", lambda seen: seen.key == request_id)[0]
        assert (letter.headers["attempts"], letter.headers["source-topic"]) == ("2", "requests.normal")
        # It died as it first came: what the wait added is not part of it.
        assert "due-at" not in letter.headers and "lane" not in letter.headers
        assert len(moru.published("deferred", lambda seen: seen.key == request_id)) == 1
        moru.wait(lambda: moru.metric(members["generator"], "agent_consumer_lag") == 0)


def test_a_deferred_job_survives_the_end_of_its_worker(moru, fleet):
    answer, times = failing_once(TOO_MANY, lambda messages: not is_judge(messages))
    with ModelServer(answer) as model:
        members = own_fleet(moru, fleet, model)
        request_id = send(moru, request_message(lane="normal"))
        moru.wait(lambda: moru.metric(members["generator"], "agent_jobs_waiting") == 1)
        moru.wait(lambda: committed_lag(moru, "moru-generator", "requests.normal") == 0)
        moru.kill(members["generator"])
        moru.restart(members["generator"])
        assert recorded(moru, request_id)["status"] == "succeeded"
        assert times[1] - times[0] >= LATER_S - 0.1
        # The failed try, then refine and author once.
        assert len(times) == 3


def test_a_deferred_message_that_tells_nothing_becomes_a_dead_letter(moru, fleet):
    message = request_message()
    send(moru, message, "deferred", headers={"stage": "generator", "due-at": "soon"})
    letter = moru.consume("dead-letters", lambda seen: seen.key == message["request_id"])[0]
    assert "headers" in letter.headers["reason"] and letter.headers["source-topic"] == "deferred"
    assert recorded(moru, message["request_id"])["status"] == "failed"
    # One that names no worker stops nobody.
    send(moru, request_message(), "deferred")
    moru.wait(lambda: all(moru.metric(member, "agent_consumer_lag", topic="deferred") == 0
                          for member in (fleet.generator, fleet.evaluator)))


def test_a_message_that_kills_its_worker_is_found_and_the_others_are_served(moru, fleet):
    at_work, release = threading.Semaphore(0), threading.Event()

    def answer(messages):
        content = messages[-1]["content"]
        if "poison" in content:
            at_work.release()
            threading.Event().wait(60)  # The worker is killed meanwhile.
        if "slow" in content:
            release.wait(60)
        return echo(messages)
    with ModelServer(answer) as model:
        members = own_fleet(moru, fleet, model)
        generator = members["generator"]
        inputs = ["slow 1", "slow 2", "poison", "quick 1", "slow 3", "quick 2"]
        ids = {text: send(moru, request_message(lane="normal", user_input=text), partition=0) for text in inputs}
        for kills in itertools.count(1):
            if kills > 3:
                release.set()  # From now on they come one at a time, and the first ones do no harm.
            if not moru.wait(lambda: at_work.acquire(blocking=False) or moru.log_event(generator, "job_rejected")) is True:
                break
            moru.kill(generator)
            moru.restart(generator)
        # Three starts in common, a fourth in which it was alone.
        assert kills == 5
        rows = {text: recorded(moru, request_id) for text, request_id in ids.items()}
        assert {text for text, row in rows.items() if row["status"] == "failed"} == {"poison"}
        assert "the worker ended" in rows["poison"]["error"]
        letters = moru.published("dead-letters", lambda seen: seen.key in ids.values())
        assert [letter.key for letter in letters] == [ids["poison"]]
        # After that it is a worker like any other.
        after = [send(moru, request_message(lane="normal", user_input=f"after {n}"), partition=0) for n in range(20)]
        moru.wait(lambda: rows_of(moru, after) == {"rows": 20, "requests": 20})


def test_a_worker_that_is_killed_while_it_works_on_harmless_messages_gives_up_none(moru, fleet):
    hold = threading.Event()

    def answer(messages):
        hold.wait(60)
        return echo(messages)
    with ModelServer(answer) as model:
        generator = own_fleet(moru, fleet, model)["generator"]
        ids = [send(moru, request_message(lane="normal", user_input=f"number {n}"), partition=n % 4) for n in range(20)]
        for kills in range(1, 4):
            moru.wait(lambda: len(model.calls) >= kills * 20)
            moru.kill(generator)
            moru.restart(generator)
        hold.set()
        moru.wait(lambda: rows_of(moru, ids) == {"rows": 20, "requests": 20})
        assert moru.published("dead-letters", lambda seen: seen.key in ids) == []


def test_redelivered_work_makes_no_second_call_and_its_stored_result_is_sent_on(moru, fleet):
    with ModelServer(good) as model:
        generator = own_fleet(moru, fleet, model)["generator"]
        message = request_message(lane="normal")
        send(moru, message)
        row = recorded(moru, message["request_id"])
        calls = len(model.calls)
        send(moru, message, "requests.high", headers={"reply-to": "3/somebody-who-waits"})
        reply = moru.consume("replies", lambda seen: seen.key == message["request_id"])[0]
        assert (reply.partition, reply.value["to"]) == (3, "somebody-who-waits")
        assert reply.value["result"]["worker_output"] == row["output"] == CODE
        assert reply.value["result"]["evaluation_score"] == row["score"]
        assert moru.metric(generator, "agent_requests_repeated_total", how="stored") == 1
        moru.wait(lambda: moru.metric(generator, "agent_consumer_lag") == 0)
        assert len(model.calls) == calls == 3
        # Another run of the same request is other work.
        send(moru, {**message, "run": 2})
        moru.wait(lambda: len(moru.rows("SELECT run FROM results WHERE request_id = %s", [message["request_id"]])) == 2)
        assert len(model.calls) == 6


def test_a_stored_failure_is_sent_on_too(moru, fleet):
    with ModelServer(lambda messages: (400, "{}", {})) as model:
        own_fleet(moru, fleet, model)
        message = request_message(lane="normal")
        send(moru, message)
        error = recorded(moru, message["request_id"])["error"]
        send(moru, message, headers={"reply-to": "5/somebody"})
        reply = moru.consume("replies", lambda seen: seen.key == message["request_id"])[0]
        assert (reply.value["result"]["status"], reply.value["result"]["error"]) == ("failed", error)
        assert len(model.calls) == 1


def test_a_second_copy_of_a_request_in_flight_joins_the_first(moru, fleet):
    release = threading.Event()

    def answer(messages):
        release.wait(60)
        return good(messages)
    with ModelServer(answer) as model:
        generator = own_fleet(moru, fleet, model)["generator"]
        message = request_message(lane="normal")
        send(moru, message, partition=0)
        moru.wait(lambda: model.calls)
        send(moru, {**message, "request_id": message["request_id"].upper()}, "requests.low", partition=1)
        send(moru, message, "requests.high", partition=2)
        moru.wait(lambda: moru.metric(generator, "agent_requests_repeated_total", how="joined") == 2)
        assert moru.metric(generator, "agent_jobs_in_flight") == 3
        release.set()
        recorded(moru, message["request_id"])
        moru.wait(lambda: moru.metric(generator, "agent_consumer_lag") == 0)
        assert moru.metric(generator, "agent_jobs_in_flight") == 0
        assert len(model.calls) == 3 and rows_of(moru, [message["request_id"]])["rows"] == 1
        assert len(moru.published("generations", lambda seen: seen.key == message["request_id"])) == 1


def limit_dead_letters(moru, bytes_max):
    """Sets the largest message that the topic dead-letters takes."""
    admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": moru.brokers})
    resource = confluent_kafka.admin.ConfigResource("topic", "dead-letters", incremental_configs=[
        confluent_kafka.admin.ConfigEntry("max.message.bytes", str(bytes_max),
                                          incremental_operation=confluent_kafka.admin.AlterConfigOpType.SET)])
    for result in admin.incremental_alter_configs([resource]).values():
        result.result()


def test_a_dead_letter_that_kafka_refuses_is_sent_again_ever_more_slowly(moru, fleet):
    fleet.stop()
    generator = moru.start("generator")
    limit_dead_letters(moru, 200)
    try:
        send(moru, {"not": "a request", "request_id": (request_id := str(uuid.uuid4()))}, partition=0)
        moru.wait(lambda: moru.metric(generator, "agent_dead_letters_unsent") == 1)
        moru.wait(lambda: len(moru.log_event(generator, "output_not_acknowledged")) >= 5)
        # Others are served meanwhile, and the offset of this one is not finished.
        good_id = send(moru, request_message(lane="normal"), partition=0)
        moru.consume("generations", lambda seen: seen.key == good_id)
        assert moru.metric(generator, "agent_consumer_lag", topic="requests.normal", partition=0) == 2
        waits = [line["wait_ms"] for line in moru.log_event(generator, "output_not_acknowledged")]
        assert waits == [100 * 2 ** n for n in range(len(waits))]
    finally:
        limit_dead_letters(moru, 8388608)
    moru.consume("dead-letters", lambda seen: seen.key == request_id)
    moru.wait(lambda: moru.metric(generator, "agent_dead_letters_unsent") == 0)
    moru.wait(lambda: moru.metric(generator, "agent_consumer_lag", topic="requests.normal") == 0)


def test_a_row_that_postgres_refuses_is_found_in_its_batch(moru, fleet):
    """People own execution_logs: a check they add makes a row one that cannot be recorded."""
    moru.stop(fleet.recorder)
    messages = [request_message(lane="normal", user_input=f"row {n}") for n in range(60)]
    poison = messages[37]
    poison["user_input"] = "not to be recorded"
    for message in messages:
        send(moru, message)
    moru.consume("evaluations", lambda seen: seen.value["user_input"].startswith(("row", "not to")), count=60)
    moru.execute("ALTER TABLE execution_logs ADD CONSTRAINT refused CHECK (user_input <> 'not to be recorded') NOT VALID")
    try:
        moru.restart(fleet.recorder)
        ids = [message["request_id"] for message in messages]
        moru.wait(lambda: rows_of(moru, ids) == {"rows": 59, "requests": 59})
        kept = moru.wait(lambda: moru.row("SELECT * FROM unrecordable WHERE message LIKE %s",
                                          [f'%{poison["request_id"]}%'.encode()]))
        assert kept["topic"] == "evaluations.normal" and "refused" in kept["reason"]
        assert json.loads(kept["message"])["user_input"] == "not to be recorded"
        moru.wait(lambda: moru.metric(fleet.recorder, "agent_consumer_lag") == 0)
        # It was halved: fewer rows each time, down to one.
        sizes = [line["rows"] for line in moru.log_event(fleet.recorder, "batch_refused")]
        assert sizes[-1] == 1 and sizes == sorted(sizes, reverse=True)
    finally:
        moru.execute("ALTER TABLE execution_logs DROP CONSTRAINT refused")


def test_expired_idempotency_keys_are_deleted(moru, fleet):
    moru.execute(
        "INSERT INTO idempotency_keys (tenant, key_hash, request_id, body_hash, expires_at) "
        "SELECT 'keys', md5(n::text) || md5(n::text), gen_random_uuid(), repeat('0', 64), "
        "now() + CASE WHEN n %% 10 = 0 THEN interval '1 hour' ELSE interval '-1 second' END "
        "FROM generate_series(1, 3000) AS n")
    moru.stop(fleet.recorder)
    moru.restart(fleet.recorder)
    moru.wait(lambda: moru.row("SELECT count(*) AS kept FROM idempotency_keys WHERE tenant = 'keys'")["kept"] == 300)
    assert moru.execute("DELETE FROM idempotency_keys WHERE tenant = 'keys' AND expires_at > now()") == 300


def test_a_rolling_restart_under_load_loses_and_doubles_nothing(moru, fleet):
    count = 400
    with ModelServer(echo) as model:
        members = own_fleet(moru, fleet, model, WORKER_IN_FLIGHT_MAX=50)
        texts = [f"number {n}" for n in range(count)]
        ids = [send(moru, request_message(lane="normal", user_input=text)) for text in texts]
        for share, name in enumerate(["generator", "evaluator", "recorder"] * 2, 1):
            moru.wait(lambda: len(model.calls) >= share * count // 4)
            assert moru.stop(members[name]) == 0
            assert moru.log_event(members[name], "stopped", exit_code=0)
            assert not moru.log_event(members[name], "jobs_unfinished")
            moru.restart(members[name])
        moru.wait(lambda: rows_of(moru, ids) == {"rows": count, "requests": count})
        # Refined once, written once, judged once.
        calls = collections.Counter(call["messages"][-1]["content"] for call in model.calls
                                    if not is_judge(call["messages"]))
        assert calls == {text: 2 for text in texts}
        assert sum(is_judge(call["messages"]) for call in model.calls) == count


def fence(moru, worker):
    """Takes the worker's place in its group, as another process with its INSTANCE_ID does, and leaves it again; returns
    once the worker has its partitions back."""
    fenced = len(moru.log_event(worker, "kafka_consumer_lost"))
    begun = len(moru.log_event(worker, "kafka_rebalance", what="assigned"))
    assigned = []
    rival = confluent_kafka.Consumer({
        "bootstrap.servers": moru.brokers, "group.id": f"moru-{worker.name}", "enable.auto.commit": False,
        "group.instance.id": worker.service.environment["INSTANCE_ID"], "session.timeout.ms": 6000,
        "partition.assignment.strategy": "cooperative-sticky", "error_cb": lambda error: None})
    rival.subscribe(moru.topics("evaluations" if worker.name == "recorder" else "requests"),
                    on_assign=lambda consumer, partitions: assigned.extend(partitions))
    try:
        moru.wait(lambda: (rival.poll(0.05), assigned)[1])
        moru.wait(lambda: len(moru.log_event(worker, "kafka_consumer_lost")) > fenced)
    finally:
        rival.close()
    moru.wait(lambda: len(moru.log_event(worker, "kafka_rebalance", what="assigned")) > begun)
    worker.wait_ready()


def reopened(moru, worker):
    return moru.metric(worker, "agent_consumer_reopened_total", service=worker.name)


def test_an_outage_longer_than_their_sessions_ends_no_worker(moru, fleet):
    allowed = threading.Semaphore(0)

    def answer(messages):
        allowed.acquire(timeout=120)
        return echo(messages)
    with ModelServer(answer) as model:
        members = own_fleet(moru, fleet, model, WORKER_IN_FLIGHT_MAX=50)
        workers = [members[name] for name in ("generator", "evaluator", "recorder")]
        pids = [worker.pid for worker in workers]
        ids = [send(moru, request_message(lane="normal", user_input=f"number {n}")) for n in range(100)]
        for number, (away, back) in enumerate([(moru.kafka.kill, moru.kafka.start), (moru.kafka.pause, moru.kafka.resume)], 1):
            for worker in workers:
                worker.wait_ready()  # and so a member, that can be lost
            allowed.release(100)
            moru.wait(lambda: len(model.calls) > number * 100)  # of 300: some wait for their answer
            over = {worker: len(moru.log_event(worker, "kafka_rebalance", what="lost")) for worker in workers}
            away()
            for worker in workers:
                moru.wait(lambda: len(moru.log_event(worker, "kafka_rebalance", what="lost")) > over[worker])
            back()
        allowed.release(10000)
        moru.wait(lambda: rows_of(moru, ids) == {"rows": 100, "requests": 100}, timeout=60)
        # What came twice is finished too.
        for worker in workers:
            moru.wait(lambda: worker.wait_ready() is None and moru.metric(worker, "agent_consumer_lag") == 0)
        assert rows_of(moru, ids) == {"rows": 100, "requests": 100}
        for worker in workers:
            assert reopened(moru, worker) == len(moru.log_event(worker, "kafka_consumer_lost"))
        assert [worker.pid for worker in workers] == pids
        assert moru.published("dead-letters", lambda seen: seen.key in ids) == []


def test_a_fenced_worker_begins_anew_and_gives_up_no_message(moru, fleet):
    """Four times at the same messages: had it ended each time, one of them would be taken for its killer."""
    release, fences = threading.Event(), 4

    def answer(messages):
        release.wait(120)
        return echo(messages)
    with ModelServer(answer) as model:
        generator = own_fleet(moru, fleet, model, KAFKA_CONFIG_HEARTBEAT_INTERVAL_MS=500)["generator"]
        pid = generator.pid
        texts = [f"number {n}" for n in range(20)]
        ids = [send(moru, request_message(lane="normal", user_input=text)) for text in texts]
        moru.wait(lambda: len(model.calls) == 20)
        for number in range(1, fences + 1):
            fence(moru, generator)
            # They come again, and wait for those that are at work since the beginning.
            moru.wait(lambda: moru.metric(generator, "agent_jobs_in_flight", lane="normal") == 20 * (number + 1))
        release.set()
        moru.wait(lambda: rows_of(moru, ids) == {"rows": 20, "requests": 20})
        moru.wait(lambda: moru.metric(generator, "agent_consumer_lag") == 0)
        assert (generator.pid, reopened(moru, generator)) == (pid, fences)
        assert moru.metric(generator, "agent_jobs_in_flight") == 0
        assert moru.published("dead-letters", lambda seen: seen.key in ids) == []
        calls = collections.Counter(call["messages"][-1]["content"] for call in model.calls
                                    if not is_judge(call["messages"]))
        assert calls == {text: 2 for text in texts}


def test_a_fenced_recorder_doubles_and_loses_nothing(moru, fleet):
    """What it has in memory when it is fenced waits for Postgres, and comes from Kafka once more."""
    recorder = fleet.recorder
    pid, before = recorder.pid, reopened(moru, recorder)
    messages = [request_message(lane="normal", user_input=f"number {n}") for n in range(200)]
    ids = [message["request_id"] for message in messages]
    with psycopg.connect(moru.database_url) as holding:
        holding.execute("LOCK TABLE execution_logs IN ACCESS EXCLUSIVE MODE")
        for message in messages:
            send(moru, message)
        moru.wait(lambda: moru.metric(recorder, "agent_jobs_in_flight", lane="normal") == 200)
        fence(moru, recorder)
    moru.wait(lambda: rows_of(moru, ids) == {"rows": 200, "requests": 200})
    moru.wait(lambda: moru.metric(recorder, "agent_consumer_lag") == 0)
    assert rows_of(moru, ids) == {"rows": 200, "requests": 200}
    assert (recorder.pid, reopened(moru, recorder)) == (pid, before + 1)
    answer = moru.post("/api/v1/request", FIBONACCI)
    assert answer.status_code == 200 and rows_of(moru, [answer.json()["request_id"]])["rows"] == 1


def test_of_two_processes_with_one_instance_id_one_says_so_and_ends(moru, fleet):
    fleet.stop()
    both = [moru.start("generator", ready=False, INSTANCE_ID="generator-twice", KAFKA_CONFIG_HEARTBEAT_INTERVAL_MS=500)
            for _ in range(2)]
    moru.wait(lambda: not all(process.running for process in both), timeout=120)
    ended, left = sorted(both, key=lambda process: process.running)
    assert moru.stop(ended) == 1
    reason = moru.log_event(ended, "stopped")[0]["reason"]
    assert "INSTANCE_ID, generator-twice" in reason and "moru-generator" in reason
    assert reopened(moru, left) >= 4
    left.wait_ready()
    request_id = send(moru, request_message(lane="normal"))
    moru.consume("generations", lambda seen: seen.key == request_id)


def test_a_worker_that_is_not_in_its_group_when_kafka_goes_keeps_trying(moru, fleet):
    """A member with another protocol keeps it out, until that one's session is over."""
    fleet.stop()
    other, joined = confluent_kafka.Consumer({
        "bootstrap.servers": moru.brokers, "group.id": "moru-generator", "session.timeout.ms": 6000,
        "partition.assignment.strategy": "range", "error_cb": lambda error: None}), []
    other.subscribe(moru.topics("requests"), on_assign=lambda consumer, partitions: joined.extend(partitions))
    moru.wait(lambda: (other.poll(0.05), joined)[1])
    worker = moru.start("generator", ready=False)
    pid = worker.pid
    moru.wait(lambda: any("protocol" in line["reason"] for line in moru.log_event(worker, "kafka_consumer_error")))
    moru.kafka.kill()
    moru.wait(lambda: moru.log_event(worker, "kafka_away"))
    moru.wait(lambda: len(moru.log_event(worker, "kafka_waiting")) >= 4)  # one each other second: longer than a session
    assert moru.log_event(worker, "kafka_rebalance") == []
    moru.kafka.start()
    other.close()
    worker.wait_ready()
    assert worker.pid == pid
    request_id = send(moru, request_message(lane="normal"))
    moru.consume("generations", lambda seen: seen.key == request_id)
