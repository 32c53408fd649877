"""Many calls of the model in flight, and generators that end in their midst: only calls that had no answer are repeated."""

from simulator import Simulator
from test_request import request_message

MANY = 1000
SETTINGS = {"LLM_API_KEY": "not-told", "WORKER_IN_FLIGHT_MAX": 2 * MANY, "LLM_TIMEOUT_MS": 120_000}


def start_generator(moru, fleet, model):
    fleet.stop()
    return moru.start("generator", LLM_BASE_URL=model.url, **SETTINGS)


def submit(moru, name, count):
    """Puts requests on requests.normal, each with an input of its own; returns their ids."""
    messages = [request_message(lane="normal", user_input=f"Write a Python function that reverses a {name} {number}")
                for number in range(count)]
    for message in messages:
        moru.produce("requests.normal", message, key=message["request_id"])
    return {message["request_id"] for message in messages}


def wait_generated(moru, ids):
    generations = moru.consume("generations", lambda message: message.key in ids, count=len(ids), timeout=60)
    assert {message.key for message in generations} == ids
    return generations


def wait_committed(moru, generator):
    moru.wait(lambda: moru.metric(generator, "agent_jobs_in_flight") == 0)
    moru.wait(lambda: moru.metric(generator, "agent_consumer_lag") == 0)


def kept(moru, ids):
    """How many of their refined inputs are kept: others' may be left from generators that were killed."""
    return moru.row("SELECT count(*) AS count FROM refined_inputs WHERE request_id = ANY(%s::uuid[])", [list(ids)])["count"]


def test_a_kill_9_with_1000_calls_in_flight_repeats_these_and_no_other(moru, fleet):
    with Simulator(fates_of="author") as model:
        generator = start_generator(moru, fleet, model)
        done = submit(moru, "list", 100)
        wait_generated(moru, done)
        wait_committed(moru, generator)
        moru.wait(lambda: kept(moru, done) == 0)
        model.control(hang_share=1)
        cut = submit(moru, "string", MANY)
        moru.wait(lambda: model.stats()["hung"] == MANY)
        moru.wait(lambda: kept(moru, cut) == MANY)
        moru.kill(generator)
        model.control(hang_share=0)
        moru.restart(generator)
        generations = wait_generated(moru, cut)
        stats = model.stats()
        # Each was refined once, what was asked of the author is asked again, and what was done is not.
        assert (stats["repeats"]["refiner"], stats["repeats"]["author"]) == (0, MANY)
        assert sum(stats["repeats_of_answered"].values()) == 0
        assert all(message.value["refined_input"] == message.value["user_input"] for message in generations)
        wait_committed(moru, generator)
        moru.wait(lambda: kept(moru, cut) == 0)


def test_a_sigterm_whose_grace_covers_the_calls_repeats_none(moru, fleet):
    with Simulator(latency_ms=1000, jitter_ms=1000) as model:
        generator = start_generator(moru, fleet, model)
        ids = submit(moru, "tuple", MANY)
        moru.wait(lambda: model.stats()["roles"]["author"] > 0)
        assert moru.stop(generator) == 0
        stopped = model.stats()
        assert (stopped["in_flight"], stopped["left"]) == (0, 0)
        moru.restart(generator)
        wait_generated(moru, ids)
        stats = model.stats()
        assert sum(stats["repeats"].values()) == 0
        assert stats["calls"] == 2 * MANY


def test_what_was_refined_survives_tries_and_the_mock_keeps_nothing(moru, fleet):
    # A wait of more than 5 s is spent on the topic deferred: the job comes again.
    with Simulator(fates_of="author", rate_limit_share=1, retry_after_s=6) as model:
        generator = start_generator(moru, fleet, model)
        ids = submit(moru, "queue", 3)
        moru.wait(lambda: moru.metric(generator, "agent_job_retries_total") >= 3)
        model.control(rate_limit_share=0)
        wait_generated(moru, ids)
        assert model.stats()["repeats"]["refiner"] == 0
        moru.stop(generator)
    mock = moru.start("generator")
    ids = submit(moru, "stack", 3)
    wait_generated(moru, ids)
    wait_committed(moru, mock)
    assert kept(moru, ids) == 0
