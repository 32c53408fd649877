"""Asynchronous submissions: accepted means kept, waited for as long as asked, and one piece of work for one key."""

import datetime
import json
import threading
import uuid

import pytest

from model_server import ModelServer, is_judge
from test_bad_input import BAD_BODIES, assert_problem
from test_failures import CODE, GOOD_JUDGEMENT, own_fleet
from test_request import FIBONACCI, RESULT_FIELDS

PATH = "/api/v1/requests"


def submit(moru, body=FIBONACCI, to=None, key=None, prefer=None):
    headers = {name: value for name, value in (("Idempotency-Key", key), ("Prefer", prefer)) if value is not None}
    return moru.post(PATH, body, headers=headers, to=to)


def accepted_id(answer):
    assert answer.status_code == 202, answer.text
    return answer.json()["request_id"]


def row_of(moru, request_id):
    return moru.row("SELECT * FROM execution_logs WHERE request_id = %s", [request_id])


def assert_unavailable(answer):
    problem = assert_problem(answer, 503)
    assert int(answer.headers["retry-after"]) >= 1
    return problem


def start_gateway(moru, **settings):
    """One more gateway, with Postgres there too: without it it is ready, but takes no keys."""
    gateway = moru.start("gateway", **settings)
    moru.wait(lambda: moru.get("/ready", to=gateway).json()["status"] == "ready")
    return gateway


class HeldModel(ModelServer):
    """A model that answers once it is released."""

    def __init__(self):
        self.release = threading.Event()
        super().__init__(self.answer_when_released)

    def answer_when_released(self, messages):
        self.release.wait(20)
        return GOOD_JUDGEMENT if is_judge(messages) else CODE

    def __exit__(self, *exception):
        self.release.set()
        super().__exit__(*exception)


def test_a_submission_is_accepted_and_then_recorded(moru, fleet):
    answer = submit(moru)
    request_id = accepted_id(answer)
    self_link = f"{PATH}/{request_id}"
    assert answer.json() == {"request_id": request_id, "status": "queued", "links": {"self": self_link}}
    assert answer.headers["location"] == self_link
    assert "preference-applied" not in answer.headers
    assert uuid.UUID(request_id).version == 7
    row = moru.wait(lambda: row_of(moru, request_id))
    assert (row["user_input"], row["evaluation_score"]) == (FIBONACCI["user_input"], 0.874)
    result = moru.get(self_link).json()
    assert set(result) == RESULT_FIELDS and result["status"] == "succeeded"
    assert moru.get(f"/api/v1/request/{request_id}").json() == result


def test_who_waits_takes_the_high_lane_and_who_does_not_the_normal_one(moru, fleet):
    plain = accepted_id(submit(moru))
    waited = submit(moru, prefer="wait=20").json()["request_id"]
    seen = {request_id: moru.consume("requests", lambda message: message.key == request_id)[0]
            for request_id in (plain, waited)}
    assert [(seen[request_id].topic, seen[request_id].value["lane"], "reply-to" in seen[request_id].headers)
            for request_id in (plain, waited)] == [("requests.normal", "normal", False), ("requests.high", "high", True)]


@pytest.mark.parametrize("prefer, applied", [
    ("wait=20", "wait=20"), ("respond-async, wait=20", "wait=20"), ('WAIT = "15"; x=y, handling=lenient', "wait=15"),
    ('note="a, wait=1", wait=20', "wait=20"), ("wait=20, wait=1", "wait=20"), ("wait=9999999999999999999", "wait=600"),
])
def test_prefer_wait_answers_with_the_result(moru, fleet, prefer, applied):
    answer = submit(moru, prefer=prefer)
    assert (answer.status_code, answer.headers["preference-applied"]) == (200, applied)
    assert answer.json()["status"] == "succeeded" and "def fibonacci" in answer.json()["worker_output"]
    assert row_of(moru, answer.json()["request_id"])["worker_output"] == answer.json()["worker_output"]


@pytest.mark.parametrize("prefer", ["wait=0", "wait", "wait=soon", "wait=-1", "wait=1.5", "respond-async", "waiting=5", ""])
def test_a_preference_without_a_wait_is_passed_over(moru, fleet, prefer):
    answer = submit(moru, prefer=prefer)
    accepted_id(answer)
    assert "preference-applied" not in answer.headers


