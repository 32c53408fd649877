"""Keys and passwords reach no log, answer, row, message, metric or span, whatever the servers that know them say."""

import json
import urllib.parse

import pytest

from collector import Collector
from model_server import ModelServer, is_judge
from test_failures import CODE, GOOD_JUDGEMENT, own_fleet
from test_models_calls import whole
from test_request import FIBONACCI

FIRST, SPARE, OTEL = "sk-first-7Hq2Zp", "sk-spare-9Kw4Xe", "otel-5Tn8Lu"
DATABASE, KAFKA, REQUEST_ID = "database-3Vb6Rc", "kafka-1Ym0Gd", "5a" * 32
WRONG = "wrong-8Db1Jx"
SECRETS = (FIRST, SPARE, OTEL, DATABASE, KAFKA, REQUEST_ID, WRONG)


def error_with(key, status, **members):
    said = f"Incorrect API key provided: {key} (you sent 'Authorization: Bearer {key}')"
    return status, json.dumps({"error": {"message": said, "type": key, "code": "wrong", **members}}), {"X-Key": key}


# How a server fails that shows its caller's key in all that it says.
FAILURES = {
    "bad request": lambda key: error_with(key, 400),
    "wrong key": lambda key: error_with(key, 401),
    "limited": lambda key: error_with(key, 429),
    "failed": lambda key: error_with(key, 503),
    "failed within": lambda key: error_with(key, 200, code=500),
    "plain text": lambda key: (500, f"the key {key} was not served", {"Content-Type": "text/plain"}),
    "long": lambda key: (500, json.dumps({"detail": f"{'x' * 190}{key}" * 20}), {}),
    "half JSON": lambda key: (200, f'{{"error": "{key}', {}),
    "refused": lambda key: (200, whole({"content": None, "refusal": f"I will not, {key}."}), {}),
    "filtered": lambda key: (200, whole({"content": key}, "content_filter"), {}),
}


class EchoingServer(ModelServer):
    """Fails as failing says; None: it answers well."""

    def __init__(self, key):
        self.failing = None
        super().__init__(lambda messages: FAILURES[self.failing](key) if self.failing else
                         GOOD_JUDGEMENT if is_judge(messages) else CODE)


@pytest.fixture
def database_url(moru, fleet):
    """The database's, with a password that is found by looking for it."""
    address = urllib.parse.urlsplit(moru.database_url)
    moru.execute(f"ALTER ROLE {address.username} PASSWORD '{DATABASE}'")
    yield moru.database_url.replace(f":{address.password}@", f":{DATABASE}@")
    moru.execute(f"ALTER ROLE {address.username} PASSWORD '{address.password}'")


def tables(moru):
    """Partitions as well."""
    return [row["name"] for row in moru.rows("SELECT quote_ident(table_name) AS name FROM information_schema.tables "
                                             "WHERE table_schema = 'public'")]


def test_secrets_stay_where_they_were_given(moru, fleet, database_url):
    refusals = [(401, {}), (503, {}), None]  # the collector's, then it takes what comes
    collector_fails = lambda: refusals.pop(0) if refusals else None
    with EchoingServer(FIRST) as first, EchoingServer(SPARE) as spare, Collector(collector_fails) as collector:
        members = own_fleet(moru, fleet, first, **{
            "LLM_API_KEY": FIRST, "OPENAI_API_KEY": SPARE, "LLM_FALLBACKS": f"spare=openai:small@{spare.url}",
            "LLM_TRIES_MAX": 3, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": 20,
            "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer {OTEL}", "DATABASE_URL": database_url,
            "KAFKA_CONFIG_SASL_PASSWORD": KAFKA, "REQUEST_ID_KEY": REQUEST_ID, "LOG_LEVEL": "debug"})
        answers = [moru.post("/api/v1/request", FIBONACCI, to=members["gateway"])]
        assert answers[0].status_code == 200, answers[0].text
        for failure in FAILURES:
            first.failing = spare.failing = failure
            answers.append(moru.post("/api/v1/request", FIBONACCI, to=members["gateway"]))
            assert answers[-1].status_code == 502, f"{failure}: {answers[-1].text}"
            first.failing = spare.failing = None
            answers.append(moru.post("/api/v1/request", FIBONACCI, to=members["gateway"]))
            assert answers[-1].status_code == 200, f"after {failure}: {answers[-1].text}"
        # With another password the database says that this one is wrong, and who is refused says so in turn.
        recorder = moru.start("recorder", ready=False, DATABASE_URL=database_url.replace(DATABASE, WRONG), LOG_LEVEL="debug")
        moru.wait(lambda: moru.log_event(recorder, "postgres_waiting"))
        answers.append(moru.get("/ready", to=recorder))
        members["refused recorder"] = recorder
        moru.wait(lambda: any(span.name == "chat small" and span.error for span in collector.spans),
                  what=f"the span of a failed call of the fallback among {collector.spans}")
        answers += [moru.get("/metrics", to=member) for member in members.values()]
        shown = {f"answer {number}": answer.text + str(answer.headers) for number, answer in enumerate(answers)}
        shown |= {f"{name}'s log": member.log_text() for name, member in members.items()}
        shown |= {table: str(moru.rows(f"SELECT * FROM {table}")) for table in tables(moru)}
        shown |= {topic: str(moru.published(topic)) for topic in moru.topics()}
        shown["spans"] = str(collector.bodies)
        # It was looked where something is: each failure left its trace, and both servers were sent their keys.
        assert "Incorrect API key provided: ***" in shown["execution_logs"]
        assert "Incorrect API key provided: ***" in shown["dead-letters"] + shown["generator's log"]
        assert any(OTEL in str(headers) for headers in collector.headers)
        assert [(where, secret) for where, text in shown.items() for secret in SECRETS if secret in text] == []
        stop_codes = [moru.stop(member) for member in members.values()]
        assert stop_codes == [0] * len(stop_codes)
        assert not [secret for member in members.values() for secret in SECRETS if secret in member.log_text()]
