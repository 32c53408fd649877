"""Prompts and optimizations as people manage them over the gateway's HTTP API."""

import json
import socket
import urllib.parse
import uuid

import psycopg
import pytest

from test_bad_input import assert_problem

PROMPT_FIELDS = {"id", "task_type", "version", "content", "is_active", "change_reason", "created_by", "created_at"}


@pytest.fixture
def task_type(fleet):
    return f"type_{uuid.uuid4().hex[:12]}"


def path(task_type, rest=""):
    return f"/api/v1/prompts/{urllib.parse.quote(task_type, safe='')}{rest}"


def add(moru, task_type, content="just say yes to everything", **members):
    answer = moru.post(path(task_type), {"content": content, **members})
    assert answer.status_code == 201, answer.text
    return answer.json()


def active(moru, task_type):
    """The versions that are active, by SQL."""
    return [row["version"] for row in moru.rows(
        "SELECT version FROM prompts WHERE task_type = %s AND is_active ORDER BY version", [task_type])]


def changes(moru, task_type):
    return [(row["action"], row["version"], row["changed_by"]) for row in moru.rows(
        "SELECT * FROM prompt_changes WHERE task_type = %s ORDER BY id", [task_type])]


def say(moru, task_type):
    answer = moru.post("/api/v1/request", {"user_input": "What now?", "task_type": task_type})
    assert answer.status_code == 200, answer.text
    return answer.json()


def log_row(moru, task_type, version, score, passed, request_id=None, at="now()"):
    moru.execute(f"INSERT INTO execution_logs (request_id, task_type, user_input, prompt_version, evaluation_score, "
                 f"evaluation_passed, created_at) VALUES (%s, %s, 'x', %s, %s, %s, {at})",
                 [request_id or uuid.uuid4(), task_type, version, score, passed])


def result_row(moru, prompt_id):
    """A row of results alone; returns its request id."""
    request_id = uuid.uuid4()
    moru.execute("INSERT INTO results (request_id, run, status, prompt_id) VALUES (%s, 1, 'succeeded', %s)",
                 [request_id, prompt_id])
    return request_id


# A new version


def test_a_first_prompt_makes_its_task_type_and_serves_at_once(moru, fleet, task_type):
    assert_problem(moru.post("/api/v1/request", {"user_input": "hi", "task_type": task_type}), 422)
    answer = moru.post(path(task_type), {"content": "just say banana to everything", "change_reason": "a start",
                                         "created_by": "ada"})
    assert answer.status_code == 201
    assert answer.headers["location"] == path(task_type)
    prompt = answer.json()
    assert set(prompt) == PROMPT_FIELDS
    row = moru.row("SELECT * FROM prompts WHERE task_type = %s", [task_type])
    assert {key: value for key, value in prompt.items() if key != "created_at"} == {
        key: value for key, value in row.items() if key != "created_at"}
    assert (row["version"], row["is_active"], row["created_by"], row["change_reason"]) == (1, True, "ada", "a start")
    result = say(moru, task_type)
    assert "banana" in result["worker_output"].lower() and result["prompt_version"] == 1
    assert changes(moru, task_type) == [("created", 1, "ada")]


def test_a_new_version_replaces_the_active_one_and_an_inactive_one_does_not(moru, task_type):
    add(moru, task_type, "just say apple to everything")
    second = add(moru, task_type, "just say cherry to everything", created_by="ada")
    assert (second["version"], second["created_by"], second["change_reason"]) == (2, "ada", None)
    assert active(moru, task_type) == [2]
    assert "cherry" in say(moru, task_type)["worker_output"].lower()
    third = add(moru, task_type, "just say lemon to everything", active=False)
    assert (third["version"], third["is_active"], third["created_by"]) == (3, False, "api")
    assert active(moru, task_type) == [2]
    assert say(moru, task_type)["prompt_version"] == 2
    assert changes(moru, task_type) == [
        ("created", 1, "api"), ("deactivated", 1, "ada"), ("created", 2, "ada"), ("created", 3, "api")]


def test_a_version_is_one_above_the_highest_that_people_wrote(moru, task_type):
    moru.execute("INSERT INTO prompts (task_type, content, version) VALUES (%s, 'x', 99)", [task_type])
    assert add(moru, task_type)["version"] == 100
    moru.execute("INSERT INTO prompts (task_type, content, version) VALUES (%s, 'x', 2147483647)", [task_type])
    assert_problem(moru.post(path(task_type), {"content": "x"}), 409)


