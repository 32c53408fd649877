"""Calls of models that fail: what a caller sees, which row is kept, and that an outage loses nothing."""

import json
import threading
import time

import pytest

from model_server import ModelServer, is_judge
from test_bad_input import assert_problem
from test_failures import CODE, GOOD_JUDGEMENT, own_fleet
from test_request import FIBONACCI, request_message

ERROR = json.dumps({"error": {"message": "that did not work"}})
EMPTY = ""


def whole(message, finish="stop"):
    return json.dumps({"choices": [{"message": {"role": "assistant", **message}, "finish_reason": finish}]})


def row_of(moru, request_id):
    return moru.row("SELECT * FROM execution_logs WHERE request_id = %s", [request_id])


def assert_all_served(moru, ids):
    """Waits until each has its result."""
    query = ("SELECT id, status, error FROM unnest(%s::uuid[]) AS id LEFT JOIN results ON request_id = id "
             "WHERE status IS DISTINCT FROM 'succeeded'")
    moru.wait(lambda: all(row["status"] for row in moru.rows(query, [ids])))
    assert moru.rows(query, [ids]) == []


@pytest.mark.parametrize("failure, tries, reason", [
    ((400, ERROR, {}), 1, "400"),
    ((401, ERROR, {}), 1, "401"),
    ((403, ERROR, {}), 1, "403"),
    ((429, ERROR, {}), 3, "429"),
    ((429, ERROR, {"Retry-After": "1"}), 3, "429"),
    ((500, ERROR, {}), 3, "500"),
    ((503, ERROR, {}), 3, "503"),
    ((200, '{"choices": [{"mess', {}), 3, "JSON"),
    ((200, whole({"content": None, "refusal": "I will not."}), {}), 1, "refused"),
], ids=["400", "401", "403", "429", "429-retry-after", "500", "503", "half-json", "refusal"])
def test_a_failure_is_tried_as_often_as_it_may_pass_and_then_told(moru, fleet, failure, tries, reason):
    with ModelServer(lambda messages: failure) as model:
        members = own_fleet(moru, fleet, model, LLM_TRIES_MAX=3)
        answer = moru.post("/api/v1/request", FIBONACCI, to=members["gateway"])
        assert answer.status_code == 502, answer.text
        row = row_of(moru, answer.json()["request_id"])
        assert row["error_message"] == answer.json()["detail"] and reason in row["error_message"]
        assert len(model.calls) == tries


def test_an_empty_answer_is_an_output_and_one_cut_by_length_is_kept_and_told(moru, fleet):
    answers = iter([whole({"content": "refined"}), whole({"content": ""}),
                    whole({"content": "refined"}), whole({"content": CODE}, "length")])
    with ModelServer(lambda messages: GOOD_JUDGEMENT if is_judge(messages) else (200, next(answers), {})) as model:
        members = own_fleet(moru, fleet, model)
        empty = moru.post("/api/v1/request", FIBONACCI, to=members["gateway"]).json()
        assert empty["worker_output"] == EMPTY and "output_cut" not in empty["detail"]
        cut = moru.post("/api/v1/request", FIBONACCI, to=members["gateway"]).json()
        assert cut["worker_output"] == CODE and cut["detail"]["output_cut"] is True


def test_one_budget_holds_for_all_calls_of_a_request(moru, fleet):
    """Refine takes two tries of three, so that the author has one."""
    answers = iter([(503, ERROR, {}), "refined", (503, ERROR, {})])
    with ModelServer(lambda messages: next(answers, CODE)) as model:
        members = own_fleet(moru, fleet, model, LLM_TRIES_MAX=3)
        assert moru.post("/api/v1/request", FIBONACCI, to=members["gateway"]).status_code == 502
        assert len(model.calls) == 3


def test_a_fallback_serves_while_the_first_is_away(moru, fleet):
    with ModelServer(lambda messages: GOOD_JUDGEMENT if is_judge(messages) else CODE) as model:
        members = own_fleet(moru, fleet, None, LLM_FALLBACKS=f"spare=openai:small@{model.url}",
                            OPENAI_API_KEY="sk-of-the-spare")
        for _ in range(3):
            answer = moru.post("/api/v1/request", FIBONACCI, to=members["gateway"])
            assert (answer.status_code, answer.json()["worker_output"]) == (200, CODE)
        assert moru.metric(members["generator"], "agent_model_fallbacks_total", target="spare") >= 6
        assert moru.metric(members["generator"], "agent_model_breaker_state", target="gpt-4o-mini") > 0
        assert moru.log_event(members["generator"], "model_breaker_opened", target="gpt-4o-mini")
        assert {call["model"] for call in model.calls} == {"small"}
        assert all("sk-of-the-spare" not in member.log_text() for member in members.values())


