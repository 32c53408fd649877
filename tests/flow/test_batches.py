"""Batches: a line is a request, a bad one spoils no other, and what is sent again is worked on once."""

import json
import re
import socket
import uuid
from urllib.parse import urlsplit

import harness
from test_bad_input import BAD_BODIES, assert_problem
from test_request import FIBONACCI, RESULT_FIELDS

PATH = "/api/v1/requests:batch"
NDJSON = {"Content-Type": "application/x-ndjson"}


def line(number, task_type="code_generation"):
    return json.dumps({"user_input": f"Write function number {number}", "task_type": task_type})


def lines(count, first=1):
    return "".join(line(number) + "\n" for number in range(first, first + count))


def send(moru, body, to=None, key=None, **options):
    headers = {**NDJSON, **({"Idempotency-Key": key} if key else {})}
    return moru.post(PATH, body, headers=headers, to=to, **options)


def taken(answer, accepted, rejected=0):
    """The answer's body, whose counts are checked."""
    assert answer.status_code == 200, answer.text
    batch = answer.json()
    assert (batch["lines"], batch["accepted"], batch["rejected"]) == (accepted + rejected, accepted, rejected), batch
    assert len(batch["errors"]) + batch["errors_left_out"] == rejected
    return batch


def results(moru, batch, to=None):
    answer = moru.get(batch["links"]["results"], to=to)
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(text) for text in answer.text.splitlines()]


def counts(moru, batch, to=None):
    answer = moru.get(batch["links"]["self"], to=to)
    assert answer.status_code == 200, answer.text
    return answer.json()


def wait_done(moru, batch, timeout=harness.TIMEOUT_S):
    return moru.wait(lambda: (now := counts(moru, batch))["queued"] == 0 and now, timeout)


def wait_acknowledged(moru, gateway, count):
    """Kafka has count lines of an upload that has not ended, and the gateway knows it."""
    messages = moru.consume("requests", lambda message: message.value["batch_id"], count=count)
    moru.wait(lambda: moru.metric(gateway, "agent_batch_lines_unacknowledged") == 0)
    return messages


def logged(moru, ids):
    return moru.row("SELECT count(*) AS rows, count(DISTINCT request_id) AS requests FROM execution_logs "
                    "WHERE request_id = ANY(%s::uuid[])", [ids])


def whole(answer):
    """Whether all bytes of an HTTP answer are there."""
    head, end, body = answer.partition(b"\r\n\r\n")
    return end and len(body) >= int(re.search(rb"Content-Length: (\d+)", head)[1])


class Upload:
    """An upload by hand: its head says more bytes than have come so far."""

    def __init__(self, gateway, length, key=None):
        address = urlsplit(gateway.url)
        self.socket = socket.create_connection((address.hostname, address.port), timeout=30)
        head = f"POST {PATH} HTTP/1.1\r\nHost: moru\r\nContent-Type: application/x-ndjson\r\nContent-Length: {length}\r\n"
        self.send(head + (f"Idempotency-Key: {key}\r\n" if key else "") + "\r\n")

    def send(self, text):
        self.socket.sendall(text.encode())

    def cut(self):
        self.socket.close()

    def answer(self):
        """The status and the body."""
        text = b""
        while not whole(text):
            piece = self.socket.recv(65536)
            assert piece, f"the connection ended: {text!r}"
            text += piece
        self.socket.close()
        return int(text.split()[1]), json.loads(text.split(b"\r\n\r\n", 1)[1])


def test_every_line_of_a_batch_is_served_and_told_in_order(moru, fleet):
    answer = send(moru, lines(1200))
    batch = taken(answer, 1200)
    own = f"/api/v1/batches/{batch['batch_id']}"
    assert answer.headers["location"] == own
    assert batch["links"] == {"self": own, "results": own + "/results"} and batch["errors"] == []
    done = wait_done(moru, batch)
    assert (done["lines"], done["accepted"], done["rejected"], done["succeeded"], done["failed"]) == (1200, 1200, 0, 1200, 0)
    assert done["created_at"] <= done["finished_at"] and done["links"] == batch["links"]
    told = results(moru, batch)
    assert [(result["line"], result["user_input"]) for result in told] == [
        (number, f"Write function number {number}") for number in range(1, 1201)]
    assert all(set(result) == RESULT_FIELDS | {"line"} and result["status"] == "succeeded" for result in told)
    ids = [result["request_id"] for result in told]
    assert sorted(ids) == ids, "ids are in the order of the lines"
    assert logged(moru, ids) == {"rows": 1200, "requests": 1200}