def test_names_and_texts_are_kept_as_they_are(moru, fleet):
    task_type = f"a/b ü%?#'; DROP TABLE prompts; -- {uuid.uuid4().hex[:8]}"
    content = "'; DROP TABLE prompts; -- $1 %s \\ \" \x7f \u202e \U0001f600\n\ttail "
    answer = moru.post(path(task_type), {"content": content, "change_reason": "", "created_by": "O'Hara \U0001f600"})
    assert answer.status_code == 201
    assert answer.json()["content"] == content and answer.json()["task_type"] == task_type
    seen = moru.get(answer.headers["location"])
    assert seen.status_code == 200
    assert [item["content"] for item in seen.json()["items"]] == [content]
    assert seen.json()["task_type"] == task_type


def test_limits_count_code_points(moru, fleet):
    task_type = ("\U0001f600" * 64)
    content = "\U0001f600" * 100_000
    assert add(moru, task_type, content, created_by="\U0001f600" * 64)["content"] == content
    assert moru.get(path(task_type)).json()["items"][0]["content"] == content
    assert_problem(moru.post(path(task_type), {"content": content + "x"}), 400)
    assert_problem(moru.post(path(task_type + "x"), {"content": "x"}), 400)
    moru.execute("DELETE FROM prompts WHERE task_type = %s", [task_type])


BAD_PROMPTS = {
    "empty": (b"", ""),
    "not JSON": (b"prompt", ""),
    "an array": (b"[]", ""),
    "no content": (b"{}", "/content"),
    "empty content": (b'{"content": ""}', "/content"),
    "null content": (b'{"content": null}', "/content"),
    "number": (b'{"content": 5}', "/content"),
    "NUL": (b'{"content": "a\\u0000b"}', "/content"),
    "surrogate": (b'{"content": "\\ud800"}', None),
    "invalid UTF-8": (b'{"content": "\xff"}', None),
    "long content": (json.dumps({"content": "x" * 100_001}).encode(), "/content"),
    "active text": (b'{"content": "x", "active": "true"}', "/active"),
    "unknown member": (b'{"content": "x", "version": 7}', "/version"),
    "reason of a number": (b'{"content": "x", "change_reason": 1}', "/change_reason"),
    "long reason": (json.dumps({"content": "x", "change_reason": "r" * 10_001}).encode(), "/change_reason"),
    "empty author": (b'{"content": "x", "created_by": ""}', "/created_by"),
    "long author": (json.dumps({"content": "x", "created_by": "a" * 65}).encode(), "/created_by"),
    "author with a line feed": (b'{"content": "x", "created_by": "a\\nb"}', "/created_by"),
    "duplicate": (b'{"content": "x", "content": "y"}', None),
}


@pytest.mark.parametrize("body, pointer", BAD_PROMPTS.values(), ids=BAD_PROMPTS.keys())
def test_a_bad_prompt_is_refused(moru, task_type, body, pointer):
    problem = assert_problem(moru.post(path(task_type), body), 400)
    if pointer is not None:
        assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert moru.rows("SELECT * FROM prompts WHERE task_type = %s", [task_type]) == []


@pytest.mark.parametrize("segment", ["%00", "%0a", "a%7f", "a%c2%85b", "%ff", "%zz", "a%1", "x" * 65, "%ed%a0%80"])
def test_a_path_that_names_no_task_type_is_refused(moru, fleet, segment):
    before = moru.row("SELECT count(*) FROM prompts")
    for rest, body in (("", {"content": "x"}), ("/rollback", {}), ("/optimize", {}), ("/versions/1/activate", {})):
        assert_problem(moru.post(f"/api/v1/prompts/{segment}{rest}", body), 400)
    for rest in ("", "/diff?from=1&to=1"):
        assert_problem(moru.get(f"/api/v1/prompts/{segment}{rest}"), 400)
    assert moru.row("SELECT count(*) FROM prompts") == before


# Lists


