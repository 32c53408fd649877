"""One request through gateway, Kafka, generator, evaluator, recorder and back."""

import re
import uuid

FIBONACCI = {"user_input": "Write a fibonacci function", "task_type": "code_generation"}
RESULT_FIELDS = {"request_id", "status", "task_type", "user_input", "refined_input", "worker_output", "evaluation_score",
                 "evaluation_passed", "prompt_version", "error", "detail", "created_at"}


def request_message(**members):
    """A request as the gateway writes it."""
    return {"request_id": str(uuid.uuid4()), "tenant": "default", "lane": "high", "purpose": "serve", "run": 1,
            "origin_id": None, "batch_id": None, "line": None, "accepted_at": 1_800_000_000_000,
            "expires_at": 4_000_000_000_000, "task_type": "code_generation", "user_input": "Write a stack", **members}


def stages(moru, request_id):
    return {topic: moru.consume(topic, lambda message: message.key == request_id)[0]
            for topic in ("requests", "generations", "evaluations", "replies")}


def test_a_request_is_generated_judged_recorded_and_answered(moru, fleet):
    answer = moru.post("/api/v1/request", FIBONACCI)
    assert answer.status_code == 200
    result = answer.json()
    assert set(result) == RESULT_FIELDS
    assert uuid.UUID(result["request_id"]).version == 7
    assert "def fibonacci" in result["worker_output"]
    assert (result["evaluation_score"], result["evaluation_passed"]) == (0.874, True)
    assert (result["prompt_version"], result["status"], result["error"]) == (1, "succeeded", None)
    assert result["detail"]["rule_details"] == {"has_code": True, "has_substance": True, "balanced_syntax": True,
                                                "no_sensitive_data": True, "reasonable_length": True}
    # When a caller has the answer, the row is there.
    row = moru.row("SELECT * FROM execution_logs WHERE request_id = %s", [result["request_id"]])
    assert (row["worker_output"], row["evaluation_score"], row["evaluation_passed"], row["prompt_version"],
            row["error_message"]) == (result["worker_output"], 0.874, True, 1, None)
    assert row["evaluation_detail"] == result["detail"]


def test_the_answer_can_be_asked_for_again(moru, fleet):
    result = moru.post("/api/v1/request", FIBONACCI).json()
    again = moru.get(f"/api/v1/request/{result['request_id']}")
    assert again.status_code == 200
    assert again.json() == result
    assert moru.get(f"/api/v1/requests?limit=1").json()["items"][0] == result


def test_an_id_that_no_gateway_issued_is_not_found_and_one_without_a_row_is_queued(moru, fleet):
    assert moru.get(f"/api/v1/request/{uuid.uuid4()}").status_code == 404
    assert moru.get("/api/v1/request/nonsense").status_code == 404
    result = moru.post("/api/v1/request", FIBONACCI).json()
    moru.execute("DELETE FROM execution_logs WHERE request_id = %s", [result["request_id"]])
    moru.execute("DELETE FROM results WHERE request_id = %s", [result["request_id"]])
    assert moru.get(f"/api/v1/request/{result['request_id']}").json()["status"] == "queued"
    changed = result["request_id"][:-1] + ("0" if result["request_id"][-1] != "0" else "1")
    assert moru.get(f"/api/v1/request/{changed}").status_code == 404


def test_lists_are_paged_newest_first(moru, fleet):
    moru.execute("DELETE FROM execution_logs")
    for number in range(5):
        moru.execute("INSERT INTO execution_logs (request_id, task_type, user_input) VALUES (gen_random_uuid(), %s, %s)",
                     ["by_hand" if number % 2 else "code_generation", f"input {number}"])
    first = moru.get("/api/v1/requests?limit=2").json()
    assert [item["user_input"] for item in first["items"]] == ["input 4", "input 3"]
    assert (first["total"], first["limit"], first["offset"]) == (5, 2, 0)
    second = moru.get(f"/api/v1/requests?limit=2&cursor={first['next_cursor']}").json()
    assert [item["user_input"] for item in second["items"]] == ["input 2", "input 1"]
    assert [item["user_input"] for item in moru.get("/api/v1/requests?offset=4").json()["items"]] == ["input 0"]
    by_hand = moru.get("/api/v1/requests?task_type=by_hand").json()
    assert (by_hand["total"], by_hand["next_cursor"]) == (2, None)
    assert moru.get("/api/v1/requests?offset=100").json()["total"] == 5
    for query in ("limit=0", "limit=101", "limit=x", "offset=-1", "limit=1e1"):
        assert moru.get(f"/api/v1/requests?{query}").status_code == 400


