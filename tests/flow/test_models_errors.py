"""Each way in which a model may fail, by the simulator: what the caller sees and which rows are kept, as the table in
docs/models.md says."""

import pytest

from simulator import Simulator
from test_failures import own_fleet
from test_request import FIBONACCI

TRIES = 2
STREAM = {"LLM_STREAM": "true"}
NO_FIRST_BYTE = {**STREAM, "LLM_TIMEOUT_MS": 20_000, "LLM_FIRST_BYTE_TIMEOUT_MS": 300}


def failing_fleet(moru, fleet, sim, **settings):
    """Two tries of 600 ms at most, so that what hangs is known soon."""
    return own_fleet(moru, fleet, sim, **{"LLM_TRIES_MAX": TRIES, "LLM_TIMEOUT_MS": 600, **settings})


def rows_of(moru, request_id, calls):
    """The rows that are kept of a request: its log, its result, and its calls of models once there are so many."""
    log = moru.row("SELECT * FROM execution_logs WHERE request_id = %s", [request_id])
    result = moru.row("SELECT * FROM results WHERE request_id = %s", [request_id])
    kept = moru.wait(lambda: len(rows := moru.rows(
        "SELECT * FROM model_calls WHERE request_id = %s ORDER BY ended_at, number", [request_id])) >= calls and rows)
    return log, result, kept


@pytest.mark.parametrize("control, settings, tries, outcome, said", [
    ({"error_share": 1, "error_status": 400}, {}, 1, "request", "400"),
    ({"error_share": 1, "error_status": 401}, {}, 1, "unauthorized", "401"),
    ({"error_share": 1, "error_status": 403}, {}, 1, "unauthorized", "403"),
    ({"context_share": 1}, {}, 1, "context_too_long", "400"),
    ({"rate_limit_share": 1, "retry_after_s": 1}, {}, TRIES, "rate_limited", "429"),
    ({"rate_limit_share": 1, "retry_after_s": -1}, {}, TRIES, "rate_limited", "429"),
    ({"error_share": 1, "error_status": 500}, {}, TRIES, "server", "500"),
    ({"error_share": 1, "error_status": 503}, {}, TRIES, "server", "503"),
    ({"hang_share": 1}, {}, TRIES, "timeout", "in time"),
    ({"slow_share": 1, "slow_ms": 5000}, {}, TRIES, "timeout", "in time"),
    ({"slow_share": 1, "slow_ms": 20_000}, NO_FIRST_BYTE, TRIES, "timeout", "did not begin to answer"),
    ({"cut_share": 1}, {}, TRIES, "cut", ""),
    ({"cut_body_share": 1}, {}, TRIES, "cut", ""),
    ({"cut_body_share": 1}, STREAM, TRIES, "cut", ""),
    ({"half_json_share": 1}, {}, TRIES, "invalid_answer", "JSON"),
    ({"half_json_share": 1}, STREAM, TRIES, "cut", "no end"),
    ({"dead_ms": 60_000}, {}, TRIES, "unreachable", ""),
    ({"refusal_share": 1}, {}, 1, "refused", "refused"),
    ({"refusal_share": 1}, STREAM, 1, "refused", "refused"),
    ({"filter_share": 1}, {}, 1, "refused", "filter"),
], ids=["400", "401", "403", "context-too-long", "429-retry-after", "429", "500", "503", "hang", "slow-first-byte",
        "slow-first-byte-of-a-stream", "cut", "cut-in-the-body", "cut-stream", "half-json", "stream-without-its-end",
        "no-connection", "refusal", "streamed-refusal", "filter"])
def test_a_failure_is_told_to_who_waits_and_kept(moru, fleet, control, settings, tries, outcome, said):
    with Simulator() as sim:
        members = failing_fleet(moru, fleet, sim, **settings)
        sim.control(**control)
        answer = moru.post("/api/v1/request", FIBONACCI, to=members["gateway"])
        assert answer.status_code == 502, answer.text
        problem = answer.json()
        assert answer.headers["content-type"] == "application/problem+json" and said in problem["detail"]
        log, result, calls = rows_of(moru, problem["request_id"], tries)
        assert log["error_message"] == problem["detail"] and log["worker_output"] is None
        assert (result["status"], result["error"], result["output"]) == ("failed", problem["detail"], None)
        assert [(call["purpose"], call["outcome"], call["number"]) for call in calls] == \
            [("refine", outcome, number) for number in range(1, tries + 1)]
        # Who asks later is told the same, and the message can be redriven.
        later = moru.get(f"/api/v1/request/{problem['request_id']}", to=members["gateway"]).json()
        assert (later["status"], later["error"]) == ("failed", problem["detail"])
        assert moru.consume("dead-letters", lambda message: message.key == problem["request_id"])