def test_the_prompts_that_serve_are_listed_by_task_type(moru, task_type):
    moru.execute("DELETE FROM prompts")
    for name in ("c", "a", "b"):
        add(moru, f"{task_type}_{name}", f"just say {name} to everything")
    moru.execute("INSERT INTO prompts (task_type, content, version, is_active) VALUES (%s, 'inactive', 9, FALSE), "
                 "(%s, 'two of them', 9, TRUE), (%s, 'the younger', 9, TRUE)",
                 [f"{task_type}_a", f"{task_type}_b", f"{task_type}_b"])
    page = moru.get("/api/v1/prompts").json()
    assert [(item["task_type"][-1], item["version"], item["content"]) for item in page["items"]] == [
        ("a", 1, "just say a to everything"), ("b", 9, "the younger"), ("c", 1, "just say c to everything")]
    assert set(page["items"][0]) == PROMPT_FIELDS
    assert (page["total"], page["limit"], page["offset"], page["next_cursor"]) == (3, 20, 0, None)
    first = moru.get("/api/v1/prompts?limit=2").json()
    assert [item["task_type"][-1] for item in first["items"]] == ["a", "b"]
    rest = moru.get(f"/api/v1/prompts?limit=2&cursor={urllib.parse.quote(first['next_cursor'])}").json()
    assert [item["task_type"][-1] for item in rest["items"]] == ["c"] and rest["next_cursor"] is None
    assert [item["task_type"][-1] for item in moru.get("/api/v1/prompts?offset=2").json()["items"]] == ["c"]
    assert moru.get("/api/v1/prompts?offset=9").json()["total"] == 3
    moru.execute("DELETE FROM prompts")
    assert moru.get("/api/v1/prompts").json()["items"] == []
    for query in ("limit=0", "limit=101", "limit=x", "offset=-1"):
        assert_problem(moru.get(f"/api/v1/prompts?{query}"), 400)


def test_every_version_is_listed_with_who_and_why(moru, task_type):
    add(moru, task_type, "first", created_by="ada", change_reason="a start")
    add(moru, task_type, "second", active=False)
    page = moru.get(path(task_type)).json()
    assert (page["task_type"], page["total"], page["limit"], page["next_cursor"]) == (task_type, 2, 100, None)
    second, first = page["items"]
    assert set(first) == PROMPT_FIELDS | {"serves", "evaluations", "mean_score", "pass_rate"}
    assert (first["version"], first["created_by"], first["change_reason"], first["is_active"], first["serves"]) == (
        1, "ada", "a start", True, True)
    assert (second["version"], second["created_by"], second["change_reason"], second["is_active"],
            second["serves"]) == (2, "api", None, False, False)
    assert (first["evaluations"], first["mean_score"], first["pass_rate"]) == (0, None, None)
    one = moru.get(path(task_type, "?limit=1")).json()
    assert [item["version"] for item in one["items"]] == [2]
    rest = moru.get(path(task_type, f"?limit=1&cursor={one['next_cursor']}")).json()
    assert [item["version"] for item in rest["items"]] == [1]
    assert moru.get(path(task_type, "?offset=7")).json()["items"] == []
    assert_problem(moru.get(path(task_type, "?cursor=x")), 400)
    assert_problem(moru.get(path("no_such_type")), 404)


def test_of_two_active_rows_one_serves(moru, task_type):
    moru.execute("INSERT INTO prompts (task_type, content, version) VALUES (%s, 'x', 5), (%s, 'y', 2)",
                 [task_type, task_type])
    items = moru.get(path(task_type)).json()["items"]
    assert [(item["version"], item["is_active"], item["serves"]) for item in items] == [(2, True, False), (5, True, True)]


def scores(moru, task_type):
    """By id: (evaluations, mean score, pass rate)."""
    return {item["id"]: (item["evaluations"], item["mean_score"], item["pass_rate"])
            for item in moru.get(path(task_type)).json()["items"]}


def test_scores_come_from_the_logs_of_the_prompt_that_made_them(moru, task_type):
    first = add(moru, task_type, "just say apple to everything")["id"]
    result = say(moru, task_type)
    second = add(moru, task_type, "just say cherry to everything")["id"]
    passed = float(result["evaluation_passed"])
    assert scores(moru, task_type) == {first: (1, result["evaluation_score"], passed), second: (0, None, None)}
    # Rows without a result are tied by their version, when they are younger than the prompt.
    log_row(moru, task_type, 2, 0.5, True)
    log_row(moru, task_type, 2, 0.25, False)
    log_row(moru, task_type, 2, 0.0, False, at="now() - interval '1 hour'")
    log_row(moru, task_type, 77, 1.0, True)
    log_row(moru, task_type, None, 1.0, True)
    log_row(moru, task_type, 2, None, None)
    log_row(moru, "another_type", 2, 1.0, True)
    assert scores(moru, task_type)[second] == (2, 0.375, 0.5)
    # A row in results decides, whatever version the log names.
    log_row(moru, task_type, 2, 1.0, True, result_row(moru, first))
    log_row(moru, task_type, 2, 1.0, True, result_row(moru, None))
    assert scores(moru, task_type)[second] == (2, 0.375, 0.5)
    assert scores(moru, task_type)[first] == (2, (result["evaluation_score"] + 1) / 2, (passed + 1) / 2)


