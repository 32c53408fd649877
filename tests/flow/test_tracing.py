"""One request is one trace: a span a hop, from the caller through every topic and worker to the model, at a collector."""

import json
import threading
import time
import uuid

from collector import Collector, RealCollector
from healing_model import HealingModel
from model_server import ModelServer, is_judge
from test_failures import CODE, GOOD_JUDGEMENT, own_fleet
from test_healing import ask as heal, forget_history, switch_prompt
from test_request import FIBONACCI

CALLER = "00f067aa0ba902b7"
ANSWERED = {"usage": {"prompt_tokens": 21, "completion_tokens": 8,
                      "prompt_tokens_details": {"cached_tokens": 5}}, "model": "small-1"}


def answer(messages):
    text = GOOD_JUDGEMENT if is_judge(messages) else CODE
    return 200, json.dumps({"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
                            **ANSWERED}), {}


def traced(moru, fleet, model, collector, **settings):
    return own_fleet(moru, fleet, model, **{"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": 20,
                                            "LLM_MODEL": "small", **settings})


def ask(moru, members, path="/api/v1/request", sampled="01", body=FIBONACCI, **options):
    """Posts a request in a trace of the caller's, and returns that trace's id and the answer."""
    trace = uuid.uuid4().hex
    headers = {"traceparent": f"00-{trace}-{CALLER}-{sampled}", **options.pop("headers", {})}
    return trace, moru.post(path, body, headers=headers, to=members["gateway"], **options)


def spans_when(moru, collector, trace, count):
    return moru.wait(lambda: (spans := collector.of_trace(trace)) if len(collector.of_trace(trace)) >= count else None,
                     what=f"{count} spans of {trace}, of which {collector.of_trace(trace)} came")


def tree(spans, parent):
    """What stands under a span: (service, name, kind) → the same of its children."""
    return {(span.service, span.name, span.kind, span.attributes.get("moru.purpose")): tree(spans, span.id)
            for span in spans if span.parent == parent}


def test_one_request_is_one_trace_through_every_hop_to_the_model(moru, fleet):
    with ModelServer(answer) as model, RealCollector() as collector:
        members = traced(moru, fleet, model, collector)
        trace, response = ask(moru, members)
        assert response.status_code == 200
        spans = spans_when(moru, collector, trace, 7)
    assert tree(spans, CALLER) == {
        ("moru-gateway", "POST /api/v1/request", "SERVER", None): {
            ("moru-generator", "process requests.high", "CONSUMER", None): {
                ("moru-generator", "chat small", "CLIENT", "refine"): {},
                ("moru-generator", "chat small", "CLIENT", "generate"): {},
                ("moru-evaluator", "process generations.high", "CONSUMER", None): {
                    ("moru-evaluator", "chat small", "CLIENT", "judge"): {},
                    ("moru-recorder", "process evaluations.high", "CONSUMER", None): {}}}}}
    assert len(spans) == 7
    of = {span.name if span.kind != "CLIENT" else span.attributes["moru.purpose"]: span for span in spans}
    assert not any(span.error for span in spans)
    for span in spans:
        assert span.attributes["moru.request_id"] == response.json()["request_id"]
        assert span.attributes["moru.task_type"] == "code_generation"
        assert span.seconds[0] <= span.seconds[1] and abs(span.seconds[1] - time.time()) < 120
    server = of["POST /api/v1/request"]
    assert server.attributes.items() >= {"http.request.method": "POST", "http.route": "/api/v1/request",
                                         "url.path": "/api/v1/request", "http.response.status_code": 200}.items()
    assert server.seconds[0] <= of["refine"].seconds[0] and of["judge"].seconds[1] <= server.seconds[1]
    message = moru.consume("requests", lambda message: message.key == response.json()["request_id"])[0]
    assert of["process requests.high"].attributes.items() >= {
        "messaging.system": "kafka", "messaging.destination.name": "requests.high", "messaging.operation.name": "process",
        "messaging.operation.type": "process", "messaging.destination.partition.id": str(message.partition),
        "messaging.kafka.offset": message.offset, "messaging.consumer.group.name": "moru-generator",
        "moru.attempt": 1, "moru.outcome": "done"}.items()
    assert of["generate"].attributes.items() >= {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "small",
        "gen_ai.usage.input_tokens": 21, "gen_ai.usage.output_tokens": 8, "gen_ai.request.temperature": 0.2,
        "gen_ai.response.finish_reasons": ["stop"], "server.address": "127.0.0.1",
        "server.port": model.server.server_port}.items()