@pytest.mark.parametrize("control, output, cut", [
    ({"empty_share": 1}, "", False),
    ({"length_share": 1}, "def", True),
], ids=["empty", "cut-by-length"])
@pytest.mark.parametrize("settings", [{}, STREAM], ids=["whole", "streamed"])
def test_an_answer_that_is_empty_or_cut_by_length_is_kept(moru, fleet, control, output, cut, settings):
    with Simulator(fates_of="author", **control) as sim:
        members = failing_fleet(moru, fleet, sim, **settings)
        answer = moru.post("/api/v1/request", FIBONACCI, to=members["gateway"])
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert told["worker_output"] == "" if not output else output in told["worker_output"]
        assert told["detail"].get("output_cut", False) is cut and told["evaluation_score"] is not None
        log, result, calls = rows_of(moru, told["request_id"], 3)
        assert (log["worker_output"], log["error_message"]) == (told["worker_output"], None)
        assert (result["status"], result["output"], result["detail"]) == ("succeeded", log["worker_output"], told["detail"])
        assert [(call["purpose"], call["outcome"]) for call in calls] == \
            [("refine", "ok"), ("generate", "ok"), ("judge", "ok")]


@pytest.mark.parametrize("control, outcomes", [
    ({"refusal_share": 1}, ["refused"]),
    ({"bad_json_share": 1}, ["ok", "ok"]),
], ids=["refuses", "twice-no-json"])
def test_without_a_judgement_there_is_a_result_and_no_score(moru, fleet, control, outcomes):
    with Simulator(fates_of="judge", **control) as sim:
        members = failing_fleet(moru, fleet, sim)
        answer = moru.post("/api/v1/request", FIBONACCI, to=members["gateway"])
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert told["worker_output"] and told["evaluation_score"] is None and told["detail"]["llm_details"]["error"]
        log, result, calls = rows_of(moru, told["request_id"], 2 + len(outcomes))
        assert (log["evaluation_score"], log["evaluation_passed"], log["error_message"]) == (None, None, None)
        assert (result["status"], result["score"]) == ("succeeded", None)
        assert [call["outcome"] for call in calls if call["purpose"] == "judge"] == outcomes


def test_a_judge_that_may_be_back_fails_the_job_and_what_was_generated_is_kept(moru, fleet):
    with Simulator(fates_of="judge", error_share=1, error_status=503) as sim:
        members = failing_fleet(moru, fleet, sim)
        answer = moru.post("/api/v1/request", FIBONACCI, to=members["gateway"])
        assert answer.status_code == 502 and "503" in answer.json()["detail"]
        log, result, calls = rows_of(moru, answer.json()["request_id"], 2 + TRIES)
        assert result["status"] == "failed" and log["error_message"] == answer.json()["detail"]
        assert [(call["purpose"], call["outcome"]) for call in calls] == \
            [("refine", "ok"), ("generate", "ok"), ("judge", "server"), ("judge", "server")]


def test_a_long_retry_after_is_waited_for_on_the_topic_deferred(moru, fleet):
    """The caller's patience ends before; the work does not, and neither is its first try forgotten."""
    with Simulator(rate_limit_share=1, retry_after_s=6) as sim:
        members = failing_fleet(moru, fleet, sim, REQUEST_TIMEOUT_MS=1000, LLM_TRIES_MAX=4)
        answer = moru.post("/api/v1/request", FIBONACCI, to=members["gateway"])
        assert answer.status_code == 504
        request_id = answer.json()["request_id"]
        moru.consume("deferred", lambda message: message.key == request_id)
        assert sim.stats()["calls"] == 1
        sim.control(rate_limit_share=0)
        moru.wait(lambda: moru.row("SELECT status FROM results WHERE request_id = %s", [request_id]))
        log, result, calls = rows_of(moru, request_id, 4)
        assert result["status"] == "succeeded" and log["error_message"] is None
        assert [(call["purpose"], call["outcome"]) for call in calls] == \
            [("refine", "rate_limited"), ("refine", "ok"), ("generate", "ok"), ("judge", "ok")]
