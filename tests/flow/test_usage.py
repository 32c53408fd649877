"""What calls of models used is kept, a row a try, and can be asked for; a daily budget is never exceeded by any number of
processes."""

import datetime
import json
import threading
import time

import pytest

from model_server import ModelServer, is_judge
from test_failures import CODE, GOOD_JUDGEMENT
from test_request import FIBONACCI

MODEL = "priced-model"
# US dollars for a million tokens; a plain answer of USAGE costs (1500 - 1000) * 2 + 1000 * 1 + 300 * 10 of 10^-6 USD.
PRICE = {"input": 2, "cached": 1, "output": 10}
USAGE = {"prompt_tokens": 1500, "completion_tokens": 300, "prompt_tokens_details": {"cached_tokens": 1000},
         "completion_tokens_details": {"reasoning_tokens": 100}}
COST_NANOUSD = 5_000_000


def answer_well(messages):
    return GOOD_JUDGEMENT if is_judge(messages) else CODE


@pytest.fixture
def prices(tmp_path):
    path = tmp_path / "prices.json"
    path.write_text(json.dumps({f"openai/{MODEL}": PRICE}))
    return path


@pytest.fixture
def clean(moru, fleet):
    """No calls of other tests, and a budget of which nothing is spent."""
    fleet.stop()
    moru.execute("TRUNCATE model_calls, budget_days, budget_leases, results")


def start_all(moru, model, prices, **settings):
    """A fleet whose calls cost what the price file says."""
    common = {"LLM_BASE_URL": model.url, "LLM_MODEL": MODEL, "LLM_PRICES": prices, **settings}
    return {name: moru.start(name, **common) for name in ("gateway", "generator", "evaluator", "recorder")}


def calls_of(moru, request_id):
    return moru.rows("SELECT * FROM model_calls WHERE request_id = %s ORDER BY ended_at, purpose DESC", [request_id])


def spent_nanousd(moru):
    return moru.row("SELECT coalesce(sum(cost_nanousd), 0)::bigint AS spent FROM model_calls")["spent"]


def test_each_call_of_a_request_is_a_row_with_its_tokens_and_cost(moru, clean, prices):
    with ModelServer(answer_well, USAGE) as model:
        members = start_all(moru, model, prices)
        before = time.time()
        answer = moru.post("/api/v1/request", FIBONACCI, to=members["gateway"])
        assert answer.status_code == 200, answer.text
        request_id = answer.json()["request_id"]
        rows = moru.wait(lambda: len(calls := calls_of(moru, request_id)) == 3 and calls)
        assert [row["purpose"] for row in rows] == ["refine", "generate", "judge"]
        for row in rows:
            assert (row["provider"], row["model"], row["outcome"], row["number"]) == ("openai", MODEL, "ok", 1)
            assert (row["task_type"], row["tenant"]) == ("code_generation", "default")
            assert [row[f"{kind}_tokens"] for kind in ("prompt", "cached", "cache_write", "completion", "reasoning")] == \
                [1500, 1000, 0, 300, 100]
            assert row["cost_nanousd"] == COST_NANOUSD
            assert before - 1 < row["ended_at"].timestamp() < time.time() + 1 and 0 <= row["duration_ms"] < 30_000
        generator = members["generator"]
        assert moru.metric(generator, "agent_model_cost_usd_total", model=MODEL) == pytest.approx(0.01)
        assert moru.metric(generator, "agent_model_usage_tokens_total", model=MODEL, kind="cached") == 2000


def test_a_try_that_failed_is_a_row_too(moru, clean, prices):
    failures = iter([(503, "{}", {})])
    with ModelServer(lambda messages: next(failures, None) or answer_well(messages), USAGE) as model:
        members = start_all(moru, model, prices)
        answer = moru.post("/api/v1/request", FIBONACCI, to=members["gateway"])
        assert answer.status_code == 200, answer.text
        rows = moru.wait(lambda: len(calls := calls_of(moru, answer.json()["request_id"])) == 4 and calls)
        assert [row["purpose"] for row in rows] == ["refine", "refine", "generate", "judge"]
        assert rows[0]["outcome"] not in ("ok", "") and rows[0]["cost_nanousd"] == rows[0]["prompt_tokens"] == 0
        assert [row["outcome"] for row in rows[1:]] == ["ok"] * 3


