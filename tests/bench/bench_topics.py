"""The Kafka topics of a bench: made like moru's own, and how many records they hold."""
import asyncio
import json

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from private_stack import ROOT


def declared(name):
    """The topic of that name in schemas/topics.json."""
    topics = json.loads((ROOT / "schemas" / "topics.json").read_text())["topics"]
    return next(topic for topic in topics if topic["name"] == name)


async def create(brokers, name, like):
    topic = declared(like)
    settings = {"message.timestamp.type": "LogAppendTime", "retention.ms": str(topic["retention_ms"]),
                "max.message.bytes": str(topic["max_message_bytes"]), "min.insync.replicas": "1"}
    admin = AIOKafkaAdminClient(bootstrap_servers=brokers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, topic["partitions"], 1, topic_configs=settings)])
    finally:
        await admin.close()


async def count(brokers, names):
    consumer = AIOKafkaConsumer(bootstrap_servers=brokers)
    await consumer.start()
    try:
        partitions = [TopicPartition(name, partition) for name in names
                      for partition in range(declared(name.split(".")[0])["partitions"])]
        ends = await consumer.end_offsets(partitions)
    finally:
        await consumer.stop()
    return sum(ends.values())


def create_topic(stack, name, like):
    asyncio.run(create(stack.urls["KAFKA_BROKERS"], name, like))


def count_records(stack, *names):
    """How many records were ever written to these topics, which are named like a declared one and a suffix."""
    return asyncio.run(count(stack.urls["KAFKA_BROKERS"], names))
