"""What fails is retried, told and recorded; who is killed loses nothing; who is away is waited for."""

import json
import threading
import uuid

import httpx

from model_server import ModelServer, is_judge
from test_request import FIBONACCI, request_message

CODE = "```python\ndef answer():\n    return 42\n```"
GOOD_JUDGEMENT = json.dumps({"relevance": 8, "quality": 7, "safety": 9, "reasoning": "fine"})


def rows_of(moru, request_ids):
    return moru.row("SELECT count(*) AS rows, count(DISTINCT request_id) AS requests FROM execution_logs "
                    "WHERE request_id = ANY(%s::uuid[])", [request_ids])


def own_fleet(moru, fleet, model, **settings):
    """A fleet of this test whose model is a server of its own."""
    fleet.stop()
    model_settings = {"LLM_BASE_URL": model.url if model else "http://127.0.0.1:9", "LLM_API_KEY": "not-told", **settings}
    return {name: moru.start(name, **model_settings) for name in ("gateway", "generator", "evaluator", "recorder")}


def test_kill_9_of_the_generator_during_200_requests_loses_none(moru, fleet):
    calls = [moru.background(moru.post, "/api/v1/request", {**FIBONACCI, "user_input": f"Write function number {number}"},
                             timeout=60) for number in range(200)]
    moru.wait(lambda: moru.metric(fleet.generator, "agent_requests_total", status="succeeded") >= 1)
    moru.kill(fleet.generator)
    moru.restart(fleet.generator)
    answers = [call.result() for call in calls]
    assert {answer.status_code for answer in answers} == {200}
    ids = [answer.json()["request_id"] for answer in answers]
    assert len(set(ids)) == 200
    assert rows_of(moru, ids) == {"rows": 200, "requests": 200}
    assert {answer.json()["user_input"] for answer in answers} == {f"Write function number {n}" for n in range(200)}


def test_kill_9_of_the_recorder_doubles_and_loses_nothing(moru, fleet):
    messages = [request_message(user_input=f"Write function number {number}") for number in range(300)]
    for message in messages:
        moru.produce("requests.high", message, key=message["request_id"])
    ids = [message["request_id"] for message in messages]
    for _ in range(3):
        seen = rows_of(moru, ids)["rows"]
        moru.wait(lambda: rows_of(moru, ids)["rows"] > seen or seen == 300)
        moru.kill(fleet.recorder)
        moru.restart(fleet.recorder)
    moru.wait(lambda: rows_of(moru, ids) == {"rows": 300, "requests": 300})


def test_the_gateway_takes_up_answers_after_its_own_restart(moru, fleet):
    assert moru.post("/api/v1/request", FIBONACCI).status_code == 200
    moru.kill(fleet.gateway)
    moru.restart(fleet.gateway)
    assert moru.post("/api/v1/request", FIBONACCI).status_code == 200


def test_sigterm_finishes_what_runs(moru, fleet):
    release = threading.Event()

    def slow(messages):
        release.wait(20)
        return GOOD_JUDGEMENT if is_judge(messages) else CODE
    with ModelServer(slow) as model:
        members = own_fleet(moru, fleet, model)
        call = moru.background(moru.post, "/api/v1/request", FIBONACCI, to=members["gateway"])
        moru.wait(lambda: model.calls)
        stopping = moru.background(moru.stop, members["generator"])
        moru.wait(lambda: moru.log_event(members["generator"], "stopping"))
        release.set()
        assert call.result().status_code == 200
        assert stopping.result() == 0


def test_an_unreachable_model_is_retried_and_then_told(moru, fleet):
    members = own_fleet(moru, fleet, None)
    answer = moru.post("/api/v1/request", FIBONACCI, to=members["gateway"])
    assert answer.status_code == 502, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    request_id = answer.json()["request_id"]
    row = moru.row("SELECT * FROM execution_logs WHERE request_id = %s", [request_id])
    assert row["error_message"] and row["error_message"] in answer.json()["detail"]
    assert moru.metric(members["generator"], "agent_model_retries_total") == 4
    assert moru.metric(members["generator"], "agent_job_retries_total") == 0
    assert moru.metric(members["generator"], "agent_dead_letters_total") == 1
    letter = moru.consume("dead-letters", lambda message: message.key == request_id)[0]
    assert letter.headers["attempts"] == "5" and letter.value["user_input"] == FIBONACCI["user_input"]
    result = moru.get(f"/api/v1/request/{request_id}", to=members["gateway"]).json()
    assert (result["status"], result["error"]) == ("failed", row["error_message"])
    # The key of the model reaches no log.
    assert all("not-told" not in member.log_text() for member in members.values())


def test_a_model_that_comes_back_serves_the_request(moru, fleet):
    failures = iter([(503, "{}", {}), (429, "{}", {"Retry-After": "1"}), (500, "oops", {})])

    def answer(messages):
        failure = next(failures, None)
        return failure or (GOOD_JUDGEMENT if is_judge(messages) else CODE)
    with ModelServer(answer) as model:
        members = own_fleet(moru, fleet, model)
        answer = moru.post("/api/v1/request", FIBONACCI, to=members["gateway"])
        assert (answer.status_code, answer.json()["worker_output"]) == (200, CODE)
        # What was refined is not refined again: three failures, then refine, author and judge.
        assert len(model.calls) == 6