def test_a_model_without_a_price_costs_nothing_and_is_told_once(moru, clean, tmp_path):
    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps({"openai/another": PRICE}))
    with ModelServer(answer_well, USAGE) as model:
        members = start_all(moru, model, prices)
        for _ in range(2):
            assert moru.post("/api/v1/request", FIBONACCI, to=members["gateway"]).status_code == 200
        moru.wait(lambda: moru.row("SELECT count(*) AS calls FROM model_calls")["calls"] == 6)
        assert spent_nanousd(moru) == 0
        assert len(moru.log_event(members["generator"], "model_without_price", model=MODEL)) == 1
        assert moru.metric(members["generator"], "agent_model_unpriced_calls_total", model=MODEL) == 4


def test_a_bad_price_file_is_one_line_and_exit_code_2(moru, tmp_path):
    prices = tmp_path / "prices.json"
    prices.write_text('{"openai/gpt": {"input": "cheap", "output": 1}}')
    ended = moru.run("generator", LLM_PRICES=prices, LISTEN_PORT=0)
    assert ended.returncode == 2
    said = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    assert len(said) == 1 and said[0].startswith(f"LLM_PRICES: {prices}: ") and "/input" in said[0]
    ended = moru.run("generator", LLM_DAILY_BUDGET_USD="1", LISTEN_PORT=0)
    assert ended.returncode == 2 and "LLM_PRICES" in ended.stderr


def add_call(moru, day, **columns):
    row = {"ended_at": f"{day}T12:00:00Z", "cost_nanousd": 1000, "duration_ms": 5, "prompt_tokens": 10, "cached_tokens": 4,
           "cache_write_tokens": 0, "completion_tokens": 3, "reasoning_tokens": 1, "number": 1, "provider": "openai",
           "model": "m", "purpose": "generate", "outcome": "ok", "task_type": "t", "tenant": "default", **columns}
    moru.execute(f"INSERT INTO model_calls ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))})", list(row.values()))


def test_usage_is_told_in_the_groups_asked_for(moru, clean):
    gateway = moru.start("gateway")
    today = datetime.datetime.now(datetime.timezone.utc).date()
    yesterday, long_ago = today - datetime.timedelta(days=1), today - datetime.timedelta(days=40)
    add_call(moru, today)
    add_call(moru, today, outcome="timeout", cost_nanousd=0, completion_tokens=0)
    add_call(moru, today, task_type="u", model="n", cost_nanousd=2_500_000_000)
    add_call(moru, yesterday)
    add_call(moru, long_ago)

    report = moru.get("/api/v1/usage?group_by=day,task_type,model", to=gateway).json()
    assert [(item["day"], item["task_type"], item["model"], item["calls"], item["failed"]) for item in report["items"]] == [
        (str(yesterday), "t", "m", 1, 0), (str(today), "t", "m", 2, 1), (str(today), "u", "n", 1, 0)]
    assert report["items"][1] == {
        "day": str(today), "task_type": "t", "model": "m", "calls": 2, "failed": 1, "prompt_tokens": 20, "cached_tokens": 8,
        "cache_write_tokens": 0, "completion_tokens": 3, "reasoning_tokens": 2, "cost_usd": 0.000001}
    assert report["items"][2]["cost_usd"] == 2.5
    assert (report["totals"]["calls"], report["totals"]["cost_usd"], report["total"]) == (4, 2.500002, 3)
    assert (report["from"], report["to"]) == (str(today - datetime.timedelta(days=29)), str(today))

    def items(query):
        answer = moru.get(f"/api/v1/usage?{query}", to=gateway)
        assert answer.status_code == 200, answer.text
        return answer.json()["items"]
    assert [item["outcome"] for item in items("group_by=outcome")] == ["ok", "timeout"]
    by_model = items("group_by=model,day")
    assert [(item["model"], item["day"]) for item in by_model] == [
        ("m", str(yesterday)), ("m", str(today)), ("n", str(today))]
    assert [item["calls"] for item in items("group_by=day&task_type=u")] == [1]
    assert [item["calls"] for item in items("group_by=day&model=m&to=" + str(yesterday))] == [1]
    assert [item["calls"] for item in items(f"group_by=day&from={long_ago}&to={long_ago}")] == [1]
    assert [item["day"] for item in items("group_by=day&limit=1&offset=1")] == [str(today)]
    assert items("group_by=provider,purpose,tenant")[0]["tenant"] == "default"
    empty = moru.get("/api/v1/usage?task_type=none", to=gateway).json()
    assert (empty["items"], empty["total"], empty["totals"]["calls"]) == ([], 0, 0)