def test_a_wait_that_runs_out_is_accepted_and_the_work_goes_on(moru, fleet):
    with HeldModel() as model:
        members = own_fleet(moru, fleet, model)
        answer = submit(moru, to=members["gateway"], prefer="wait=1")
        request_id = accepted_id(answer)
        assert answer.headers["preference-applied"] == "wait=1"
        assert answer.headers["location"] == f"{PATH}/{request_id}"
        assert moru.get(f"{PATH}/{request_id}", to=members["gateway"]).json()["status"] == "queued"
        model.release.set()
        moru.wait(lambda: row_of(moru, request_id))
        assert moru.metric(members["gateway"], "agent_requests_waiting") == 0


def test_work_that_failed_is_a_result_to_ask_for_and_502_only_for_the_synchronous_call(moru, fleet):
    members = own_fleet(moru, fleet, None, LLM_TRIES_MAX=1)
    answer = submit(moru, to=members["gateway"], key="fails", prefer="wait=20")
    assert answer.status_code == 200
    assert answer.json()["status"] == "failed" and answer.json()["error"]
    again = moru.post("/api/v1/request", FIBONACCI, headers={"Idempotency-Key": "fails"}, to=members["gateway"])
    assert assert_problem(again, 502)["request_id"] == answer.json()["request_id"]


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_a_bad_body_is_refused(moru, fleet, body):
    assert assert_problem(moru.post(PATH, body), 400)["errors"]


def test_an_unknown_task_type_is_refused_before_its_key_is_taken(moru, fleet):
    body = {"user_input": "x", "task_type": "not_yet_known"}
    assert_problem(submit(moru, body, key="early"), 422)
    moru.execute("INSERT INTO prompts (task_type, content) VALUES ('not_yet_known', 'just say banana to everything')")
    accepted_id(submit(moru, {**body, "user_input": "y"}, key="early"))


def test_the_same_key_and_body_are_one_request_on_any_gateway(moru, fleet):
    other = start_gateway(moru)
    first = accepted_id(submit(moru, key="one"))
    assert accepted_id(submit(moru, to=other, key='"one"')) == first
    assert accepted_id(submit(moru, '{ "task_type": "code_generation",\n"user_input": "Write a fibonacci function" }',
                              key="one")) == first
    waited = moru.post("/api/v1/request", FIBONACCI, headers={"Idempotency-Key": "one"}, to=other)
    assert (waited.status_code, waited.json()["request_id"]) == (200, first)
    assert accepted_id(submit(moru, key="two")) != first
    moru.wait(lambda: moru.metric(fleet.generator, "agent_jobs_in_flight") == 0)
    moru.wait(lambda: moru.metric(fleet.recorder, "agent_consumer_lag") == 0)
    assert len(moru.rows("SELECT FROM execution_logs WHERE request_id = %s", [first])) == 1


def test_a_key_whose_request_has_its_result_is_not_published_again(moru, fleet):
    result = submit(moru, key="done", prefer="wait=20").json()
    again = submit(moru, key="done")
    assert accepted_id(again) == result["request_id"]
    assert again.json()["status"] == "succeeded"
    assert submit(moru, key="done", prefer="wait=20").json() == result
    assert moru.post("/api/v1/request", FIBONACCI, headers={"Idempotency-Key": "done"}).json() == result
    assert len(moru.published("requests", lambda message: message.key == result["request_id"])) == 1


def test_a_key_sent_at_once_to_two_gateways_is_one_piece_of_work(moru, fleet):
    gateways = [fleet.gateway, start_gateway(moru)]
    moru.execute("DELETE FROM execution_logs")
    calls = [(number, moru.background(submit, moru, {**FIBONACCI, "user_input": f"Write number {number}"}, to=gateway,
                                      key=f"at once {number}".replace(" ", "-")))
             for number in range(40) for gateway in gateways * 2]
    ids = {}
    for number, call in calls:
        ids.setdefault(number, set()).add(accepted_id(call.result()))
    assert {len(same) for same in ids.values()} == {1}
    everything = [request_id for same in ids.values() for request_id in same]
    assert len(set(everything)) == 40
    moru.wait(lambda: moru.row("SELECT count(DISTINCT request_id) FROM execution_logs")["count"] == 40)
    moru.wait(lambda: moru.metric(fleet.generator, "agent_jobs_in_flight") == 0)
    moru.wait(lambda: moru.metric(fleet.recorder, "agent_consumer_lag") == 0)
    rows = moru.rows("SELECT request_id::text, user_input FROM execution_logs")
    assert sorted(row["request_id"] for row in rows) == sorted(everything)
    assert {row["user_input"] for row in rows} == {f"Write number {number}" for number in range(40)}


