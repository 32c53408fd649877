"""A provider dies for some seconds under load: what was accepted is served, and who waits is told the truth."""

import contextlib
import threading

import pytest

from simulator import Simulator
from test_failures import own_fleet
from test_models_calls import assert_all_served
from test_request import FIBONACCI

DEAD_MS = 4000


class Submitting:
    """Submits all the while, in threads of its own; ids are the requests that were accepted."""

    def __init__(self, moru, gateway):
        self.moru, self.gateway, self.ids, self.over = moru, gateway, [], threading.Event()

    def submit(self):
        while not self.over.wait(0.03):
            answer = self.moru.post("/api/v1/requests", FIBONACCI, to=self.gateway)
            assert answer.status_code == 202, answer.text
            self.ids.append(answer.json()["request_id"])

    def __enter__(self):
        self.threads = [self.moru.background(self.submit) for _ in range(4)]
        return self

    def __exit__(self, *exception):
        self.over.set()
        for thread in self.threads:
            thread.result()


def succeeded(moru, ids):
    return moru.row("SELECT count(*) AS done FROM results WHERE request_id = ANY(%s::uuid[]) AND status = 'succeeded'",
                    [ids])["done"]


def outcome_is_honest(moru, gateway, answer):
    """200 stands for a result, 502 for a failure that is kept, 504 for work that goes on."""
    request_id = answer.json()["request_id"]
    later = moru.wait(lambda: (told := moru.get(f"/api/v1/request/{request_id}", to=gateway).json())["status"] != "queued"
                      and told)
    if answer.status_code == 200:
        return later == answer.json() and later["status"] == "succeeded"
    if answer.status_code == 502:
        return (later["status"], later["error"]) == ("failed", answer.json()["detail"])
    return answer.status_code == 504


@pytest.mark.parametrize("with_fallback", [False, True], ids=["alone", "with-a-fallback"])
def test_a_provider_that_dies_under_load_costs_no_request(moru, fleet, with_fallback):
    with contextlib.ExitStack() as opened:
        sim = opened.enter_context(Simulator(latency_ms=20))
        settings = {"LLM_AWAY_WAIT_MS": 1500, "REQUEST_TIMEOUT_MS": 20_000}
        if with_fallback:
            spare = opened.enter_context(Simulator(latency_ms=20))
            settings |= {"LLM_FALLBACKS": f"spare=openai:small@{spare.url}"}
        members = own_fleet(moru, fleet, sim, **settings)
        gateway, generator = members["gateway"], members["generator"]

        def breaker():
            return moru.metric(generator, "agent_model_breaker_state", target="gpt-4o-mini")
        with Submitting(moru, gateway) as load:
            moru.wait(lambda: succeeded(moru, load.ids) >= 20)
            sim.control(dead_ms=DEAD_MS)
            moru.wait(lambda: breaker() == 2)
            waiting = [moru.background(moru.post, "/api/v1/request", FIBONACCI, to=gateway) for _ in range(10)]
            answers = [call.result() for call in waiting]
            moru.wait(lambda: breaker() == 0)
            back = len(load.ids)
            moru.wait(lambda: len(load.ids) >= back + 20)
        assert_all_served(moru, load.ids)
        assert all(outcome_is_honest(moru, gateway, answer) for answer in answers)
        assert {answer.status_code for answer in answers} <= ({200} if with_fallback else {200, 502})
        for state in ("open", "half_open", "closed"):
            assert moru.metric(generator, "agent_model_breaker_transitions_total", target="gpt-4o-mini", to=state) >= 1
        ids = load.ids + [answer.json()["request_id"] for answer in answers]
        served = moru.wait(lambda: {row["model"] for row in moru.rows(
            "SELECT DISTINCT model FROM model_calls WHERE request_id = ANY(%s::uuid[]) AND outcome = 'ok'", [ids])})
        assert served == ({"gpt-4o-mini", "spare"} if with_fallback else {"gpt-4o-mini"})