def test_a_line_is_a_request_in_the_low_lane(moru, fleet):
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    text = "Ein \"Zitat\", \\ und \u00e9\U0001f600\n\tmehr"
    body = "\n" + json.dumps({"task_type": "code_generation", "user_input": text}, ensure_ascii=False)
    answer = moru.post(PATH, body, headers={**NDJSON, "traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    batch = taken(answer, 1)
    message, = moru.consume("requests", lambda message: message.value["batch_id"] == batch["batch_id"])
    assert message.topic == "requests.low"
    request = message.value
    assert set(request) == {"request_id", "tenant", "lane", "purpose", "run", "origin_id", "batch_id", "line",
                            "accepted_at", "expires_at", "task_type", "user_input"}
    assert (request["lane"], request["line"], request["run"], request["purpose"], request["tenant"],
            request["origin_id"]) == ("low", 2, 1, "serve", "default", None)
    assert (request["task_type"], request["user_input"]) == ("code_generation", text)
    assert request["accepted_at"] >= moru.began_ms - 1000
    assert request["expires_at"] - request["accepted_at"] == 86_400_000
    assert message.key == request["request_id"] and uuid.UUID(message.key).version == 7
    assert message.headers["ce_id"] == f"{message.key}/gateway"
    assert (message.headers["ce_type"], message.headers["ce_specversion"]) == ("moru.request.v1", "1.0")
    assert message.headers["traceparent"].split("-")[1] == trace and "reply-to" not in message.headers
    # Any gateway knows the id, before and after there is a result.
    assert moru.get(f"/api/v1/requests/{message.key}").status_code == 200
    row = moru.wait(lambda: moru.row("SELECT * FROM execution_logs WHERE request_id = %s", [message.key]))
    assert row["user_input"] == text


def test_bad_lines_are_named_and_the_others_are_served(moru, fleet):
    body, bad = b"", {}
    for number, text in enumerate(BAD_BODIES.values(), 1):
        body += line(number).encode() + b"\r\n" + text + b"\n"
        if text:
            bad[2 * number] = text
    batch = taken(send(moru, body), len(BAD_BODIES), len(bad))
    assert [error["line"] for error in batch["errors"]] == sorted(bad)
    told = {error["line"]: error["error"] for error in batch["errors"]}
    place = {text: number for number, text in bad.items()}
    assert told[place[BAD_BODIES["missing task_type"]]] == "/task_type is missing"
    assert told[place[BAD_BODIES["extra member"]]] == "/extra is not known here"
    assert "no JSON value" in told[place[BAD_BODIES["not JSON"]]]
    wait_done(moru, batch)
    assert [result["line"] for result in results(moru, batch)] == [2 * n + 1 for n in range(len(BAD_BODIES))]


def test_task_types_are_known_or_the_line_is_bad(moru, fleet):
    moru.execute("INSERT INTO prompts (task_type, content) VALUES ('batch_fruit', 'just say cherry to everything')")
    body = "\n".join(line(number, task_type) for number, task_type in
                     enumerate(["batch_fruit", "nobody_knows", "code_generation", "nor_this", "batch_fruit"]))
    batch = taken(send(moru, body), 3, 2)
    assert [error["line"] for error in batch["errors"]] == [2, 4]
    assert all("/task_type" in error["error"] for error in batch["errors"])
    wait_done(moru, batch)
    told = results(moru, batch)
    assert [result["task_type"] for result in told] == ["batch_fruit", "code_generation", "batch_fruit"]
    assert "cherry" in told[0]["worker_output"].lower()


def test_an_empty_batch_has_no_lines(moru, fleet):
    for body in ("", "\n\r\n  \n"):
        batch = taken(send(moru, body), 0)
        assert (counts(moru, batch)["queued"], results(moru, batch)) == (0, [])


def test_heads_are_checked(moru, fleet):
    assert "application/x-ndjson" in assert_problem(moru.post(PATH, lines(1)), 415)["detail"]
    upload = Upload(fleet.gateway, 268_435_457)
    status, problem = upload.answer()
    assert status == 413 and "268435456" in problem["detail"]
    for key in ("", '"', '""', "two words", "x" * 256):
        answer = moru.post(PATH, lines(1), headers={**NDJSON, "Idempotency-Key": key})
        assert_problem(answer, 400)
    assert moru.published("requests") == []


def test_unknown_batches_are_not_found(moru, fleet):
    for path in ("", "/results"):
        assert_problem(moru.get(f"/api/v1/batches/{uuid.uuid4()}{path}"), 404)
        assert_problem(moru.get(f"/api/v1/batches/nonsense{path}"), 404)


def test_lines_past_the_limits_are_rejected_in_the_same_answer(moru, fleet):
    batch = taken(send(moru, "\n" * 99_999 + lines(3)), 1, 2)
    assert [error["line"] for error in batch["errors"]] == [100_001, 100_002]
    assert "100000" in batch["errors"][0]["error"]

    def pieces():
        for _ in range(256):
            yield b" " * 1_048_575 + b"\n"
        yield lines(2).encode()
    answer = moru.http.post(moru.address(None) + PATH, content=pieces(), headers=NDJSON)
    batch = taken(answer, 0, 2)
    assert [error["line"] for error in batch["errors"]] == [257, 258]
    assert "268435456" in batch["errors"][0]["error"]


def test_errors_are_listed_up_to_10000(moru, fleet):
    batch = taken(send(moru, "7\n" * 12_000 + lines(1)), 1, 12_000)
    assert [error["line"] for error in batch["errors"]] == list(range(1, 10_001))
    assert batch["errors_left_out"] == 2000


def test_a_line_longer_than_a_body_is_bad(moru, fleet):
    gateway = moru.start("gateway", HTTP_BODY_BYTES_MAX=1024)
    long = json.dumps({**FIBONACCI, "user_input": "x" * 1024})
    batch = taken(send(moru, f"{line(1)}\n{long}\n{line(2)}\n", to=gateway), 2, 1)
    assert batch["errors"][0]["line"] == 2 and "longer" in batch["errors"][0]["error"]


def test_a_cut_upload_sent_again_under_its_key_gives_each_line_once(moru, fleet):
    other, body = moru.start("gateway"), lines(300)
    moru.wait(lambda: moru.get("/ready", to=other).json()["status"] == "ready")
    cut_at = body.index('number 200"')
    upload = Upload(fleet.gateway, len(body), key='"the key"')
    upload.send(body[:cut_at])
    first = wait_acknowledged(moru, fleet.gateway, 199)
    upload.cut()
    # The line that was cut is none; the resent ones have the ids they had.
    batch = taken(send(moru, body, to=other, key='"the key"'), 300)
    assert {message.value["batch_id"] for message in first} == {batch["batch_id"]}
    assert {message.value["line"] for message in first} == set(range(1, 200))
    done = wait_done(moru, batch)
    assert (done["succeeded"], done["accepted"]) == (300, 300)
    told = results(moru, batch)
    ids = {result["line"]: result["request_id"] for result in told}
    assert all(ids[message.value["line"]] == message.key for message in first)
    assert logged(moru, list(ids.values())) == {"rows": 300, "requests": 300}


def test_a_complete_batch_sent_again_is_only_counted(moru, fleet):
    body = lines(20) + "nonsense\n"
    first = taken(send(moru, body, key="k-1"), 20, 1)
    again = taken(send(moru, body, key='"k-1"'), 20, 1)
    assert again == first
    assert_problem(send(moru, lines(21), key="k-1"), 422)
    assert len(moru.published("requests")) == 20
    assert counts(moru, first)["accepted"] == 20
    assert taken(send(moru, body), 20, 1)["batch_id"] != first["batch_id"]


def test_two_gateways_take_a_key_for_the_same_batch_at_once(moru, fleet):
    other, body = moru.start("gateway"), lines(200)
    moru.wait(lambda: moru.get("/ready", to=other).json()["status"] == "ready")
    calls = [moru.background(send, moru, body, to=to, key="both") for to in (None, other)]
    batches = [taken(call.result(), 200) for call in calls]
    assert batches[0] == batches[1]
    wait_done(moru, batches[0])
    ids = [result["request_id"] for result in results(moru, batches[0])]
    assert logged(moru, ids) == {"rows": 200, "requests": 200}


def test_a_key_is_kept_for_a_day(moru, fleet):
    first = taken(send(moru, lines(1), key="a-day"), 1)
    assert moru.execute("UPDATE batches SET created_at = now() - interval '25 hours' WHERE id = %s", [first["batch_id"]])
    second = taken(send(moru, lines(2), key="a-day"), 2)
    assert second["batch_id"] != first["batch_id"] and counts(moru, first)["lines"] == 1


def test_uploads_wait_for_room_in_kafkas_queue(moru, fleet):
    gateway = moru.start("gateway", KAFKA_QUEUE_MESSAGES_MAX=50)
    batch = taken(send(moru, lines(1000), to=gateway), 1000)
    messages = moru.consume("requests", lambda message: message.value["batch_id"] == batch["batch_id"], count=1000)
    assert sorted(message.value["line"] for message in messages) == list(range(1, 1001))


def test_kafka_away_rejects_the_remaining_lines_which_can_be_sent_again(moru, fleet):
    body = lines(200)
    half = len(lines(100))
    upload = Upload(fleet.gateway, len(body), key="kafka-away")
    upload.send(body[:half])
    wait_acknowledged(moru, fleet.gateway, 100)
    moru.kafka.kill()
    moru.wait(lambda: moru.get("/ready").status_code == 503)
    upload.send(body[half:])
    status, batch = upload.answer()
    assert (status, batch["accepted"], batch["rejected"]) == (200, 100, 100)
    assert [error["line"] for error in batch["errors"]] == list(range(101, 201))
    assert all("Kafka" in error["error"] for error in batch["errors"])
    moru.kafka.start()
    moru.wait(lambda: moru.get("/ready").status_code == 200)
    again = taken(send(moru, body, key="kafka-away"), 200)
    assert again["batch_id"] == batch["batch_id"]
    # The workers may be some time in finding that Kafka is back.
    assert wait_done(moru, again, timeout=60)["succeeded"] == 200
    ids = [result["request_id"] for result in results(moru, again)]
    assert logged(moru, ids) == {"rows": 200, "requests": 200}


def test_lines_without_an_acknowledgement_are_rejected(moru, fleet):
    gateway = moru.start("gateway", KAFKA_CONFIG_MESSAGE_TIMEOUT_MS=1500)
    taken(send(moru, lines(1), to=gateway), 1)
    moru.kafka.pause()
    call = moru.background(send, moru, lines(10) + "nonsense\n" + lines(1), to=gateway)
    answer = call.result()
    moru.kafka.resume()
    batch = taken(answer, 0, 12)
    assert [error["line"] for error in batch["errors"]] == list(range(1, 13))
    assert "Kafka" in batch["errors"][0]["error"] and "JSON" in batch["errors"][10]["error"]
    moru.wait(lambda: moru.get("/ready", to=gateway).status_code == 200)


def test_a_slow_kafka_is_waited_for(moru, fleet):
    body = lines(30)
    half = len(lines(10))
    upload = Upload(fleet.gateway, len(body))
    upload.send(body[:half])
    wait_acknowledged(moru, fleet.gateway, 10)
    moru.kafka.pause()
    upload.send(body[half:-1])
    moru.wait(lambda: "acknowledged nothing" in moru.get("/ready").text)
    upload.send(body[-1:])
    moru.kafka.resume()
    status, batch = upload.answer()
    assert (status, batch["accepted"], batch["rejected"]) == (200, 30, 0)


def test_postgres_away_refuses_keys_and_nothing_else(moru, fleet):
    before = taken(send(moru, lines(1)), 1)
    moru.postgres.stop()
    moru.wait(lambda: moru.get("/ready").json().get("status") == "degraded")
    answer = send(moru, lines(2), key="x")
    assert_problem(answer, 503)
    assert answer.headers["retry-after"]
    batch = taken(send(moru, lines(3)), 3)
    for path in before["links"].values():
        answer = moru.get(path)
        assert_problem(answer, 503)
        assert answer.headers["retry-after"]
    moru.postgres.start()
    moru.wait(lambda: counts(moru, batch)["succeeded"] == 3)
    assert [result["line"] for result in results(moru, batch)] == [1, 2, 3]


def test_sigterm_lets_an_upload_end(moru, fleet):
    gateway, body = moru.start("gateway"), lines(100)
    upload = Upload(gateway, len(body))
    upload.send(body[:-50])
    wait_acknowledged(moru, gateway, 99)
    stopping = moru.background(moru.stop, gateway)
    moru.wait(lambda: moru.log_event(gateway, "stopping"))
    upload.send(body[-50:])
    status, batch = upload.answer()
    assert (status, batch["accepted"]) == (200, 100)
    assert stopping.result() == 0


def test_a_large_upload_and_its_results_take_little_memory(moru, fleet):
    def memory_mb():
        with open(f"/proc/{gateway.pid}/status") as status:
            return int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1]) / 1024
    # Expired when they are served: their results are failures at once.
    gateway = moru.start("gateway", REQUEST_EXPIRY_MS=1000)
    body = (json.dumps({**FIBONACCI, "user_input": "x" * 40_000}) + "\n") * 3000
    batch = taken(send(moru, body, to=gateway), 3000)
    wait_done(moru, batch)
    assert len(results(moru, batch, to=gateway)) == 3000
    assert memory_mb() < 100


def test_lines_are_counted(moru, fleet):
    before = moru.metric(fleet.gateway, "agent_batch_lines_total", outcome="accepted")
    taken(send(moru, lines(3) + "7\n"), 3, 1)
    assert moru.metric(fleet.gateway, "agent_batch_lines_total", outcome="accepted") == before + 3
    assert moru.log_event(fleet.gateway, "batch_answered", lines=4, accepted=3, rejected=1)