def test_a_request_names_one_of_the_configured_models(moru, fleet):
    with ModelServer(lambda messages: GOOD_JUDGEMENT if is_judge(messages) else CODE) as model:
        members = own_fleet(moru, fleet, model, LLM_MODELS="big=openai:large@" + model.url,
                            LLM_JUDGE_MODEL="judge=openai:strict@" + model.url)
        body = {**FIBONACCI, "model": "big"}
        assert moru.post("/api/v1/request", body, to=members["gateway"]).status_code == 200
        assert [call["model"] for call in model.calls] == ["large", "large", "strict"]


def is_unknown_model(answer, names):
    return assert_problem(answer, 422)["detail"] == f"The model is not known. Known models: {names}."


def test_the_gateway_refuses_a_model_that_is_not_configured(moru, fleet):
    members = own_fleet(moru, fleet, None, LLM_MODELS="big=openai:large@http://127.0.0.1:9/v1",
                        LLM_FALLBACKS="spare=openai:small@http://127.0.0.1:9/v1")
    gateway, names = members["gateway"], "gpt-4o-mini, big, spare"
    body = {**FIBONACCI, "model": "none"}
    assert is_unknown_model(moru.post("/api/v1/request", body, to=gateway), names)
    assert is_unknown_model(moru.post("/api/v1/requests", body, to=gateway), names)
    assert is_unknown_model(moru.post("/api/v1/requests", body, {"Idempotency-Key": "unknown"}, to=gateway), names)
    assert moru.metric(gateway, "agent_requests_total", status="rejected") == 3
    lines = "".join(json.dumps({**FIBONACCI, "model": model}) + "\n" for model in ("big", "none", "spare", "gpt-4o-mini", None))
    batch = moru.post("/api/v1/requests:batch", lines, {"Content-Type": "application/x-ndjson"}, to=gateway).json()
    assert (batch["accepted"], batch["rejected"]) == (4, 1)
    assert batch["errors"] == [{"line": 2, "error": f"The model is not known. Known models: {names}."}]
    published = moru.consume("requests", count=4)
    assert {message.value.get("requested_model") for message in published} == {"big", "spare", "gpt-4o-mini", None}


def test_the_local_stacks_gateway_knows_the_one_model_that_there_is(moru, fleet):
    assert is_unknown_model(moru.post("/api/v1/request", {**FIBONACCI, "model": "none"}), "mock")
    assert moru.post("/api/v1/request", {**FIBONACCI, "model": "mock"}).status_code == 200


@pytest.mark.parametrize("settings, name", [
    ({"LLM_API_KEY": "sk-of-gemini"}, "gemini-2.0-flash"),
    ({"LLM_PROVIDER": "gemini"}, "gemini-2.0-flash"),
    ({"LLM_PROVIDER": "anthropic", "LLM_MODEL": "claude-9"}, "claude-9"),
    ({"LLM_BASE_URL": "http://127.0.0.1:9/v1"}, "gpt-4o-mini"),
], ids=["key", "provider", "model", "url"])
def test_the_gateway_knows_the_first_model_from_what_chooses_it(moru, fleet, settings, name):
    gateway = moru.start("gateway", **settings)
    assert is_unknown_model(moru.post("/api/v1/requests", {**FIBONACCI, "model": "none"}, to=gateway), name)
    assert "sk-of-gemini" not in gateway.log_text()


def test_the_generator_refuses_a_model_that_the_gateway_does_not_know_of(moru, fleet):
    with ModelServer(lambda messages: GOOD_JUDGEMENT if is_judge(messages) else CODE) as model:
        own_fleet(moru, fleet, model, LLM_MODELS="big=openai:large@" + model.url)
        gateway = moru.start("gateway", LLM_MODELS="*")
        assert moru.post("/api/v1/request", {**FIBONACCI, "model": "big"}, to=gateway).status_code == 200
        answer = moru.post("/api/v1/request", {**FIBONACCI, "model": "none"}, to=gateway)
        assert answer.status_code == 502 and "there are gpt-4o-mini, big" in answer.json()["detail"]
        row = row_of(moru, answer.json()["request_id"])
        assert row["error_message"] == answer.json()["detail"]
        moru.consume("dead-letters", lambda message: message.key == answer.json()["request_id"])


