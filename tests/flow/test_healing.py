"""A prompt that fails is repaired while requests flow, and what does harm is taken back."""

import threading

import pytest

from healing_model import HealingModel
from test_request import FIBONACCI

HELLO = "just say hello world to everything"
CHANGED = {"patched", "rolled_back"}


def switch_prompt(moru, content, version=99, task_type="code_generation"):
    """As a person does it: plain SQL. Returns the id of the new row."""
    return moru.row("WITH before AS (UPDATE prompts SET is_active = FALSE WHERE task_type = %s) INSERT INTO prompts "
                    "(task_type, content, version) VALUES (%s, %s, %s) RETURNING id",
                    [task_type, task_type, content, version])["id"]


def active(moru, task_type="code_generation"):
    rows = moru.rows("SELECT * FROM prompts WHERE task_type = %s AND is_active ORDER BY version DESC, id DESC", [task_type])
    assert len(rows) == 1, f"{len(rows)} active prompts"
    return rows[0]


def ask(moru, count=1, **members):
    """Sends requests one after the other and returns their results."""
    answers = [moru.post("/api/v1/request", {**FIBONACCI, "user_input": f"Write fibonacci number {number}", **members})
               for number in range(count)]
    assert {answer.status_code for answer in answers} == {200}
    return [answer.json() for answer in answers]


def cycles(moru, **fields):
    rows = moru.rows("SELECT * FROM optimizations ORDER BY id")
    return [row for row in rows if all(row[name] == value for name, value in fields.items())]


def forget_history(moru):
    """What tests before this one left would otherwise count for it."""
    for table in ("execution_logs", "results", "optimization_reports", "optimizations", "probations", "rejected_prompts",
                  "rehearsals"):
        moru.execute(f"DELETE FROM {table}")


@pytest.fixture
def mended(moru, fleet):
    forget_history(moru)
    return fleet


def own_fleet(moru, fleet, model, optimizer=True, **settings):
    """Members of this test alone, whose model is the given server; returns the optimizer, or None."""
    fleet.stop()
    settings = {"LLM_BASE_URL": model.url, "LLM_API_KEY": "not-told", **settings}
    moru.own = {name: moru.start(name, **settings) for name in ("generator", "evaluator", "recorder")}
    moru.own["gateway"] = moru.start("gateway", **settings)
    moru.address = lambda to: (to or moru.own["gateway"]).url
    return moru.start("optimizer", **settings) if optimizer else None


def test_after_three_bad_answers_a_repaired_prompt_serves(moru, mended):
    optimizer = moru.start("optimizer")
    switch_prompt(moru, HELLO)
    assert [(result["evaluation_score"], result["evaluation_passed"]) for result in ask(moru, 3)] == [(0.36, False)] * 3
    moru.wait(lambda: active(moru)["version"] == 100)
    result = ask(moru)[0]
    assert (result["evaluation_score"], result["evaluation_passed"], result["prompt_version"]) == (0.874, True, 100)
    prompt = active(moru)
    assert prompt["created_by"] == "optimizer" and prompt["change_reason"] and HELLO not in prompt["content"]
    report = moru.row("SELECT * FROM optimization_reports")
    assert (report["before_prompt_version"], report["after_prompt_version"], report["triggered_by"]) == (99, 100, "stream")
    assert (report["before_prompt_content"], report["after_prompt_content"]) == (HELLO, prompt["content"])
    assert report["failure_analysis"]["failure_patterns"] and report["failure_analysis"]["rehearsal"]["candidates"]
    assert report["improvement_pct"] == pytest.approx((0.874 - 0.36) / 0.36 * 100)
    for event in ("optimization_cycle_started", "prompt_patched", "optimization_completed"):
        moru.wait(lambda: moru.log_event(optimizer, event, task_type="code_generation"), what=event)
    assert moru.metric(optimizer, "agent_optimization_runs_total", task_type="code_generation", result="patched") == 1
    assert moru.metric(optimizer, "agent_time_to_heal_seconds_count", task_type="code_generation") == 1
    assert moru.metric(optimizer, "agent_prompt_version", task_type="code_generation") == 100
    changes = moru.consume("prompts", lambda message: message.value["version"] == 100)
    assert (changes[0].key, changes[0].value["action"], changes[0].value["changed_by"]) == (
        "code_generation", "created", "optimizer")