@pytest.mark.parametrize("query, pointer", [
    ("group_by=hour", "?group_by"), ("group_by=day,day", "?group_by"), ("group_by=day,", "?group_by"),
    ("group_by=", "?group_by"), ("from=2026-13-01", "?from"), ("to=yesterday", "?to"),
    ("from=2026-02-01&to=2026-01-01", "?from"), ("limit=1001", "?limit"), ("to=2026-02-30", "?to")])
def test_a_query_that_is_wrong_says_where(moru, fleet, query, pointer):
    answer = moru.get(f"/api/v1/usage?{query}")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, pointer), answer.text


def test_usage_waits_for_kafka_and_comes_with_sigterm(moru, clean, prices):
    """The direct endpoint needs no Kafka, so its calls go on while that is away."""
    with ModelServer(answer_well, USAGE) as model:
        members = start_all(moru, model, prices)
        request_id = "01900000-0000-7000-8000-00000000abcd"
        body = {"request_id": request_id, "refined_input": "Write a function", "task_type": "code_generation"}
        moru.kafka.pause()
        for _ in range(3):
            answer = moru.post("/api/v1/task", body, to=members["generator"])
            assert answer.status_code == 200, answer.text
        assert moru.metric(members["generator"], "agent_model_usage_waiting") == 3
        moru.kafka.resume()
        assert moru.stop(members["generator"]) == 0
        moru.wait(lambda: len(calls_of(moru, request_id)) == 3)


def test_kill_9_of_the_recorder_doubles_no_call(moru, clean, prices):
    with ModelServer(answer_well, USAGE) as model:
        members = start_all(moru, model, prices)
        accepted = [moru.post("/api/v1/requests", {**FIBONACCI, "user_input": f"Write function {number}"},
                              to=members["gateway"]).json()["request_id"] for number in range(60)]
        for _ in range(3):
            moru.wait(lambda: spent_nanousd(moru) > 0)
            moru.kill(members["recorder"])
            moru.restart(members["recorder"])
        finished = "SELECT count(*) AS rows FROM results WHERE request_id = ANY(%s::uuid[])"
        moru.wait(lambda: moru.row(finished, [accepted])["rows"] == 60)
        moru.wait(lambda: moru.row("SELECT count(*) AS calls FROM model_calls")["calls"] >= len(model.calls))
        assert moru.row("SELECT count(*) AS calls FROM model_calls")["calls"] == len(model.calls)


BUDGET_USD = 0.3  # of 78 calls
# No more tokens than a prompt of that kind may have, which has as many bytes.
SMALL = {"prompt_tokens": 500, "completion_tokens": 300, "prompt_tokens_details": {"cached_tokens": 200}}
SMALL_NANOUSD = 3_800_000


def flood(moru, gateway, count):
    return [moru.background(moru.post, "/api/v1/request", {**FIBONACCI, "user_input": f"Write function {number}"},
                            to=gateway, timeout=60) for number in range(count)]


def start_two(moru, model, prices, **settings):
    """Two generators and an evaluator that share a budget; a call may cost a fraction of it at most."""
    members = start_all(moru, model, prices, LLM_DAILY_BUDGET_USD=BUDGET_USD, LLM_MAX_TOKENS=300, **settings)
    members["second"] = moru.start("generator", LLM_BASE_URL=model.url, LLM_MODEL=MODEL, LLM_PRICES=prices,
                                   LLM_DAILY_BUDGET_USD=BUDGET_USD, LLM_MAX_TOKENS=300, **settings)
    return members


def is_refusal(answer):
    return answer.status_code == 429 and "daily budget" in answer.json()["detail"] and \
        0 < int(answer.headers["Retry-After"]) <= 86400 and answer.headers["content-type"] == "application/problem+json"


def charged_nanousd(model):
    """What the provider charges for the calls that it has answered."""
    return len(model.calls) * SMALL_NANOUSD