def test_a_prompt_switched_by_sql_serves_the_very_next_request(moru, fleet):
    assert moru.post("/api/v1/request", FIBONACCI).json()["prompt_version"] == 1
    moru.execute("UPDATE prompts SET is_active = FALSE WHERE task_type = 'code_generation'")
    moru.execute("INSERT INTO prompts (task_type, content, version) VALUES "
                 "('code_generation', 'just say hello world to everything', 99)")
    result = moru.post("/api/v1/request", FIBONACCI).json()
    assert (result["worker_output"], result["prompt_version"]) == ("Hello World", 99)
    assert (result["evaluation_score"], result["evaluation_passed"]) == (0.36, False)
    moru.execute("DELETE FROM prompts WHERE version = 99")
    moru.execute("UPDATE prompts SET is_active = TRUE")
    assert moru.post("/api/v1/request", FIBONACCI).json()["evaluation_score"] == 0.874


def test_the_highest_version_then_the_highest_id_is_the_active_prompt(moru, fleet):
    for version, content in ((7, "just say banana to everything"), (5, "just say apple to everything"),
                             (7, "just say cherry to everything")):
        moru.execute("INSERT INTO prompts (task_type, content, version) VALUES ('fruit', %s, %s)", [content, version])
    result = moru.post("/api/v1/request", {"user_input": "What now?", "task_type": "fruit"}).json()
    assert "cherry" in result["worker_output"].lower()
    assert result["prompt_version"] == 7
    assert set(result["detail"]["rule_details"]) == {"has_substance", "no_sensitive_data", "reasonable_length"}