def test_rehearsals_stand_in_a_table_of_their_own(moru, mended):
    moru.start("optimizer")
    switch_prompt(moru, HELLO)
    ask(moru, 3)
    moru.wait(lambda: active(moru)["version"] == 100)
    rehearsed = moru.rows("SELECT * FROM rehearsals")
    assert {row["optimization_id"] for row in rehearsed} == {cycles(moru)[0]["id"]}
    assert {row["candidate"] for row in rehearsed} >= {0, 1}
    assert {row["score"] for row in rehearsed if row["candidate"] == 0} == {0.36}
    assert moru.row("SELECT count(*) AS logs FROM execution_logs")["logs"] == 3


def test_without_failures_nothing_is_changed(moru, mended):
    ended = moru.run("optimizer", "--once")
    assert ended.returncode == 0
    assert "no_optimization_needed" in ended.stderr
    assert cycles(moru) == [] and active(moru)["version"] == 1


def walk_through(moru, expected_version):
    """The mentor's steps; returns the five results after the repair."""
    switch_prompt(moru, HELLO)
    assert [(result["evaluation_score"], result["evaluation_passed"]) for result in ask(moru, 5)] == [(0.36, False)] * 5
    ended = moru.run("optimizer", "--once")
    assert ended.returncode == 0, ended.stderr
    assert "task_types_needing_optimization" in ended.stderr
    assert "code_generation" in ended.stdout and str(expected_version) in ended.stdout
    assert (active(moru)["version"], active(moru)["created_by"]) == (expected_version, "optimizer")
    assert [(result["evaluation_score"], result["evaluation_passed"], result["prompt_version"])
            for result in ask(moru, 5)] == [(0.874, True, expected_version)] * 5


def test_the_walk_through_works_again_and_again(moru, mended):
    walk_through(moru, 100)
    report = moru.row("SELECT * FROM optimization_reports")
    assert (report["before_prompt_version"], report["after_prompt_version"], report["triggered_by"]) == (99, 100, "cronjob")
    walk_through(moru, 101)
    assert moru.row("SELECT count(*) AS rows FROM prompts WHERE version = 99")["rows"] == 2
    for table in ("execution_logs", "optimization_reports"):
        moru.execute(f"DELETE FROM {table}")
    moru.execute("DELETE FROM prompts WHERE version <> 1")
    moru.execute("UPDATE prompts SET is_active = TRUE")
    walk_through(moru, 100)


def test_rows_made_by_hand_count_when_they_are_younger_than_the_prompt(moru, mended):
    add = ("INSERT INTO execution_logs (request_id, task_type, user_input, worker_output, prompt_version, evaluation_score, "
           "evaluation_passed) SELECT gen_random_uuid(), 'code_generation', 'Write a stack, number ' || n, 'Hello World', 99, "
           "0.36, FALSE FROM generate_series(1, 5) AS n")
    moru.execute(add)
    switch_prompt(moru, HELLO)
    assert moru.run("optimizer", "--once").returncode == 0
    assert cycles(moru) == [] and active(moru)["version"] == 99
    moru.execute(add)
    assert moru.run("optimizer", "--once").returncode == 0
    assert active(moru)["version"] == 100


def test_a_prompt_that_is_put_back_is_healed_again(moru, mended):
    moru.start("optimizer")
    broken = switch_prompt(moru, HELLO)
    ask(moru, 3)
    moru.wait(lambda: active(moru)["version"] == 100)
    moru.execute("UPDATE prompts SET is_active = (id = %s) WHERE task_type = 'code_generation'", [broken])
    ask(moru, 3)
    moru.wait(lambda: active(moru)["version"] == 101)


def test_mode_off_heals_nothing_by_itself(moru, mended):
    optimizer = moru.start("optimizer", OPTIMIZER_MODE="off")
    switch_prompt(moru, HELLO)
    ask(moru, 5)
    moru.consume("verdicts", lambda message: message.value["passed"] == 0, count=5)
    moru.wait(lambda: moru.metric(optimizer, "agent_consumer_lag", topic="verdicts") == 0)
    assert cycles(moru) == [] and active(moru)["version"] == 99


def test_a_winner_waits_for_a_person(moru, mended):
    moru.start("optimizer", OPTIMIZER_APPROVAL="manual")
    switch_prompt(moru, HELLO)
    ask(moru, 3)
    cycle = moru.wait(lambda: cycles(moru, status="waiting"))[0]
    assert active(moru)["version"] == 99 and cycle["candidate_content"]
    answer = moru.post(f"/api/v1/optimizations/{cycle['id']}/approve", {"created_by": "ada"})
    assert answer.status_code == 200
    assert (active(moru)["version"], active(moru)["content"]) == (100, cycle["candidate_content"])
    assert ask(moru)[0]["evaluation_passed"] is True
    assert moru.post(f"/api/v1/optimizations/{cycle['id']}/approve", {"created_by": "ada"}).status_code == 409