def test_two_generators_share_a_daily_budget_and_never_exceed_it(moru, clean, prices):
    with ModelServer(answer_well, SMALL) as model:
        members = start_two(moru, model, prices)
        first = [call.result() for call in flood(moru, members["gateway"], 5)]
        assert {answer.status_code for answer in first} == {200}
        # So many at once that the budget is spent before most of them come to their end.
        answers = [call.result() for call in flood(moru, members["gateway"], 80)]
        assert {answer.status_code for answer in answers} <= {200, 429}
        refused = [answer for answer in answers if answer.status_code == 429]
        assert all(is_refusal(answer) for answer in refused)
        assert f"{BUDGET_USD} USD" in refused[0].json()["detail"]
        assert charged_nanousd(model) <= BUDGET_USD * 1e9
        # The last call that is let through leaves less than the most that one can cost.
        assert charged_nanousd(model) >= BUDGET_USD * 1e9 * 0.8
        moru.wait(lambda: spent_nanousd(moru) == charged_nanousd(model))
        failed = moru.rows("SELECT error FROM results WHERE status = 'failed'")
        assert failed and all("daily budget" in row["error"] for row in failed)
        # An asynchronous one is refused at the door, or fails with that reason.
        answer = moru.post("/api/v1/requests", FIBONACCI, to=members["gateway"])
        assert is_refusal(answer) or answer.status_code == 202
        assert moru.metric(members["generator"], "agent_model_budget_refused_total") + \
            moru.metric(members["second"], "agent_model_budget_refused_total") > 0


def test_kill_9_of_a_generator_keeps_the_budget(moru, clean, prices):
    with ModelServer(answer_well, SMALL) as model:
        members = start_two(moru, model, prices)
        calls = flood(moru, members["gateway"], 80)
        moru.wait(lambda: len(model.calls) >= 20)
        moru.kill(members["second"])
        moru.restart(members["second"])
        assert 429 in {call.result().status_code for call in calls} <= {200, 429}
        assert charged_nanousd(model) <= BUDGET_USD * 1e9
        assert spent_nanousd(moru) <= BUDGET_USD * 1e9
        taken = moru.row("SELECT taken_nanousd FROM budget_days")["taken_nanousd"]
        assert charged_nanousd(model) <= taken <= BUDGET_USD * 1e9


def test_while_postgres_is_away_no_more_is_spent_than_was_leased(moru, clean, prices):
    """The evaluator works without Postgres; with a budget it goes on as long as its lease lasts, then its calls wait."""
    with ModelServer(answer_well, SMALL) as model:
        evaluator = moru.start("evaluator", LLM_BASE_URL=model.url, LLM_MODEL=MODEL, LLM_PRICES=prices,
                               LLM_DAILY_BUDGET_USD=1, LLM_MAX_TOKENS=300)
        body = {"request_id": "01900000-0000-7000-8000-00000000abce", "task_type": "code_generation",
                "user_input": "Write a function", "refined_input": "Write a function", "worker_output": CODE}
        assert moru.post("/api/v1/evaluate", body, to=evaluator).status_code == 200
        moru.postgres.pause()
        calls = [moru.background(moru.post, "/api/v1/evaluate", body, to=evaluator, timeout=60) for _ in range(10)]
        assert moru.get("/ready", to=evaluator).status_code == 200
        moru.postgres.resume()
        assert {call.result().status_code for call in calls} == {200}
        assert len(model.calls) == 11


def test_what_a_process_did_not_spend_goes_back_when_it_ends(moru, clean, prices):
    with ModelServer(answer_well, SMALL) as model:
        members = start_all(moru, model, prices, LLM_DAILY_BUDGET_USD=100, LLM_MAX_TOKENS=300)
        assert moru.post("/api/v1/request", FIBONACCI, to=members["gateway"]).status_code == 200
        for name in ("generator", "evaluator"):
            assert moru.stop(members[name]) == 0
        assert moru.row("SELECT taken_nanousd FROM budget_days")["taken_nanousd"] == 3 * SMALL_NANOUSD
        assert moru.row("SELECT sum(amount_nanousd)::bigint AS held FROM budget_leases")["held"] == 3 * SMALL_NANOUSD