def test_callers_of_one_key_all_get_the_one_result(moru, fleet):
    with HeldModel() as model:
        members = own_fleet(moru, fleet, model)
        gateways = [members["gateway"], start_gateway(moru)]
        calls = [moru.background(moru.post, "/api/v1/request", FIBONACCI, headers={"Idempotency-Key": "all"}, to=gateway)
                 for gateway in gateways * 3]
        moru.wait(lambda: [moru.metric(gateway, "agent_requests_waiting") for gateway in gateways] == [3, 3])
        model.release.set()
        answers = [call.result() for call in calls]
        assert {answer.status_code for answer in answers} == {200}
        assert all(answer.json() == answers[0].json() for answer in answers)


def test_the_same_key_with_another_body_is_refused(moru, fleet):
    accepted_id(submit(moru, key="taken"))
    for other in ({**FIBONACCI, "user_input": "Write a stack"}, {**FIBONACCI, "task_type": "translation"}):
        moru.execute("INSERT INTO prompts (task_type, content) SELECT 'translation', 'just say x to everything' "
                     "WHERE NOT EXISTS (SELECT FROM prompts WHERE task_type = 'translation')")
        assert "Idempotency-Key" in assert_problem(submit(moru, other, key="taken"), 422)["detail"]
        assert_problem(moru.post("/api/v1/request", other, headers={"Idempotency-Key": "taken"}), 422)


def test_a_key_past_its_time_is_free_again(moru, fleet):
    first = accepted_id(submit(moru, key="old"))
    moru.execute("UPDATE idempotency_keys SET expires_at = now() - interval '1 second'")
    second = accepted_id(submit(moru, {**FIBONACCI, "user_input": "Write a stack"}, key="old"))
    assert second != first
    assert accepted_id(submit(moru, {**FIBONACCI, "user_input": "Write a stack"}, key="old")) == second


@pytest.mark.parametrize("key", ["", '""', '"open', 'a b', '"a" b', '"a\\b"', "x" * 256, b"caf\xe9", "a\tb"],
                         ids=["empty", "empty string", "open", "space", "more", "escape", "long", "byte", "tab"])
def test_a_key_of_another_form_is_refused(moru, fleet, key):
    problem = assert_problem(submit(moru, key=key), 400)
    assert "Idempotency-Key" in problem["detail"]


def test_keys_need_postgres_and_other_submissions_do_not(moru, fleet):
    submit(moru)  # its task type has been seen
    moru.postgres.stop()
    moru.wait(lambda: moru.get("/ready").json().get("status") == "degraded")
    assert "Postgres" in assert_unavailable(submit(moru, key="away"))["detail"]
    assert_unavailable(moru.post("/api/v1/request", FIBONACCI, headers={"Idempotency-Key": "away"}))
    request_id = accepted_id(submit(moru))
    moru.postgres.start()
    moru.wait(lambda: moru.get(f"{PATH}/{request_id}").json()["status"] == "succeeded")
    moru.wait(lambda: submit(moru, key="away").status_code == 202)


def test_a_get_right_after_the_202_on_any_gateway_is_never_404(moru, fleet):
    other = start_gateway(moru)
    moru.stop(fleet.recorder)
    for _ in range(20):
        request_id = accepted_id(submit(moru))
        for gateway in (other, fleet.gateway):
            answer = moru.get(f"{PATH}/{request_id}", to=gateway)
            assert (answer.status_code, answer.json()["status"]) == (200, "queued")
            assert (answer.json()["request_id"], set(answer.json())) == (request_id, RESULT_FIELDS)
    moru.restart(fleet.recorder)
    moru.wait(lambda: moru.get(f"{PATH}/{request_id}", to=other).json()["status"] == "succeeded")


def test_an_id_that_no_gateway_issued_is_not_found(moru, fleet):
    request_id = accepted_id(submit(moru))
    for foreign in (uuid.uuid4(), "nonsense", request_id[:-1] + ("0" if request_id[-1] != "0" else "1")):
        assert_problem(moru.get(f"{PATH}/{foreign}"), 404)


def test_kafka_away_is_told_at_once(moru, fleet):
    moru.kafka.kill()
    moru.wait(lambda: moru.get("/ready").status_code == 503)
    for prefer in (None, "wait=20"):
        assert "Kafka" in assert_unavailable(submit(moru, prefer=prefer))["detail"]
    moru.kafka.start()
    request_id = accepted_id(moru.wait(lambda: (answer := submit(moru)).status_code == 202 and answer))
    moru.consume("requests", lambda message: message.key == request_id)


@pytest.mark.parametrize("bound, size", [({"KAFKA_QUEUE_MESSAGES_MAX": 10}, 1), ({"KAFKA_QUEUE_BYTES_MAX": 1 << 24}, 100_000)],
                         ids=["count", "bytes"])
