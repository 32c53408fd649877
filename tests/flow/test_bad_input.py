"""Bad input gets a problem, nothing is published, and the process lives."""

import json
import socket
import uuid

import pytest

GOOD = {"user_input": "Write a fibonacci function", "task_type": "code_generation"}


def nested(depth):
    return b'{"user_input":' + b"[" * depth + b"]" * depth + b',"task_type":"code_generation"}'


BAD_BODIES = {
    "empty": b"",
    "not JSON": b"hello",
    "half an object": b'{"user_input": "x"',
    "an array": b"[]",
    "a string": b'"x"',
    "null": b"null",
    "two values": b'{"user_input":"x","task_type":"code_generation"} {}',
    "wrong type": b'{"user_input": 5, "task_type": "code_generation"}',
    "null member": b'{"user_input": null, "task_type": "code_generation"}',
    "missing user_input": b'{"task_type": "code_generation"}',
    "missing task_type": b'{"user_input": "x"}',
    "extra member": b'{"user_input": "x", "task_type": "code_generation", "extra": 1}',
    "empty user_input": b'{"user_input": "", "task_type": "code_generation"}',
    "long user_input": json.dumps({**GOOD, "user_input": "x" * 100_001}).encode(),
    "long task_type": json.dumps({**GOOD, "task_type": "x" * 65}).encode(),
    "invalid UTF-8": b'{"user_input": "\xff\xfe", "task_type": "code_generation"}',
    "overlong UTF-8": b'{"user_input": "\xc0\xaf", "task_type": "code_generation"}',
    "surrogate": b'{"user_input": "\\ud800", "task_type": "code_generation"}',
    "NUL byte": b'{"user_input": "a\x00b", "task_type": "code_generation"}',
    "escaped NUL": b'{"user_input": "a\\u0000b", "task_type": "code_generation"}',
    "duplicate key": b'{"user_input": "x", "user_input": "y", "task_type": "code_generation"}',
    "deep nesting": nested(100_000),
    "NaN": b'{"user_input": NaN, "task_type": "code_generation"}',
}