def test_every_hop_carries_the_trace_the_event_and_the_lane(moru, fleet):
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    answer = moru.post("/api/v1/request", FIBONACCI, headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    seen = stages(moru, answer.json()["request_id"])
    for topic, message in seen.items():
        assert message.headers["traceparent"].split("-")[1] == trace
        assert message.headers["ce_specversion"] == "1.0"
        assert message.headers["ce_type"] == f"moru.{'reply' if topic == 'replies' else topic[:-1]}.v1"
    assert len({message.headers["traceparent"] for message in seen.values()}) == 4
    assert {seen[topic].topic for topic in ("requests", "generations", "evaluations")} == {
        "requests.high", "generations.high", "evaluations.high"}
    request_id = answer.json()["request_id"]
    for process in (fleet.gateway, fleet.generator, fleet.evaluator, fleet.recorder):
        lines = moru.wait(lambda: [line for line in process.log if line.get("request_id") == request_id])
        assert {line["trace_id"] for line in lines} == {trace}


def test_messages_carry_the_envelope_and_what_the_result_was_made_with(moru, fleet):
    seen = stages(moru, moru.post("/api/v1/request", FIBONACCI).json()["request_id"])
    evaluation = seen["evaluations"].value
    assert (evaluation["tenant"], evaluation["lane"], evaluation["purpose"], evaluation["run"]) == (
        "default", "high", "serve", 1)
    assert evaluation["expires_at"] > evaluation["accepted_at"] > 1_700_000_000_000
    assert re.fullmatch("[0-9a-f]{64}", evaluation["prompt_hash"])
    prompt = moru.row("SELECT id FROM prompts WHERE task_type = 'code_generation'")
    assert evaluation["prompt_id"] == prompt["id"]


def test_unknown_members_of_a_message_are_passed_on(moru, fleet):
    message = request_message(lane="normal", from_the_future={"a": [1, "two"]})
    request_id = message["request_id"]
    moru.produce("requests.normal", message, key=request_id)
    evaluation = moru.consume("evaluations", lambda message: message.key == request_id)[0]
    assert evaluation.value["from_the_future"] == {"a": [1, "two"]}
    assert evaluation.topic == "evaluations.normal"


def test_a_request_that_is_told_twice_is_recorded_once(moru, fleet):
    message = request_message()
    request_id = message["request_id"]
    for _ in range(3):
        moru.produce("requests.high", message, key=request_id)
    evaluation = moru.consume("evaluations", lambda message: message.key == request_id)[0]
    for _ in range(2):
        moru.produce("evaluations.high", evaluation.value, key=request_id)
    moru.wait(lambda: len(moru.log_event(fleet.recorder, "recorded", request_id=request_id)) >= 3)
    assert moru.row("SELECT count(*) FROM execution_logs WHERE request_id = %s", [request_id])["count"] == 1
    assert moru.row("SELECT count(*) FROM results WHERE request_id = %s", [request_id])["count"] == 1


def test_rehearsals_are_recorded_but_not_among_the_logs_people_read(moru, fleet):
    message = request_message(purpose="rehearse")
    request_id = message["request_id"]
    moru.produce("requests.high", message, key=request_id)
    moru.wait(lambda: moru.row("SELECT status FROM results WHERE request_id = %s", [request_id]))
    assert moru.row("SELECT * FROM execution_logs WHERE request_id = %s", [request_id]) is None


def test_metrics_stand_on_the_process_that_knows_them(moru, fleet):
    def counts():
        return (moru.metric(fleet.gateway, "agent_requests_total", service="gateway", task_type="code_generation",
                            status="succeeded"),
                moru.metric(fleet.gateway, "agent_request_duration_seconds_count", service="gateway"),
                moru.metric(fleet.generator, "agent_requests_total", service="generator", status="succeeded"),
                moru.metric(fleet.evaluator, "agent_evaluation_pass_total", task_type="code_generation",
                            result="passed"),
                moru.metric(fleet.evaluator, "agent_evaluation_score_count", task_type="code_generation"),
                moru.metric(fleet.recorder, "agent_kafka_round_trip_seconds_count", service="recorder"))
    before = counts()
    for _ in range(3):
        assert moru.post("/api/v1/request", FIBONACCI).status_code == 200
    moru.wait(lambda: [after - old for after, old in zip(counts(), before)] == [3, 3, 3, 3, 3, 3])
    assert moru.metric(fleet.generator, "agent_prompt_version", task_type="code_generation") == 1
    moru.wait(lambda: moru.metric(fleet.generator, "agent_jobs_in_flight") == 0)
    assert moru.get("/metrics/").text.startswith("# HELP")


def test_every_process_tells_its_health(moru, fleet):
    for name in ("gateway", "generator", "evaluator", "recorder"):
        process = getattr(fleet, name)
        health = moru.get("/health", to=process).json()
        assert (health["status"], health["service"]) == ("ok", name) and health["version"]
        ready = moru.get("/ready", to=process).json()
        assert ready["status"] == "ready"
    assert moru.get("/openapi.json").json()["openapi"].startswith("3.1")


def test_the_generator_serves_a_task_without_kafka(moru, fleet):
    request_id = str(uuid.uuid4())
    answer = moru.post("/api/v1/task", {"request_id": request_id, "task_type": "code_generation",
                                        "refined_input": "Write a bubble sort function."}, to=fleet.generator)
    assert answer.status_code == 200
    assert set(answer.json()) == {"request_id", "output", "prompt_version", "latency_ms"}
    assert answer.json()["request_id"] == request_id and "def " in answer.json()["output"]
    assert moru.published("generations", lambda message: message.key == request_id) == []
    unknown = moru.post("/api/v1/task", {"request_id": request_id, "task_type": "no_such", "refined_input": "x"},
                        to=fleet.generator)
    assert (unknown.status_code, unknown.json()["request_id"]) == (422, request_id)


def test_the_evaluator_judges_without_kafka(moru, fleet):
    call = {"request_id": str(uuid.uuid4()), "task_type": "code_generation", "user_input": "Write a fibonacci function",
            "refined_input": "Write a fibonacci function.", "worker_output": "Hello World"}
    answer = moru.post("/api/v1/evaluate", call, to=fleet.evaluator)
    assert answer.status_code == 200
    assert (answer.json()["score"], answer.json()["passed"]) == (0.36, False)
    assert set(answer.json()["detail"]) == {"rule_score", "llm_score", "rule_details", "llm_details"}
    assert answer.json()["detail"]["rule_details"] == {
        "has_code": False, "has_substance": False, "balanced_syntax": True, "no_sensitive_data": True,
        "reasonable_length": True}


def test_every_operation_of_the_api_is_served_and_no_other(moru, fleet):
    paths = moru.get("/openapi.json").json()["paths"]
    for path, operations in paths.items():
        asked = path.replace("{id}", str(uuid.uuid4()))
        allowed = moru.http.request("PATCH", fleet.gateway.url + asked)
        assert allowed.status_code == 405, path
        served = {method.strip().lower() for method in allowed.headers["allow"].split(",")} - {"head"}
        assert served == {method for method in operations if method in ("get", "post", "put", "delete")}, path
    assert "/api/v1/requests" in paths