def test_calls_that_are_given_up_at_the_end_of_the_grace_are_kept(moru, clean, prices):
    hang = threading.Event()

    def wait_first(messages):
        hang.wait(30)
        return CODE
    with ModelServer(wait_first, USAGE) as model:
        members = start_all(moru, model, prices, WORKER_GRACE_MS=200)
        ids = [moru.post("/api/v1/requests", {**FIBONACCI, "user_input": f"Write function {number}"},
                         to=members["gateway"]).json()["request_id"] for number in range(20)]
        moru.wait(lambda: len(model.calls) == 20)
        moru.stop(members["generator"])
        hang.set()
        moru.wait(lambda: moru.row("SELECT count(*) AS kept FROM model_calls WHERE outcome = 'cancelled'")["kept"] == 20)
        assert moru.row("SELECT DISTINCT provider, model, purpose FROM model_calls") == \
            {"provider": "openai", "model": MODEL, "purpose": "refine"}
        # Their requests are served by the next process.
        moru.restart(members["generator"])
        moru.wait(lambda: moru.row("SELECT count(*) AS done FROM results WHERE request_id = ANY(%s::uuid[]) AND "
                                   "status = 'succeeded'", [ids])["done"] == 20)


def test_an_output_whose_judge_is_refused_money_is_told_without_a_score(moru, clean, prices):
    with ModelServer(answer_well, SMALL) as model:
        common = {"LLM_BASE_URL": model.url, "LLM_MODEL": MODEL, "LLM_PRICES": prices}
        gateway = moru.start("gateway")
        moru.start("generator", **common)
        evaluator = moru.start("evaluator", **common, LLM_DAILY_BUDGET_USD=0.0001)
        moru.start("recorder")
        answer = moru.post("/api/v1/request", FIBONACCI, to=gateway)
        assert answer.status_code == 200, answer.text
        result = answer.json()
        assert (result["worker_output"], result["evaluation_score"], result["evaluation_passed"]) == (CODE, None, None)
        assert "daily budget" in result["detail"]["llm_details"]["error"]
        assert moru.metric(evaluator, "agent_judgement_failures_total") == 1
        assert len(model.calls) == 2
        assert refusing(moru) == []  # and so gateways do not refuse


def test_direct_calls_and_batches_are_refused_when_the_budget_is_spent(moru, clean, prices):
    with ModelServer(answer_well, SMALL) as model:
        members = start_all(moru, model, prices, LLM_DAILY_BUDGET_USD=0.0001)
        task = {"request_id": "01900000-0000-7000-8000-00000000abcf", "task_type": "code_generation",
                "refined_input": "Write a function"}
        judged = {**task, "user_input": "Write a function", "worker_output": CODE}
        assert is_refusal(moru.post("/api/v1/task", task, to=members["generator"]))
        assert is_refusal(moru.post("/api/v1/evaluate", judged, to=members["evaluator"]))
        headers = {"Content-Type": "application/x-ndjson"}

        def batch_is_refused():
            moru.post("/api/v1/task", task, to=members["generator"])
            return is_refusal(moru.post("/api/v1/requests:batch", json.dumps(FIBONACCI) + "\n", headers=headers,
                                        to=members["gateway"]))
        moru.wait(batch_is_refused)
        assert not model.calls


TASK = {"request_id": "01900000-0000-7000-8000-00000000abd0", "task_type": "code_generation",
        "refined_input": "Write a function"}


def refusing(moru):
    """The leases whose holders refuse requests, as gateways see them."""
    return moru.rows("SELECT holder, refusing_at FROM budget_leases WHERE refusing_at IS NOT NULL")


def door(moru, gateway):
    """What a submission gets: 202, or 429 before it is one."""
    answer = moru.post("/api/v1/requests", FIBONACCI, to=gateway)
    assert answer.status_code == 202 or (is_refusal(answer) and "request_id" not in answer.json()), answer.text
    return answer


def wait_shut(moru, gateway):
    return moru.wait(lambda: (answer := door(moru, gateway)).status_code == 429 and answer)


def wait_open(moru, gateway):
    moru.wait(lambda: door(moru, gateway).status_code == 202)


def start_generator(moru, model, prices, **settings):
    return moru.start("generator", LLM_BASE_URL=model.url, LLM_MODEL=MODEL, LLM_PRICES=prices, **settings)


def test_the_door_is_shut_by_the_generators_that_refuse_for_as_long_as_they_live(moru, clean, prices):
    """As in a rolling restart that raises the budget."""
    with ModelServer(answer_well, SMALL) as model:
        gateway = moru.start("gateway")
        poor = start_generator(moru, model, prices, LLM_DAILY_BUDGET_USD=0.0001, INSTANCE_ID="poor")
        assert is_refusal(moru.post("/api/v1/task", TASK, to=poor))
        wait_shut(moru, gateway)
        rich = start_generator(moru, model, prices, LLM_DAILY_BUDGET_USD=1, INSTANCE_ID="rich")
        assert moru.post("/api/v1/task", TASK, to=rich).status_code == 200
        before = refusing(moru)[0]["refusing_at"]
        moru.wait(lambda: [lease["holder"] for lease in refusing(moru) if lease["refusing_at"] > before] == ["poor"])
        assert "of 0.0001 USD" in wait_shut(moru, gateway).json()["detail"]
        assert moru.stop(poor) == 0
        assert refusing(moru) == []
        wait_open(moru, gateway)