def test_a_version_number_used_again_starts_without_scores(moru, task_type):
    old = add(moru, task_type)["id"]
    log_row(moru, task_type, 1, 0.2, False, result_row(moru, old))
    log_row(moru, task_type, 1, 0.2, False)
    moru.execute("UPDATE execution_logs SET created_at = now() WHERE task_type = %s", [task_type])
    moru.execute("DELETE FROM prompts WHERE id = %s", [old])
    new = add(moru, task_type)
    assert new["version"] == 1
    log_row(moru, task_type, 1, 0.8, True)
    assert scores(moru, task_type) == {new["id"]: (1, 0.8, 1)}
    # Of two rows with one version the younger takes what came after it.
    moru.execute("INSERT INTO prompts (task_type, content, version) VALUES (%s, 'copy', 1)", [task_type])
    log_row(moru, task_type, 1, 0.4, False)
    copy = moru.row("SELECT max(id) AS id FROM prompts WHERE task_type = %s", [task_type])["id"]
    assert scores(moru, task_type) == {new["id"]: (1, 0.8, 1), copy: (1, 0.4, 0)}


# Activation and rollback


def test_a_version_is_activated_and_serves_the_next_request(moru, task_type):
    add(moru, task_type, "just say apple to everything")
    add(moru, task_type, "just say cherry to everything")
    answer = moru.post(path(task_type, "/versions/1/activate"), {"created_by": "ada"})
    assert answer.status_code == 200
    assert set(answer.json()) == PROMPT_FIELDS
    assert (answer.json()["version"], answer.json()["is_active"]) == (1, True)
    assert active(moru, task_type) == [1]
    assert "apple" in say(moru, task_type)["worker_output"].lower()
    assert changes(moru, task_type)[-2:] == [("deactivated", 2, "ada"), ("activated", 1, "ada")]
    # The body may be left out, with its type or without.
    assert moru.post(path(task_type, "/versions/2/activate"), b"").status_code == 200
    assert moru.http.post(moru.address(None) + path(task_type, "/versions/1/activate")).status_code == 200
    assert changes(moru, task_type)[-1] == ("activated", 1, "api")
    count = len(changes(moru, task_type))
    assert moru.post(path(task_type, "/versions/1/activate"), {}).status_code == 200
    assert len(changes(moru, task_type)) == count  # it served already


def test_of_rows_with_the_same_version_the_youngest_is_activated(moru, task_type):
    moru.execute("INSERT INTO prompts (task_type, content, version, is_active) VALUES (%s, 'old', 3, FALSE), "
                 "(%s, 'young', 3, FALSE), (%s, 'other', -1, TRUE)", [task_type] * 3)
    answer = moru.post(path(task_type, "/versions/3/activate"), {})
    assert (answer.status_code, answer.json()["content"]) == (200, "young")
    assert moru.post(path(task_type, "/versions/-1/activate"), {}).json()["content"] == "other"


def test_a_type_whose_only_prompt_was_inactive_serves_once_it_is_activated(moru, task_type):
    add(moru, task_type, "just say plum to everything", active=False)
    assert_problem(moru.post("/api/v1/request", {"user_input": "hi", "task_type": task_type}), 422)
    assert moru.post(path(task_type, "/versions/1/activate"), {}).status_code == 200
    assert "plum" in say(moru, task_type)["worker_output"].lower()


def test_what_cannot_be_activated_is_not_found(moru, task_type):
    add(moru, task_type)
    for version in ("2", "0", "x", "1.0", "1e0", "99999999999", "-99999999999", "%00", "1%20"):
        assert_problem(moru.post(path(task_type, f"/versions/{version}/activate"), {}), 404)
    assert_problem(moru.post(path("no_such_type", "/versions/1/activate"), {}), 404)
    assert active(moru, task_type) == [1]


BAD_AUTHORS = [b"x", b"[]", b"null", b'{"created_by": ""}', b'{"created_by": null}', b'{"created_by": 5}',
               b'{"created_by": "a\\tb"}', b'{"by": "ada"}', json.dumps({"created_by": "a" * 65}).encode(), b" "]


