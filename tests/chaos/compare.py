"""What was acknowledged against what is recorded: lost, doubled, different; and where a lost one was last seen."""

import collections
import dataclasses
import random

import confluent_kafka
import confluent_kafka.admin

from http_client import Broken, Connection

COLUMNS = {"request_id": "request_id::text", "user_input": "user_input", "refined_input": "refined_input",
           "worker_output": "worker_output", "evaluation_score": "evaluation_score",
           "evaluation_passed": "evaluation_passed", "prompt_version": "prompt_version", "error": "error_message"}
SAMPLE = 1000
SHOWN = 5  # cases that are told in full


@dataclasses.dataclass
class Verdict:
    """Each list holds sentences, one for each case."""

    lost: list = dataclasses.field(default_factory=list)
    doubled: list = dataclasses.field(default_factory=list)
    different: list = dataclasses.field(default_factory=list)
    lost_ids: list = dataclasses.field(default_factory=list)
    doubled_ids: list = dataclasses.field(default_factory=list)
    rows: int = 0
    failed: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    compared: int = 0  # answers, of GET and of synchronous calls
    abandoned: int = 0  # abandoned submissions that left a row

    @property
    def good(self):
        return not (self.lost or self.doubled or self.different)


def read_rows(counter):
    sql = f"SELECT {', '.join(COLUMNS.values())}, created_at::text FROM execution_logs ORDER BY id"
    return [dict(zip([*COLUMNS, "created_at"], row)) for row in counter.rows(sql)]


def missing(ledger, counter):
    """How many acknowledged ids have no row."""
    recorded = {row[0] for row in counter.rows("SELECT request_id::text FROM execution_logs")}
    return len({told for submission in ledger.submissions for told in submission.ids} - recorded)


def compare(ledger, counter):
    verdict = Verdict()
    by_id, by_input = collections.defaultdict(list), collections.defaultdict(list)
    for row in read_rows(counter):
        verdict.rows += 1
        by_id[row["request_id"]].append(row)
        by_input[row["user_input"]].append(row)
        if row["error"]:
            verdict.failed[row["error"][:120]] += 1
    for submission in ledger.submissions:
        judge(submission, by_id, by_input, verdict)
    sent = {submission.user_input for submission in ledger.submissions}
    for user_input in by_input.keys() - sent:
        verdict.different.append(f"a row has an input that nobody sent: {user_input[:200]!r}")
    return verdict, by_id


def judge(submission, by_id, by_input, verdict):
    if len(submission.ids) > 1:
        verdict.doubled.append(f"{submission.key} was told {len(submission.ids)} ids: {sorted(submission.ids)}")
        verdict.doubled_ids += submission.ids
    for told in submission.ids:
        for row in by_id[told]:
            if row["user_input"] != submission.user_input:
                verdict.different.append(f"{told}: sent {submission.user_input!r}, recorded {row['user_input']!r}")
        if not by_id[told]:
            verdict.lost_ids.append(told)
            verdict.lost.append(f"{told} ({submission.key}, {submission.kind}, {submission.tries} tries)")
    rows = by_input.get(submission.user_input, [])
    if len(rows) > 1:
        verdict.doubled.append(f"{submission.key} ({submission.kind}) has {len(rows)} rows: "
                               + ", ".join(f"{row['request_id']} at {row['created_at']}" for row in rows))
        verdict.doubled_ids += {row["request_id"] for row in rows}
    if submission.kind == "abandoned" and rows:
        verdict.abandoned += 1
    if submission.answer and rows:
        compare_answer(submission.answer, rows[0], "a synchronous call", verdict)


def compare_answer(answer, row, who, verdict):
    verdict.compared += 1
    for name in COLUMNS:
        if answer.get(name) != row[name]:
            verdict.different.append(f"{row['request_id']}: {name} is {answer.get(name)!r} to {who}, "
                                     f"{row[name]!r} in the row")


async def compare_answers(ledger, urls, by_id, verdict):
    """GET of a sample at each gateway, against the row."""
    told = sorted(one for submission in ledger.submissions for one in submission.ids if len(by_id[one]) == 1)
    sample = random.Random(f"sample {ledger.seed}").sample(told, min(SAMPLE, len(told)))
    for url in urls:
        connection = Connection(url)
        for request_id in sample:
            try:
                status, _, answer = await connection.call("GET", f"/api/v1/requests/{request_id}")
            except Broken as broken:
                status, answer = str(broken), None
            if status != 200:
                verdict.different.append(f"GET {request_id} at {url}: {status} {answer}")
            else:
                compare_answer(answer, by_id[request_id][0], f"GET at {url}", verdict)
        connection.close()


async def model_calls(port, ledger):
    """How often the model was asked for the output of each submission, {key: calls}."""
    connection = Connection(f"http://127.0.0.1:{port}")
    _, _, counts = await connection.call("GET", "/", timeout=30)
    connection.close()
    return {ledger.submissions[int(number)].key: calls for number, calls in counts.items()}


def traces(world, ids):
    """For the first of these ids: what each log and each topic says of it, and how far each group has come."""
    wanted = list(dict.fromkeys(ids))[:SHOWN]
    lines = []
    for process in world.processes():
        for line in process.log_text().splitlines():
            if any(one in line for one in wanted):
                lines.append(f"{process.service.log.name}: {line[:400]}")
    return lines + topic_traces(world.brokers, set(wanted)) + positions(world)


def topic_traces(brokers, wanted):
    """Reads all of every topic."""
    consumer = confluent_kafka.Consumer({"bootstrap.servers": brokers, "group.id": "chaos", "enable.auto.commit": False,
                                         "enable.partition.eof": True, "auto.offset.reset": "earliest",
                                         "error_cb": lambda error: None})
    topics = consumer.list_topics(timeout=30).topics
    partitions = [confluent_kafka.TopicPartition(name, number, 0) for name in topics if not name.startswith("__")
                  for number in topics[name].partitions]
    consumer.assign(partitions)
    lines, ended = [], set()
    while len(ended) < len(partitions):
        message = consumer.poll(10)
        if message is None:
            lines.append("the topics could not be read to their end")
            break
        if message.error():
            ended.add((message.topic(), message.partition()))
        elif (message.key() or b"").decode(errors="replace") in wanted:
            headers = {name: (value or b"")[:80] for name, value in message.headers() or []
                       if not name.startswith(("ce_", "traceparent"))}
            lines.append(f"{message.topic()}/{message.partition()}@{message.offset()} at {message.timestamp()[1]}: "
                         f"{message.key().decode()} {headers}")
    consumer.close()
    return lines


def positions(world):
    admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": world.brokers})
    lines = []
    for group in admin.list_consumer_groups().result(30).valid:
        request = confluent_kafka.ConsumerGroupTopicPartitions(group.group_id)
        found = admin.list_consumer_group_offsets([request])[group.group_id].result(30).topic_partitions
        told = ", ".join(f"{one.topic}/{one.partition}@{one.offset}" for one in found if one.offset > 0)
        lines.append(f"group {group.group_id}: {told}")
    return lines