def test_a_generator_that_was_killed_does_not_keep_the_door_shut(moru, clean, prices):
    with ModelServer(answer_well, SMALL) as model:
        gateway = moru.start("gateway")
        generator = start_generator(moru, model, prices, LLM_DAILY_BUDGET_USD=0.0001)
        assert is_refusal(moru.post("/api/v1/task", TASK, to=generator))
        wait_shut(moru, gateway)
        moru.kill(generator)
        wait_open(moru, gateway)


def test_the_door_stays_shut_without_requests_and_opens_when_there_is_money_again(moru, clean, prices):
    with ModelServer(answer_well, SMALL) as model:
        gateway = moru.start("gateway")
        moru.execute("INSERT INTO budget_days (day, taken_nanousd) VALUES ((now() AT TIME ZONE 'UTC')::date, 1000000000)")
        generator = start_generator(moru, model, prices, LLM_DAILY_BUDGET_USD=1)
        assert is_refusal(moru.post("/api/v1/task", TASK, to=generator))
        wait_shut(moru, gateway)
        first = refusing(moru)[0]["refusing_at"]
        moru.wait(lambda: refusing(moru)[0]["refusing_at"] - first > datetime.timedelta(seconds=5))
        assert door(moru, gateway).status_code == 429
        moru.execute("UPDATE budget_days SET taken_nanousd = 0")
        wait_open(moru, gateway)


def test_a_request_that_is_too_dear_is_refused_and_others_are_not(moru, clean, prices):
    with ModelServer(answer_well, SMALL) as model:
        members = start_all(moru, model, prices, LLM_DAILY_BUDGET_USD=0.3, LLM_MAX_TOKENS=300)
        gateway, generator = members["gateway"], members["generator"]
        assert moru.post("/api/v1/request", FIBONACCI, to=gateway).status_code == 200
        assert is_refusal(moru.post("/api/v1/task", {**TASK, "refined_input": "\u00e9" * 100_000}, to=generator))
        asked = "SELECT max(expires_at) AS until FROM budget_leases"
        before = moru.row(asked)["until"]
        moru.wait(lambda: moru.row(asked)["until"] > before)
        assert refusing(moru) == []
        assert moru.post("/api/v1/request", FIBONACCI, to=gateway).status_code == 200


def test_workers_of_the_version_before_lease_from_the_same_budget(moru, clean):
    """They ask without saying whether they refuse."""
    hold = "SELECT amount, granted, left_nanousd FROM moru_hold_budget(gen_random_uuid(), 'old', 1000, 0, 300, 400, 60)"
    assert moru.row(hold) == {"amount": 400, "granted": True, "left_nanousd": 600}
    assert moru.row(hold) == {"amount": 400, "granted": True, "left_nanousd": 200}
    assert moru.row(hold) == {"amount": 0, "granted": False, "left_nanousd": 200}
    assert refusing(moru) == []


def test_a_process_that_drains_does_not_keep_the_door_shut(moru, clean, prices):
    """One call holds the money and a second waits for it, until long after SIGTERM."""
    hang = threading.Event()

    def wait_first(messages):
        hang.wait(60)
        return CODE
    with ModelServer(wait_first, SMALL) as model:
        gateway = moru.start("gateway")
        # A call may cost 0.01 USD for its answer, and some for its prompt.
        generator = start_generator(moru, model, prices, LLM_MAX_TOKENS=1000, LLM_DAILY_BUDGET_USD=0.02)
        for number in range(2):
            moru.post("/api/v1/requests", {**FIBONACCI, "user_input": f"Write function {number}"}, to=gateway)
        wait_shut(moru, gateway)
        ended = moru.background(moru.stop, generator)
        moru.start("generator", LLM_MODEL=MODEL)
        try:
            wait_open(moru, gateway)
            assert not ended.done()
        finally:
            hang.set()
        ended.result()