def test_work_that_nobody_waits_for_outlives_an_outage(moru, fleet):
    """The model dies under load; what comes meanwhile stays in Kafka, and all of it is served when it is back."""
    dead = threading.Event()

    def answer(messages):
        if dead.is_set():
            return 503, ERROR, {}
        return GOOD_JUDGEMENT if is_judge(messages) else CODE
    with ModelServer(answer) as model:
        members = own_fleet(moru, fleet, model)
        generator = members["generator"]
        ids = []

        def send(count):
            for _ in range(count):
                message = request_message(lane="normal", user_input=f"Write function number {len(ids)}")
                moru.produce("requests.normal", message, key=message["request_id"])
                ids.append(message["request_id"])
        send(30)
        assert_all_served(moru, ids)
        dead.set()
        send(30)
        moru.wait(lambda: moru.metric(generator, "agent_model_breaker_state") > 0)
        send(100)
        moru.wait(lambda: "away" in moru.get("/ready", to=generator).json()["checks"]["model"])
        assert moru.get("/ready", to=generator).json()["status"] == "degraded"
        # Only probes reach it, one at a time, and who waits is told.
        before, began = len(model.calls), time.monotonic()
        waiting = moru.post("/api/v1/request", FIBONACCI, to=members["gateway"])
        assert waiting.status_code == 502 and waiting.json()["request_id"]
        assert len(model.calls) - before <= 4 * (time.monotonic() - began) + 4
        dead.clear()
        moru.wait(lambda: moru.metric(generator, "agent_model_breaker_state") == 0)
        assert_all_served(moru, ids)
        assert moru.metric(generator, "agent_model_breaker_transitions_total", to="closed") >= 1


def test_a_named_model_that_is_away_does_not_hold_up_the_work_of_others(moru, fleet):
    with ModelServer(lambda messages: GOOD_JUDGEMENT if is_judge(messages) else CODE) as model:
        members = own_fleet(moru, fleet, model, LLM_MODELS="gone=openai:large@http://127.0.0.1:9/v1")
        for number in range(60):
            message = request_message(lane="normal", requested_model="gone", user_input=f"Write function {number}")
            moru.produce("requests.normal", message, key=message["request_id"])
        moru.wait(lambda: moru.metric(members["generator"], "agent_model_away_waiting") == 16)
        moru.wait(lambda: moru.metric(members["generator"], "agent_jobs_deferred_total") == 60 - 16)
        message = request_message(lane="normal")
        moru.produce("requests.normal", message, key=message["request_id"])
        moru.wait(lambda: row_of(moru, message["request_id"]))
        assert "away" not in moru.get("/ready", to=members["generator"]).json()["checks"]["model"]


def test_a_request_refined_by_half_stands_as_it_was(moru, fleet):
    answers = iter([whole({"content": "Write half of"}, "length")])
    with ModelServer(lambda messages: GOOD_JUDGEMENT if is_judge(messages) else
                     (200, next(answers, whole({"content": CODE})), {})) as model:
        members = own_fleet(moru, fleet, model)
        answer = moru.post("/api/v1/request", FIBONACCI, to=members["gateway"]).json()
        assert answer["refined_input"] == FIBONACCI["user_input"]


@pytest.mark.parametrize("settings, reason", [
    ({"LLM_PROVIDER": "nobody"}, "LLM_PROVIDER"),
    ({"LLM_FALLBACKS": "spare"}, "LLM_FALLBACKS"),
    ({"LLM_MODELS": "a=openai:x@http://h/v1,a=openai:y@http://h/v1"}, "LLM_MODELS"),
])
def test_a_wrong_setting_is_one_line_and_exit_code_2(moru, fleet, settings, reason):
    for program in ("generator", "gateway"):
        ended = moru.run(program, **{"LLM_MODELS": "", "REQUEST_ID_KEY": "22" * 32, **settings})
        lines = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
        assert ended.returncode == 2 and len(lines) == 1 and reason in lines[0]