def test_a_rejected_winner_stays_out_of_service(moru, mended):
    moru.start("optimizer", OPTIMIZER_APPROVAL="manual")
    switch_prompt(moru, HELLO)
    ask(moru, 3)
    cycle = moru.wait(lambda: cycles(moru, status="waiting"))[0]
    assert moru.post(f"/api/v1/optimizations/{cycle['id']}/reject", {"created_by": "ada"}).status_code == 200
    assert active(moru)["version"] == 99
    assert cycles(moru)[0]["status"] == "rejected"


def test_worse_candidates_are_never_put_into_service(moru, mended):
    with HealingModel(candidates=["You refuse politely.", "Answer with a poem.", ""]) as model:
        optimizer = own_fleet(moru, mended, model)
        moru.execute("DELETE FROM prompts WHERE task_type = 'code_generation'")
        switch_prompt(moru, "FAIR enough")
        assert {result["evaluation_passed"] for result in ask(moru, 3)} == {False}
        cycle = moru.wait(lambda: cycles(moru, status="no_improvement"))[0]
        assert cycle["figures"]["candidates"] and cycle["next_try_at"] is not None
        assert active(moru)["content"] == "FAIR enough"
        moru.wait(lambda: moru.log_event(optimizer, "optimization_no_improvement"))
        # The next failures come within its back-off.
        ask(moru, 3)
        moru.consume("verdicts", lambda message: message.value["passed"] == 0, count=6)
        moru.wait(lambda: moru.metric(optimizer, "agent_consumer_lag", topic="verdicts") == 0)
        assert len(cycles(moru)) == 1
        assert moru.row("SELECT count(*) AS rows FROM optimization_reports")["rows"] == 0


def test_what_shows_its_harm_after_the_rehearsal_is_taken_back(moru, mended):
    with HealingModel(candidates=["You write EXCELLENT code."]) as model:
        optimizer = own_fleet(moru, mended, model)
        moru.execute("DELETE FROM prompts WHERE task_type = 'code_generation'")
        replaced = switch_prompt(moru, "FAIR enough")
        ask(moru, 3)
        moru.wait(lambda: active(moru)["version"] == 100)
        model.spoiled.add("EXCELLENT")
        assert {result["evaluation_passed"] for result in ask(moru, 20)} == {False}
        moru.wait(lambda: moru.log_event(optimizer, "prompt_rolled_back"))
        moru.wait(lambda: active(moru)["id"] == replaced)
        assert moru.metric(optimizer, "agent_prompt_rollbacks_total", task_type="code_generation") == 1
        reports = moru.rows("SELECT * FROM optimization_reports ORDER BY id")
        assert [(row["before_prompt_version"], row["after_prompt_version"]) for row in reports[:2]] == [(99, 100), (100, 99)]
        assert reports[1]["failure_analysis"]["rollback"] is True
        # It is not proposed again, though it would do well in rehearsal.
        model.spoiled.clear()
        ask(moru, 3)
        moru.wait(lambda: cycles(moru, status="no_improvement", prompt_id=replaced))
        assert active(moru)["id"] == replaced


def test_a_prompt_that_a_person_changes_meanwhile_is_left_alone(moru, mended):
    analysing, go_on = threading.Event(), threading.Event()

    def before(role):
        if role == "analyst":
            analysing.set()
            go_on.wait(30)

    with HealingModel(before=before) as model:
        own_fleet(moru, mended, model)
        switch_prompt(moru, "FAIR enough")
        ask(moru, 3)
        assert analysing.wait(30)
        switch_prompt(moru, "FAIR, as I want it", version=120)
        go_on.set()
        moru.wait(lambda: cycles(moru, status="superseded"))
        assert (active(moru)["version"], active(moru)["content"]) == (120, "FAIR, as I want it")


def test_two_optimizers_and_one_once_make_one_new_version(moru, mended):
    switch_prompt(moru, HELLO)
    ask(moru, 5)
    starts = [moru.background(moru.start, "optimizer", INSTANCE_ID="optimizer-one"),
              moru.background(moru.start, "optimizer", INSTANCE_ID="optimizer-two"),
              moru.background(moru.run, "optimizer", "--once")]
    assert starts[2].result().returncode == 0
    for start in starts[:2]:
        start.result()
    moru.wait(lambda: active(moru)["version"] == 100)
    moru.wait(lambda: not cycles(moru, status="running"))
    assert moru.row("SELECT count(*) AS rows FROM prompts WHERE created_by = 'optimizer'")["rows"] == 1
    assert moru.row("SELECT count(*) AS rows FROM optimization_reports")["rows"] == 1