def assert_problem(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status and problem["title"] and problem["detail"] and problem["type"]
    return problem


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_a_bad_body_is_refused(moru, fleet, body):
    before = fleet.gateway.pid
    problem = assert_problem(moru.post("/api/v1/request", body), 400)
    assert problem["errors"]
    assert moru.get("/health").status_code == 200 and fleet.gateway.pid == before
    assert moru.published("requests") == []


def test_errors_name_the_place(moru, fleet):
    problem = assert_problem(moru.post("/api/v1/request", {"user_input": "", "extra/~": 1}), 400)
    assert {error["pointer"] for error in problem["errors"]} >= {"/user_input", "/extra~1~0"}


def test_lengths_count_code_points(moru, fleet):
    astral = "\U0001f600" * 100_000
    answer = moru.post("/api/v1/request", {**GOOD, "user_input": astral}, timeout=60)
    assert answer.status_code == 200 and answer.json()["user_input"] == astral
    assert_problem(moru.post("/api/v1/request", {**GOOD, "user_input": astral + "x"}), 400)


def test_a_long_body_is_refused(moru, fleet):
    assert_problem(moru.post("/api/v1/request", b"x" * 3_000_000), 413)
    chunked = moru.http.post(fleet.gateway.url + "/api/v1/request", headers={"Content-Type": "application/json"},
                             content=(b"x" * 65536 for _ in range(50)))
    assert_problem(chunked, 413)


def test_methods_paths_and_content_types(moru, fleet):
    answer = moru.get("/api/v1/request")
    assert_problem(answer, 405)
    assert answer.headers["allow"] == "POST"
    answer = moru.post("/health", {})
    assert_problem(answer, 405)
    assert answer.headers["allow"] == "GET, HEAD"
    assert_problem(moru.get("/nothing"), 404)
    assert_problem(moru.get("/api/v1/request/%00"), 404)
    assert_problem(moru.get("/api/v1/request/..%2f..%2fetc"), 404)
    for content_type in ("text/plain", "application/x-www-form-urlencoded", ""):
        assert_problem(moru.post("/api/v1/request", GOOD, headers={"Content-Type": content_type}), 415)
    answer = moru.post("/api/v1/request", GOOD, headers={"Content-Type": "application/json; charset=utf-8"})
    assert answer.status_code == 200
    assert moru.http.head(fleet.gateway.url + "/health").status_code == 200


def test_an_unknown_task_type_lists_the_known_ones(moru, fleet):
    moru.execute("INSERT INTO prompts (task_type, content) VALUES ('poetry', 'Write a poem.')")
    problem = assert_problem(moru.post("/api/v1/request", {**GOOD, "task_type": "astrology"}), 422)
    assert "code_generation" in problem["detail"] and "poetry" in problem["detail"]
    assert "request_id" not in problem  # nothing was published that could be asked for
    assert moru.published("requests") == []


def test_a_task_type_becomes_known_with_its_first_prompt(moru, fleet):
    name = f"type_{uuid.uuid4().hex[:8]}"
    assert_problem(moru.post("/api/v1/request", {"user_input": "hi", "task_type": name}), 422)
    moru.execute("INSERT INTO prompts (task_type, content) VALUES (%s, 'Just say yes to everything.')", [name])
    assert moru.post("/api/v1/request", {"user_input": "hi", "task_type": name}).status_code == 200


def test_a_type_whose_prompt_has_gone_fails_and_says_so(moru, fleet):
    assert moru.post("/api/v1/request", GOOD).status_code == 200
    moru.execute("UPDATE prompts SET is_active = FALSE")
    problem = assert_problem(moru.post("/api/v1/request", GOOD), 502)
    assert "no active prompt" in problem["detail"]
    row = moru.row("SELECT * FROM execution_logs WHERE request_id = %s", [problem["request_id"]])
    assert "no active prompt" in row["error_message"]


def test_hostile_text_is_kept_as_it_is(moru, fleet):
    text = "'; DROP TABLE prompts; -- %s %n %d \\ \" {0} $1 \x7f \u202e\ufeff </script> \n\t ../../etc"
    result = moru.post("/api/v1/request", {**GOOD, "user_input": text}).json()
    row = moru.row("SELECT user_input FROM execution_logs WHERE request_id = %s", [result["request_id"]])
    assert row["user_input"] == text == result["user_input"]


def test_raw_nonsense_on_the_socket_is_survived(moru, fleet):
    port = int(fleet.gateway.url.rsplit(":", 1)[1])
    for bytes_ in (b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"POST /api/v1/request HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
                   b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n", b"\r\n" * 1000):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            try:
                connection.sendall(bytes_)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass
            except OSError:
                pass
    assert moru.post("/api/v1/request", GOOD).status_code == 200


BAD_MESSAGES = [b"", b"no JSON", b"\xff\xfe", b"{}", b"[1,2", b'{"request_id": "x"}', b'{"a":"\\u0000"}', b"null"]


@pytest.mark.parametrize("topic", ["requests.high", "generations.normal", "evaluations.low"])
def test_bad_messages_become_dead_letters_and_the_next_are_served(moru, fleet, topic):
    placed = {moru.produce(topic, body, key=str(uuid.uuid4()), headers={"mine": "kept"}): body for body in BAD_MESSAGES}
    stage = {"requests": "generator", "generations": "evaluator", "evaluations": "recorder"}[topic.split(".")[0]]
    rows = moru.wait(lambda: (found := [row for row in moru.rows(
        "SELECT * FROM dead_letters WHERE source_topic = %s", [topic])
        if (row["source_partition"], row["source_offset"]) in placed]) and len(found) == len(placed) and found)
    for row in rows:
        assert bytes(row["message"]) == placed[row["source_partition"], row["source_offset"]]
        assert row["stage"] == stage and row["reason"] and row["headers"]["mine"] == "kept"
    letters = moru.consume("dead-letters", lambda message: message.headers.get("source-topic") == topic,
                           count=len(placed))
    assert {letter.headers["mine"] for letter in letters} == {"kept"}
    assert all(letter.headers["stage"] == stage and letter.headers["attempts"] == "1" for letter in letters)
    assert moru.post("/api/v1/request", GOOD).status_code == 200


def test_nonsense_on_dead_letters_and_replies_is_survived(moru, fleet):
    for body in BAD_MESSAGES:
        moru.produce("dead-letters", body, headers={"reason": "x" * 5000, "attempts": "many"})
        for partition in range(4):
            moru.produce("replies", body, key=str(uuid.uuid4()), partition=partition)
    moru.wait(lambda: moru.metric(fleet.recorder, "agent_consumer_lag", topic="dead-letters") == 0)
    assert moru.post("/api/v1/request", GOOD).status_code == 200