def test_prompts_are_in_spans_only_when_a_setting_says_so_and_keys_never(moru, fleet):
    secrets = {"LLM_API_KEY": "sesame-of-the-model", "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20sesame-of-mine"}
    body = {**FIBONACCI, "user_input": "Write about the saffron zeppelin"}
    contents = ["saffron zeppelin", "return 42", "You judge how well"]
    for capture in ("false", "true"):
        with ModelServer(answer) as model, Collector() as collector:
            members = traced(moru, fleet, model, collector, **secrets,
                             OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=capture)
            trace, response = ask(moru, members, body=body)
            assert response.status_code == 200
            spans = spans_when(moru, collector, trace, 7)
            sent = b"".join(collector.bodies).decode()
            assert [content for content in contents if content in sent] == (contents if capture == "true" else [])
            assert "sesame" not in sent
            assert {headers["authorization"] for headers in collector.headers} == {"Bearer sesame-of-mine"}
            for member in members.values():
                assert "sesame" not in member.log_text()
                moru.stop(member)
    generate = next(span for span in spans if span.attributes.get("moru.purpose") == "generate")
    assert json.loads(generate.attributes["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": [{"type": "text", "content": CODE}], "finish_reason": "stop"}]
    assert json.loads(generate.attributes["gen_ai.input.messages"])[0]["role"] == "user"
    assert json.loads(generate.attributes["gen_ai.system_instructions"])[0]["type"] == "text"


def test_what_fails_is_an_error_in_every_span_it_went_through(moru, fleet):
    with ModelServer(lambda messages: (400, '{"error": {"message": "no"}}', {})) as model, Collector() as collector:
        members = traced(moru, fleet, model, collector)
        trace, response = ask(moru, members)
        assert response.status_code == 502
        spans = spans_when(moru, collector, trace, 4)
    errors = {span.name: span.attributes.get("error.type") for span in spans}
    assert errors.keys() == {"POST /api/v1/request", "process requests.high", "chat small", "process dead-letters"}
    assert (errors["POST /api/v1/request"], errors["process requests.high"]) == ("502", "dead_letter")
    assert errors["chat small"] not in (None, "none") and errors["process dead-letters"] is None
    assert {span.name for span in spans if span.error} == errors.keys() - {"process dead-letters"}
    # The dead letter goes on from the hop that gave up.
    by_name = {span.name: span for span in spans}
    assert by_name["process dead-letters"].parent == by_name["process requests.high"].id


def test_a_trace_that_its_caller_does_not_sample_makes_no_spans(moru, fleet):
    with Collector() as collector:
        members = traced(moru, fleet, None, collector, LLM_BASE_URL="", LLM_API_KEY="")
        quiet, response = ask(moru, members, sampled="00")
        assert response.status_code == 200
        heard, response = ask(moru, members)
        spans_when(moru, collector, heard, 7)
        assert collector.of_trace(quiet) == []
        assert {span.attributes["gen_ai.provider.name"] for span in collector.spans if span.kind == "CLIENT"} == {"mock"}


def test_a_batch_has_one_span_here_and_its_lines_go_on_from_it(moru, fleet):
    with Collector() as collector:
        members = traced(moru, fleet, None, collector, LLM_BASE_URL="", LLM_API_KEY="")
        lines = "\n".join(json.dumps({**FIBONACCI, "user_input": f"Write function {number}"}) for number in range(5))
        trace, response = ask(moru, members, "/api/v1/requests:batch", body=lines,
                              headers={"Content-Type": "application/x-ndjson"})
        assert response.json()["accepted"] == 5
        spans = spans_when(moru, collector, trace, 1 + 5 * 6)
    server, = [span for span in spans if span.kind == "SERVER"]
    assert (server.parent, server.name) == (CALLER, "POST /api/v1/requests:batch")
    assert server.attributes["moru.batch_id"] == response.json()["batch_id"]
    jobs = [span for span in spans if span.name == "process requests.low"]
    assert len(jobs) == 5 and {job.parent for job in jobs} == {server.id}