def test_a_judge_without_json_is_asked_once_more_and_then_the_score_is_null(moru, fleet):
    with ModelServer(lambda messages: "It is quite nice." if is_judge(messages) else CODE) as model:
        members = own_fleet(moru, fleet, model)
        answer = moru.post("/api/v1/request", FIBONACCI, to=members["gateway"])
        assert answer.status_code == 200
        result = answer.json()
        assert (result["worker_output"], result["evaluation_score"], result["evaluation_passed"]) == (CODE, None, None)
        assert result["detail"]["llm_details"]["error"] and result["detail"]["rule_score"] == 1
        assert sum(is_judge(call["messages"]) for call in model.calls) == 2
        assert moru.metric(members["evaluator"], "agent_judgement_failures_total") == 1
        row = moru.row("SELECT * FROM execution_logs WHERE request_id = %s", [result["request_id"]])
        assert (row["evaluation_score"], row["evaluation_passed"], row["error_message"]) == (None, None, None)


def test_a_judge_that_gives_json_at_the_second_try_counts(moru, fleet):
    answers = iter(["no", f"Here you are:\n```json\n{GOOD_JUDGEMENT}\n```"])
    with ModelServer(lambda messages: next(answers) if is_judge(messages) else CODE) as model:
        members = own_fleet(moru, fleet, model)
        result = moru.post("/api/v1/request", FIBONACCI, to=members["gateway"]).json()
        assert (result["evaluation_score"], result["evaluation_passed"]) == (0.874, True)


def test_a_judge_out_of_range_has_failed(moru, fleet):
    bad = json.dumps({"relevance": 80, "quality": 7, "safety": 9, "reasoning": "fine"})
    with ModelServer(lambda messages: bad if is_judge(messages) else CODE) as model:
        members = own_fleet(moru, fleet, model)
        result = moru.post("/api/v1/request", FIBONACCI, to=members["gateway"]).json()
        assert result["evaluation_score"] is None and "relevance" in result["detail"]["llm_details"]["error"]


def test_a_nul_in_a_models_answer_is_replaced_and_told(moru, fleet):
    raw = '{"choices": [{"message": {"content": "print(\\"a\\u0000b\\")  # enough of it"}, "finish_reason": "stop"}]}'
    with ModelServer(lambda messages: GOOD_JUDGEMENT if is_judge(messages) else (200, raw, {})) as model:
        members = own_fleet(moru, fleet, model)
        result = moru.post("/api/v1/request", FIBONACCI, to=members["gateway"]).json()
        assert result["worker_output"] == 'print("a\ufffdb")  # enough of it'
        assert result["detail"]["replaced_characters"] == 1


def test_a_call_that_takes_too_long_gets_504_and_the_work_goes_on(moru, fleet):
    release = threading.Event()

    def slow(messages):
        release.wait(20)
        return GOOD_JUDGEMENT if is_judge(messages) else CODE
    with ModelServer(slow) as model:
        members = own_fleet(moru, fleet, model, REQUEST_TIMEOUT_MS=300)
        answer = moru.post("/api/v1/request", FIBONACCI, to=members["gateway"])
        assert answer.status_code == 504
        request_id = answer.json()["request_id"]
        assert moru.get(f"/api/v1/request/{request_id}", to=members["gateway"]).json()["status"] == "queued"
        release.set()
        moru.wait(lambda: moru.get(f"/api/v1/request/{request_id}", to=members["gateway"]).json()["status"] == "succeeded")


def test_replies_are_a_shortcut_and_postgres_is_the_truth(moru, fleet):
    """The recorder cannot reach the gateway's partition: the caller is answered all the same."""
    moru.kill(fleet.recorder)
    call = moru.background(moru.post, "/api/v1/request", FIBONACCI)
    request_id = moru.consume("evaluations")[0].key
    moru.execute("INSERT INTO results (request_id, run, tenant, lane, purpose, task_type, user_input, output, status) "
                 "VALUES (%s, 1, 'default', 'high', 'serve', 'code_generation', 'mine', 'by hand', 'succeeded')",
                 [request_id])
    assert call.result().json()["worker_output"] == "by hand"
    moru.restart(fleet.recorder)
    # The row that was first stays, whatever comes later.
    moru.wait(lambda: moru.metric(fleet.recorder, "agent_consumer_lag") == 0)
    assert moru.get(f"/api/v1/request/{request_id}").json()["worker_output"] == "by hand"


def test_postgres_away_is_degraded_and_requests_wait_for_it(moru, fleet):
    moru.postgres.stop()
    moru.wait(lambda: moru.get("/ready").json().get("status") == "degraded")
    assert moru.get("/ready").status_code == 200
    assert moru.get("/ready", to=fleet.generator).status_code == 503
    answer = moru.get(f"/api/v1/request/{uuid.uuid4()}")
    assert answer.status_code == 503 and answer.headers["retry-after"]
    call = moru.background(moru.post, "/api/v1/request", FIBONACCI)
    moru.consume("requests")
    moru.postgres.start()
    assert call.result().status_code == 200