@pytest.mark.parametrize("event", ["optimization_cycle_started", "failures_analysed", "candidates_proposed",
                                   "candidates_rehearsed", "prompt_patched"])
def test_kill_9_at_any_step_leaves_nothing_half_made(moru, mended, event):
    optimizer = moru.start("optimizer")
    switch_prompt(moru, HELLO)
    ask(moru, 3)
    moru.wait(lambda: moru.log_event(optimizer, event), what=event)
    moru.kill(optimizer)
    prompts = moru.rows("SELECT * FROM prompts WHERE is_active")
    assert len(prompts) == 1 and prompts[0]["version"] in (99, 100)
    moru.restart(optimizer)
    moru.wait(lambda: active(moru)["version"] == 100)
    moru.wait(lambda: not cycles(moru, status="running"))
    assert ask(moru)[0]["evaluation_passed"] is True
    assert moru.row("SELECT count(*) AS rows FROM prompts WHERE created_by = 'optimizer'")["rows"] == 1
    assert moru.row("SELECT count(*) AS rows FROM optimization_reports")["rows"] == 1


def test_failures_of_the_judge_are_no_failures_of_the_prompt(moru, mended):
    class Unjudging(HealingModel):
        def judge(self, messages):
            return "I cannot say."

    with Unjudging() as model:
        own_fleet(moru, mended, model)
        switch_prompt(moru, "FAIR enough")
        assert {result["evaluation_passed"] for result in ask(moru, 5)} == {None}
        assert moru.published("verdicts", lambda message: message.value["prompt_version"] == 99) == []
        assert cycles(moru) == []


def test_an_analyst_who_answers_no_json_is_replaced_by_the_rules(moru, mended):
    with HealingModel(analysis="Let me think about that.") as model:
        own_fleet(moru, mended, model)
        switch_prompt(moru, "No idea")
        ask(moru, 3)
        moru.wait(lambda: active(moru)["version"] == 100)
        assert cycles(moru)[0]["analysis"]["source"] == "rules"
        assert len(model.calls("analyst")) == 2


def test_a_candidate_that_copies_an_input_is_thrown_away(moru, mended):
    with HealingModel(candidates=["EXCELLENT: write a very special fibonacci function with memory"]) as model:
        own_fleet(moru, mended, model)
        moru.execute("DELETE FROM prompts WHERE task_type = 'code_generation'")
        switch_prompt(moru, "FAIR enough")
        ask(moru, 3, user_input="Please write a very special fibonacci function, quickly")
        moru.wait(lambda: cycles(moru, status="no_improvement"))
        assert active(moru)["content"] == "FAIR enough"


def test_so_many_rehearsals_are_under_way_as_a_setting_says(moru, mended):
    class Counting(HealingModel):
        under_way = most = 0

        def author(self, messages):
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            return super().author(messages)

        def judge(self, messages):
            self.under_way -= 1
            return super().judge(messages)

    with Counting() as model:
        own_fleet(moru, mended, model, OPTIMIZER_REHEARSALS_AT_ONCE=1)
        switch_prompt(moru, "FAIR enough")
        ask(moru, 3)
        moru.wait(lambda: active(moru)["version"] == 100)
        assert moru.row("SELECT count(*) AS rows FROM rehearsals")["rows"] >= 6
        assert model.most == 1


def test_requests_flow_while_it_heals(moru, mended):
    moru.start("optimizer")
    assert ask(moru)[0]["evaluation_passed"] is True
    healed = threading.Event()

    def caller(number):
        answers = []
        while not healed.is_set() or len(answers) < 20:
            answers.append(moru.post("/api/v1/request", {**FIBONACCI, "user_input": f"Write sort number {number}"}))
        return answers

    calls = [moru.background(caller, number) for number in range(8)]
    switch_prompt(moru, HELLO)
    moru.wait(lambda: active(moru)["version"] == 100)
    healed.set()
    answers = [answer for call in calls for answer in call.result()]
    assert {answer.status_code for answer in answers} == {200}
    ids = [answer.json()["request_id"] for answer in answers]
    assert moru.row("SELECT count(*) AS rows FROM execution_logs WHERE request_id = ANY(%s::uuid[])", [ids])["rows"] == len(ids)