@pytest.mark.parametrize("body", BAD_AUTHORS)
def test_a_bad_author_is_refused_and_nothing_changes(moru, task_type, body):
    add(moru, task_type)
    add(moru, task_type)
    cycle = waiting(moru, task_type)
    before = changes(moru, task_type)
    for place in (path(task_type, "/versions/1/activate"), path(task_type, "/rollback"), path(task_type, "/optimize"),
                  f"/api/v1/optimizations/{cycle}/approve", f"/api/v1/optimizations/{cycle}/reject"):
        assert assert_problem(moru.post(place, body), 400)["errors"]
    assert changes(moru, task_type) == before
    assert [row["status"] for row in moru.rows("SELECT * FROM optimizations WHERE task_type = %s", [task_type])] == [
        "waiting"]


def roll_back(moru, task_type, **members):
    answer = moru.post(path(task_type, "/rollback"), members)
    assert answer.status_code == 200, answer.text
    assert active(moru, task_type) == [answer.json()["version"]]
    return answer.json()["version"]


def test_a_rollback_puts_back_what_served_before(moru, task_type):
    for number in range(1, 4):
        add(moru, task_type, f"just say number{number} to everything")
    add(moru, task_type, "never served", active=False)
    assert roll_back(moru, task_type, created_by="ada") == 2
    assert changes(moru, task_type)[-2:] == [("deactivated", 3, "ada"), ("activated", 2, "ada")]
    assert "number2" in say(moru, task_type)["worker_output"].lower()
    assert roll_back(moru, task_type) == 3  # what served before that
    assert moru.post(path(task_type, "/versions/1/activate"), {}).status_code == 200
    assert roll_back(moru, task_type) == 3


def test_a_rollback_passes_over_what_is_gone(moru, task_type):
    for _ in range(4):
        add(moru, task_type)
    moru.execute("DELETE FROM prompts WHERE task_type = %s AND version = 3", [task_type])
    assert roll_back(moru, task_type) == 2


def test_a_rollback_without_history_takes_the_next_lower_version(moru, task_type):
    for version in (1, 5, 9, 12):
        moru.execute("INSERT INTO prompts (task_type, content, version, is_active) VALUES (%s, 'x', %s, %s)",
                     [task_type, version, version == 9])
    moru.execute("DELETE FROM prompt_changes WHERE task_type = %s", [task_type])
    assert roll_back(moru, task_type) == 5


def test_a_rollback_mends_a_switch_by_sql(moru, task_type):
    add(moru, task_type, "just say good to everything")
    moru.execute("UPDATE prompts SET is_active = FALSE WHERE task_type = %s", [task_type])
    moru.execute("INSERT INTO prompts (task_type, content, version) VALUES (%s, 'just say bad to everything', 99)",
                 [task_type])
    assert "bad" in say(moru, task_type)["worker_output"].lower()
    assert roll_back(moru, task_type) == 1
    assert "good" in say(moru, task_type)["worker_output"].lower()


def test_where_nothing_served_before_there_is_no_rollback(moru, task_type):
    assert_problem(moru.post(path(task_type, "/rollback"), {}), 404)
    add(moru, task_type)
    add(moru, task_type, active=False)
    assert_problem(moru.post(path(task_type, "/rollback"), {}), 409)
    moru.execute("UPDATE prompts SET is_active = FALSE WHERE task_type = %s", [task_type])
    assert_problem(moru.post(path(task_type, "/rollback"), {}), 409)
    assert active(moru, task_type) == []


def test_many_changes_at_once_leave_one_active_version(moru, task_type):
    add(moru, task_type)
    add(moru, task_type)
    calls = []
    for number in range(12):
        calls.append(moru.background(moru.post, path(task_type), {"content": f"text {number}"}))
        calls.append(moru.background(moru.post, path(task_type, f"/versions/{number % 2 + 1}/activate"), {}))
        calls.append(moru.background(moru.post, path(task_type, "/rollback"), {}))
    assert {call.result().status_code for call in calls} == {200, 201}
    versions = [row["version"] for row in moru.rows("SELECT version FROM prompts WHERE task_type = %s", [task_type])]
    assert sorted(versions) == list(range(1, 15))
    assert len(active(moru, task_type)) == 1


# Differences