def test_kafka_away_is_told_at_once(moru, fleet):
    assert moru.post("/api/v1/request", FIBONACCI).status_code == 200
    moru.kafka.kill()
    moru.wait(lambda: moru.get("/ready").status_code == 503)
    answer = moru.post("/api/v1/request", FIBONACCI)
    assert answer.status_code == 503 and answer.headers["retry-after"]
    assert "Kafka" in moru.get("/ready").json()["detail"]
    moru.kafka.start()
    moru.wait(lambda: moru.get("/ready").status_code == 200)
    assert moru.post("/api/v1/request", FIBONACCI, timeout=60).status_code == 200


def test_a_request_that_kafka_did_not_acknowledge_is_told(moru, fleet):
    gateway = moru.start("gateway", KAFKA_CONFIG_MESSAGE_TIMEOUT_MS=1500)
    assert moru.post("/api/v1/request", FIBONACCI, to=gateway).status_code == 200
    moru.kafka.pause()
    calls = [moru.background(moru.post, "/api/v1/request", FIBONACCI, to=gateway) for _ in range(5)]
    answers = [call.result() for call in calls]
    moru.kafka.resume()
    assert {answer.status_code for answer in answers} == {503}
    assert all(answer.headers["retry-after"] and answer.json()["request_id"] for answer in answers)
    moru.wait(lambda: moru.get("/ready", to=gateway).status_code == 200)
    assert moru.post("/api/v1/request", FIBONACCI, to=gateway).status_code == 200


def test_processes_wait_for_kafka_and_postgres_at_start(moru, fleet):
    fleet.stop()
    moru.kafka.stop()
    moru.postgres.stop()
    members = {name: moru.start(name, ready=False) for name in ("gateway", "generator", "evaluator", "recorder")}
    moru.wait(lambda: moru.log_event(members["generator"], "postgres_waiting"))
    for member in members.values():
        moru.wait(lambda: len(moru.log_event(member, "kafka_waiting")) >= 2)
        assert moru.get("/health", to=member).status_code == 200
        assert moru.get("/ready", to=member).status_code == 503
        times = [line["ts"] for line in moru.log_event(member, "kafka_waiting")]
        assert len({time[:19] for time in times}) >= len(times) - 1  # once a second at most
    moru.postgres.start()
    moru.kafka.start(ready=False)
    for member in members.values():
        member.wait_ready()
    assert moru.post("/api/v1/request", FIBONACCI, to=members["gateway"]).status_code == 200


def test_a_second_generator_takes_over_partitions_and_gives_them_back(moru, fleet):
    second = moru.start("generator")
    moru.wait(lambda: moru.log_event(second, "kafka_rebalance", what="assigned"))
    calls = [moru.background(moru.post, "/api/v1/request", FIBONACCI, timeout=60) for _ in range(100)]
    assert {call.result().status_code for call in calls} == {200}
    moru.wait(lambda: moru.metric(second, "agent_requests_total", status="succeeded") > 0)
    assert moru.stop(second) == 0
    calls = [moru.background(moru.post, "/api/v1/request", FIBONACCI, timeout=60) for _ in range(50)]
    assert {call.result().status_code for call in calls} == {200}


def test_bulk_in_the_low_lane_delays_no_waiting_caller(moru, fleet):
    """The model answers bulk only when it is told to: a caller is served beside a full house of bulk."""
    release = threading.Event()

    def slow_for_bulk(messages):
        if "bulk" in messages[-1]["content"]:
            release.wait(25)
        return GOOD_JUDGEMENT if is_judge(messages) else CODE
    with ModelServer(slow_for_bulk) as model:
        members = own_fleet(moru, fleet, model, WORKER_IN_FLIGHT_MAX=32)
        for number in range(100):
            message = request_message(lane="low", user_input=f"bulk {number}")
            moru.produce("requests.low", message, key=message["request_id"])
        moru.wait(lambda: moru.metric(members["generator"], "agent_jobs_in_flight", lane="low") == 20)
        assert moru.post("/api/v1/request", FIBONACCI, to=members["gateway"]).status_code == 200
        assert moru.metric(members["generator"], "agent_jobs_in_flight", lane="low") == 20
        release.set()


def test_a_client_that_leaves_is_forgotten(moru, fleet):
    release = threading.Event()

    def slow(messages):
        release.wait(20)
        return GOOD_JUDGEMENT if is_judge(messages) else CODE
    with ModelServer(slow) as model:
        members = own_fleet(moru, fleet, model)
        try:
            moru.post("/api/v1/request", FIBONACCI, to=members["gateway"], timeout=1)
        except httpx.TimeoutException:
            pass
        moru.wait(lambda: moru.metric(members["gateway"], "agent_requests_total", status="left") == 1)
        assert moru.metric(members["gateway"], "agent_requests_waiting") == 0
        release.set()
        assert moru.get("/health", to=members["gateway"]).status_code == 200