def test_a_full_queue_is_told_at_once(moru, fleet, bound, size):
    gateway = start_gateway(moru, **bound)
    body = {**FIBONACCI, "user_input": "\N{GRINNING FACE}" * size}  # of four bytes each
    accepted_id(submit(moru, to=gateway))
    moru.kafka.pause()
    calls = [moru.background(submit, moru, json.dumps(body, ensure_ascii=False), to=gateway) for _ in range(60)]
    refused = moru.wait(lambda: [call for call in calls if call.done()])
    assert "request_id" not in assert_unavailable(refused[0].result())
    moru.kafka.resume()
    codes = [call.result().status_code for call in calls]
    assert set(codes) == {202, 503}


def test_callers_that_wait_are_bounded(moru, fleet):
    with HeldModel() as model:
        members = own_fleet(moru, fleet, model, REQUESTS_WAITING_MAX=2)
        gateway = members["gateway"]
        calls = [moru.background(moru.post, "/api/v1/request", FIBONACCI, to=gateway),
                 moru.background(submit, moru, to=gateway, prefer="wait=20")]
        moru.wait(lambda: moru.metric(gateway, "agent_requests_waiting") == 2)
        assert_unavailable(moru.post("/api/v1/request", FIBONACCI, to=gateway))
        assert_unavailable(submit(moru, to=gateway, prefer="wait=20"))
        accepted_id(submit(moru, to=gateway))
        model.release.set()
        assert [call.result().status_code for call in calls] == [200, 200]


def insert_log(moru, user_input, created_at, passed=None, error=None, task_type="code_generation"):
    moru.execute("INSERT INTO execution_logs (request_id, task_type, user_input, evaluation_passed, error_message, "
                 "created_at) VALUES (gen_random_uuid(), %s, %s, %s, %s, %s)",
                 [task_type, user_input, passed, error, created_at])


def test_lists_are_narrowed_by_filters(moru, fleet):
    moru.execute("DELETE FROM execution_logs")
    noon = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.timezone.utc)
    insert_log(moru, "a", noon, passed=True)
    insert_log(moru, "b", noon + datetime.timedelta(minutes=1), passed=False)
    insert_log(moru, "c", noon + datetime.timedelta(minutes=2), error="the model broke")
    insert_log(moru, "d", noon + datetime.timedelta(minutes=3), passed=True, task_type="other")

    def listed(**query):
        answer = moru.http.get(fleet.gateway.url + PATH, params=query).json()
        assert answer["total"] == len(answer["items"])
        return "".join(item["user_input"] for item in answer["items"])
    assert listed() == "dcba"
    assert (listed(status="succeeded"), listed(status="failed")) == ("dba", "c")
    assert (listed(passed="true"), listed(passed="false")) == ("da", "b")
    assert listed(task_type="other") == "d"
    minute = int(noon.timestamp() * 1000) + 60_000
    for one_past in ("2026-03-01T12:01:00Z", "2026-03-01T13:01:00+01:00", str(minute)):
        assert (listed(created_after=one_past), listed(created_before=one_past)) == ("dcb", "a")
    assert listed(created_after="2026-03-01T12:01:00.000001Z", created_before=str(minute + 60_001)) == "c"
    assert listed(passed="true", task_type="code_generation", status="succeeded", created_before=minute) == "a"
    page = moru.get(f"{PATH}?passed=true&limit=1").json()
    assert (page["total"], [item["user_input"] for item in page["items"]]) == (2, ["d"])
    page = moru.get(f"{PATH}?passed=true&limit=1&cursor={page['next_cursor']}").json()
    assert (page["total"], [item["user_input"] for item in page["items"]]) == (2, ["a"])


@pytest.mark.parametrize("query", ["status=queued", "status=", "passed=yes", "created_after=yesterday",
                                   "created_before=2026-02-30T00:00:00Z", "created_after=-1", "cursor=0"])
def test_a_filter_that_cannot_be_is_refused(moru, fleet, query):
    errors = assert_problem(moru.get(f"{PATH}?{query}"), 400)["errors"]
    assert [error["pointer"] for error in errors] == ["?" + query.split("=")[0]]


def test_accepted_submissions_are_counted(moru, fleet):
    labels = {"task_type": "code_generation", "status": "accepted"}
    before = moru.metric(fleet.gateway, "agent_requests_total", **labels)
    for _ in range(3):
        submit(moru)
    assert moru.metric(fleet.gateway, "agent_requests_total", **labels) == before + 3
    assert json.loads(moru.get("/openapi.json").text)["paths"][PATH]["post"]