def test_two_versions_are_compared_word_by_word(moru, task_type):
    add(moru, task_type, "Write C code.\nBe brief.")
    add(moru, task_type, "Write Python code.\nBe brief. Cite.")
    answer = moru.get(path(task_type, "/diff?from=1&to=2"))
    assert answer.status_code == 200
    assert answer.json() == {"from": 1, "to": 2, "words": [
        {"op": "equal", "text": "Write "}, {"op": "deleted", "text": "C "}, {"op": "inserted", "text": "Python "},
        {"op": "equal", "text": "code.\nBe brief."}, {"op": "inserted", "text": " Cite."}]}
    assert moru.get(path(task_type, "/diff?from=2&to=2")).json()["words"] == [
        {"op": "equal", "text": "Write Python code.\nBe brief. Cite."}]
    for query in ("", "?from=1", "?to=1", "?from=x&to=1", "?from=1&to=99999999999"):
        assert_problem(moru.get(path(task_type, f"/diff{query}")), 400)
    assert "version 7" in assert_problem(moru.get(path(task_type, "/diff?from=1&to=7")), 404)["detail"]
    assert_problem(moru.get(path("no_such_type", "/diff?from=1&to=1")), 404)


def test_the_longest_prompts_are_compared_too(moru, task_type):
    texts = [" ".join(f"{chr(97 + number % 26)}" if even else f"{number % 10}" for number in range(50_000))
             for even in (True, False)]
    for text in texts:
        add(moru, task_type, text)
    words = moru.get(path(task_type, "/diff?from=1&to=2")).json()["words"]
    assert "".join(run["text"] for run in words if run["op"] != "inserted") == texts[0]
    assert "".join(run["text"] for run in words if run["op"] != "deleted") == texts[1]


# Optimizations


def waiting(moru, task_type, candidate="just say better to everything"):
    """A cycle of the active prompt that waits for a person, as the optimizer writes it; returns its id."""
    figures = {"replaced": {"count": 5, "sum": 1.8, "squares": 0.648},
               "rehearsed": {"count": 6, "sum": 5.2, "squares": 4.6}}
    return moru.row("INSERT INTO optimizations (task_type, status, triggered_by, prompt_id, prompt_version, "
                    "prompt_content, candidate_content, analysis, figures, improvement_pct) "
                    "SELECT %s, 'waiting', 'stream', id, version, content, %s, %s, %s, 140 "
                    "FROM moru_active_prompt(%s) RETURNING id",
                    [task_type, candidate, json.dumps({"root_causes": ["vague"]}), json.dumps(figures), task_type])["id"]


def test_a_cycle_is_asked_for_and_its_report_can_be_read(moru, task_type):
    assert_problem(moru.post(path(task_type, "/optimize"), {}), 404)
    add(moru, task_type)
    answer = moru.post(path(task_type, "/optimize"), {"created_by": "ada"})
    assert answer.status_code == 202
    place = answer.headers["location"]
    row = moru.row("SELECT * FROM optimizations WHERE task_type = %s", [task_type])
    assert place == f"/api/v1/optimizations/{row['id']}"
    assert answer.json() == {"id": row["id"], "status": "requested", "links": {"self": place}}
    assert (row["status"], row["triggered_by"], row["requested_by"]) == ("requested", "manual", "ada")
    report = moru.get(place).json()
    assert set(report) == set(row)
    assert (report["id"], report["status"], report["task_type"], report["requested_by"], report["figures"]) == (
        row["id"], "requested", task_type, "ada", None)
    moru.execute("UPDATE prompts SET is_active = FALSE WHERE task_type = %s", [task_type])
    assert_problem(moru.post(path(task_type, "/optimize"), b""), 404)
    moru.execute("DELETE FROM optimizations WHERE task_type = %s", [task_type])


def test_optimizations_are_listed_newest_first(moru, task_type):
    add(moru, task_type)
    moru.execute("DELETE FROM optimizations")
    ids = [waiting(moru, task_type) for _ in range(3)]
    moru.execute("UPDATE optimizations SET status = 'failed', task_type = 'other' WHERE id = %s", [ids[1]])
    page = moru.get("/api/v1/optimizations").json()
    assert [item["id"] for item in page["items"]] == ids[::-1]
    assert (page["total"], page["limit"], page["offset"], page["next_cursor"]) == (3, 20, 0, None)
    assert page["items"][0]["analysis"] == {"root_causes": ["vague"]}
    assert page["items"][0]["figures"]["rehearsed"]["count"] == 6
    first = moru.get("/api/v1/optimizations?limit=2").json()
    rest = moru.get(f"/api/v1/optimizations?limit=2&cursor={first['next_cursor']}").json()
    assert [item["id"] for item in rest["items"]] == ids[:1]
    assert [item["id"] for item in moru.get("/api/v1/optimizations?offset=2").json()["items"]] == ids[:1]

    def listed(query):
        page = moru.get(f"/api/v1/optimizations?{query}").json()
        assert page["total"] == len(page["items"])
        return [item["id"] for item in page["items"]]
    assert listed("status=failed") == [ids[1]]
    assert listed(f"task_type={task_type}") == [ids[2], ids[0]]
    assert listed(f"task_type={task_type}&status=failed") == []
    for query in ("status=done", "status=", "limit=0", "cursor=0", "offset=x"):
        assert_problem(moru.get(f"/api/v1/optimizations?{query}"), 400)