def test_sigterm_sends_what_has_gathered(moru, fleet):
    with Collector() as collector:
        members = traced(moru, fleet, None, collector, LLM_BASE_URL="", LLM_API_KEY="", OTEL_BSP_SCHEDULE_DELAY=600000)
        trace, response = ask(moru, members)
        assert response.status_code == 200 and collector.spans == []
        moru.wait(lambda: moru.metric(members["recorder"], "agent_spans_queued") == 1)
        assert [moru.stop(member) for member in members.values()] == [0, 0, 0, 0]
        assert len(collector.of_trace(trace)) == 7


def test_a_collector_that_hangs_loses_no_request_and_holds_up_no_end(moru, fleet):
    release = threading.Event()
    with Collector(lambda: release.wait(60) and None) as collector:
        members = traced(moru, fleet, None, collector, LLM_BASE_URL="", LLM_API_KEY="", OTEL_BSP_MAX_QUEUE_SIZE=4,
                         OTEL_EXPORTER_OTLP_TIMEOUT=60000)
        for _ in range(20):
            assert ask(moru, members)[1].status_code == 200
        for name in ("gateway", "generator", "evaluator", "recorder"):
            assert moru.metric(members[name], "agent_spans_dropped_total", reason="full") > 0
            assert moru.metric(members[name], "agent_spans_queued") == 4
        stops = [moru.background(moru.stop, member) for member in members.values()]
        assert [stop.result() for stop in stops] == [0, 0, 0, 0]
        release.set()


def test_a_collector_that_was_away_gets_the_spans_of_meanwhile(moru, fleet):
    away = threading.Event()
    away.set()
    with Collector(lambda: (503, {"Retry-After": "1"}) if away.is_set() else None) as collector:
        members = traced(moru, fleet, None, collector, LLM_BASE_URL="", LLM_API_KEY="")
        traces = [ask(moru, members)[0] for _ in range(3)]
        moru.wait(lambda: len(collector.headers) >= 4)
        assert collector.spans == []
        away.clear()
        for trace in traces:
            assert len(spans_when(moru, collector, trace, 7)) == 7
        moru.wait(lambda: moru.metric(members["gateway"], "agent_spans_exported_total") == 3)


def test_without_a_collector_nothing_waits(moru, fleet):
    assert moru.post("/api/v1/request", FIBONACCI).status_code == 200
    assert moru.metric(fleet.gateway, "agent_spans_queued") == 0
    assert moru.metric(fleet.gateway, "agent_spans_dropped_total") == 0


def test_a_rehearsal_is_a_trace_of_its_own(moru, fleet):
    forget_history(moru)
    with HealingModel() as model, Collector() as collector:
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": 20}
        members = own_fleet(moru, fleet, model, **settings)
        moru.address = lambda to: (to or members["gateway"]).url
        moru.start("optimizer", LLM_BASE_URL=model.url, LLM_API_KEY="not-told", **settings)
        switch_prompt(moru, "Write whatever you like.")
        heal(moru, 3)
        cycle = moru.wait(lambda: moru.row("SELECT id FROM optimizations WHERE status = 'patched'"))
        rehearsed = moru.row("SELECT count(*) AS rows FROM rehearsals")["rows"]
        begun = moru.wait(lambda: found if len(found := [span for span in collector.spans if span.name == "rehearse"])
                          == rehearsed else None)
        for span in begun:
            assert (span.service, span.kind, span.parent, span.error) == ("moru-optimizer", "PRODUCER", "", False)
            assert span.attributes["moru.optimization_id"] == cycle["id"]
            beneath = moru.wait(lambda: tree(collector.of_trace(span.trace), span.id))
            assert list(beneath)[0][:2] == ("moru-generator", "process requests.high")
        asked = {span.attributes["moru.purpose"] for span in collector.spans
                 if span.service == "moru-optimizer" and span.kind == "CLIENT"}
        assert asked == {"analyse", "propose"}