def test_what_is_no_optimization_is_not_found(moru, fleet):
    for name in ("0", "-1", "x", "999999999", "99999999999999999999", "1.5", "%00", "1%3B"):
        assert_problem(moru.get(f"/api/v1/optimizations/{name}"), 404)
        for verb in ("approve", "reject"):
            assert_problem(moru.post(f"/api/v1/optimizations/{name}/{verb}", {}), 404)


def test_an_approved_candidate_serves(moru, task_type):
    add(moru, task_type, "just say worse to everything")
    cycle = waiting(moru, task_type)
    answer = moru.post(f"/api/v1/optimizations/{cycle}/approve", {"created_by": "ada"})
    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["decided_by"], answer.json()["new_prompt_version"]) == (
        "patched", "ada", 2)
    assert moru.get(f"/api/v1/optimizations/{cycle}").json() == answer.json()
    assert active(moru, task_type) == [2]
    assert "better" in say(moru, task_type)["worker_output"].lower()
    prompt = moru.row("SELECT * FROM prompts WHERE task_type = %s AND version = 2", [task_type])
    assert prompt["created_by"] == "ada" and str(cycle) in prompt["change_reason"]
    report = moru.row("SELECT * FROM optimization_reports WHERE task_type = %s", [task_type])
    assert (report["before_prompt_version"], report["after_prompt_version"], report["improvement_pct"]) == (1, 2, 140)
    assert moru.row("SELECT * FROM probations WHERE prompt_id = %s", [prompt["id"]])["outcome"] is None
    for verb in ("approve", "reject"):
        problem = assert_problem(moru.post(f"/api/v1/optimizations/{cycle}/{verb}", {}), 409)
        assert "patched" in problem["detail"]
    assert active(moru, task_type) == [2]
    moru.execute("DELETE FROM probations WHERE prompt_id = %s", [prompt["id"]])


def test_a_rejected_candidate_is_remembered(moru, task_type):
    add(moru, task_type)
    cycle = waiting(moru, task_type, candidate="no, not thís")
    answer = moru.post(f"/api/v1/optimizations/{cycle}/reject", {"created_by": "ada"})
    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["decided_by"]) == ("rejected", "ada")
    assert answer.json()["finished_at"] is not None
    assert active(moru, task_type) == [1]
    row = moru.row("SELECT *, encode(sha256(convert_to('no, not thís', 'UTF8')), 'hex') AS hash FROM rejected_prompts "
                   "WHERE task_type = %s", [task_type])
    assert (row["prompt_hash"], row["optimization_id"]) == (row["hash"], cycle)
    for verb in ("approve", "reject"):
        assert_problem(moru.post(f"/api/v1/optimizations/{cycle}/{verb}", {}), 409)
    assert active(moru, task_type) == [1]


@pytest.mark.parametrize("change", [
    "UPDATE prompts SET content = 'somebody changed it' WHERE task_type = %s",
    "UPDATE prompts SET is_active = FALSE WHERE task_type = %s",
    "INSERT INTO prompts (task_type, content, version) VALUES (%s, 'another', 7)",
])
def test_an_approval_after_somebody_changed_the_prompt_changes_nothing(moru, task_type, change):
    add(moru, task_type)
    cycle = waiting(moru, task_type)
    moru.execute(change, [task_type])
    before = moru.rows("SELECT * FROM prompts WHERE task_type = %s ORDER BY id", [task_type])
    problem = assert_problem(moru.post(f"/api/v1/optimizations/{cycle}/approve", {}), 409)
    assert "superseded" in problem["detail"]
    assert moru.rows("SELECT * FROM prompts WHERE task_type = %s ORDER BY id", [task_type]) == before
    assert moru.get(f"/api/v1/optimizations/{cycle}").json()["status"] == "superseded"


def test_of_many_decisions_at_once_one_counts(moru, task_type):
    add(moru, task_type)
    cycle = waiting(moru, task_type)
    calls = [moru.background(moru.post, f"/api/v1/optimizations/{cycle}/{'approve' if number % 2 else 'reject'}", {})
             for number in range(10)]
    codes = sorted(call.result().status_code for call in calls)
    assert codes == [200] + [409] * 9
    status = moru.get(f"/api/v1/optimizations/{cycle}").json()["status"]
    assert active(moru, task_type) == ([2] if status == "patched" else [1])
    moru.execute("DELETE FROM probations WHERE task_type = %s", [task_type])


def test_only_what_waits_can_be_decided_about(moru, task_type):
    add(moru, task_type)
    cycle = waiting(moru, task_type)
    for status in ("requested", "running", "no_improvement", "failed"):
        moru.execute("UPDATE optimizations SET status = %s WHERE id = %s", [status, cycle])
        for verb in ("approve", "reject"):
            assert status in assert_problem(moru.post(f"/api/v1/optimizations/{cycle}/{verb}", {}), 409)["detail"]
    assert active(moru, task_type) == [1]
    moru.execute("DELETE FROM optimizations WHERE id = %s", [cycle])


# What holds for all of them


def test_other_methods_and_types_are_refused(moru, task_type):
    add(moru, task_type)
    base = moru.address(None)
    for place, allowed in ((path(task_type), "GET, HEAD, POST"), ("/api/v1/prompts", "GET, HEAD"),
                           (path(task_type, "/rollback"), "POST"), (path(task_type, "/diff"), "GET, HEAD"),
                           ("/api/v1/optimizations/1/approve", "POST"), ("/api/v1/optimizations", "GET, HEAD")):
        answer = moru.http.delete(base + place)
        assert_problem(answer, 405)
        assert answer.headers["allow"] == allowed
    assert_problem(moru.get(path(task_type, "/nothing")), 404)
    assert_problem(moru.get("/api/v1/prompts/"), 404)
    for place in (path(task_type), path(task_type, "/rollback")):
        assert_problem(moru.post(place, {"content": "x"}, headers={"Content-Type": "text/plain"}), 415)
    # What any web page can make a browser send changes nothing.
    assert_problem(moru.http.post(base + path(task_type, "/rollback"), headers={"Origin": "http://elsewhere"}), 415)
    assert moru.http.head(base + path(task_type)).status_code == 200


def test_without_postgres_one_is_told_to_come_back(moru, task_type):
    add(moru, task_type)
    moru.kill(moru.postgres)
    for ask in (lambda: moru.get("/api/v1/prompts"), lambda: moru.get(path(task_type)),
                lambda: moru.post(path(task_type), {"content": "x"}),
                lambda: moru.post(path(task_type, "/versions/1/activate"), {}),
                lambda: moru.post(path(task_type, "/rollback"), {}),
                lambda: moru.get(path(task_type, "/diff?from=1&to=1")),
                lambda: moru.post(path(task_type, "/optimize"), {}), lambda: moru.get("/api/v1/optimizations"),
                lambda: moru.get("/api/v1/optimizations/1"), lambda: moru.post("/api/v1/optimizations/1/approve", {}),
                lambda: moru.post("/api/v1/optimizations/1/reject", {})):
        answer = ask()
        assert_problem(answer, 503)
        assert int(answer.headers["retry-after"]) >= 1
    moru.restart(moru.postgres)
    moru.wait(lambda: moru.get(path(task_type)).status_code == 200)


def test_a_change_that_waits_for_a_lock_holds_no_request_up(moru, task_type):
    add(moru, task_type, "just say quick to everything")
    with psycopg.connect(moru.database_url) as other:
        other.execute("SELECT * FROM prompts WHERE task_type = %s FOR UPDATE", [task_type])
        change = moru.background(moru.post, path(task_type), {"content": "just say later to everything"})
        moru.wait(lambda: moru.rows("SELECT * FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))
        assert "quick" in say(moru, task_type)["worker_output"].lower()
        assert not change.done()
        other.rollback()
    assert change.result().status_code == 201
    assert "later" in say(moru, task_type)["worker_output"].lower()


def test_a_client_that_leaves_does_no_harm(moru, task_type):
    add(moru, task_type)
    port = int(moru.address(None).rsplit(":", 1)[1])
    body = json.dumps({"content": "just say left to everything"}).encode()
    with psycopg.connect(moru.database_url) as other:
        other.execute("SELECT * FROM prompts WHERE task_type = %s FOR UPDATE", [task_type])
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(f"POST {path(task_type)} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                               f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            moru.wait(lambda: moru.rows("SELECT * FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # it ends by a reset
        other.rollback()
    moru.wait(lambda: active(moru, task_type) == [2])
    assert moru.get(path(task_type)).status_code == 200
