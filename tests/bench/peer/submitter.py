"""The peer of submissions: checks the body, keeps it in Kafka, answers 202 once Kafka has acknowledged it.

To its advantage it leaves out what moru does beside (the trace, a CloudEvent's headers, the check of the task type, a
model of the answer), sends large batches, and collects garbage seldom: that alone was a quarter more at 1,000
connections."""
import gc
import json
import os
from contextlib import asynccontextmanager
from uuid import uuid4

from aiokafka import AIOKafkaProducer
from fastapi import FastAPI, Response

from peer.common import UserRequest

TOPIC = os.environ["PEER_TOPIC"]
BATCH_BYTES = 262_144


@asynccontextmanager
async def lifespan(service: FastAPI):
    producer = AIOKafkaProducer(bootstrap_servers=os.environ["PEER_BROKERS"], acks="all", enable_idempotence=True,
                                max_batch_size=BATCH_BYTES)
    await producer.start()
    service.state.producer = producer
    gc.freeze()
    gc.set_threshold(200_000, 50, 50)
    yield
    await producer.stop()


app = FastAPI(lifespan=lifespan)


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/api/v1/requests")
async def submit(request: UserRequest) -> Response:
    request_id = str(uuid4())
    message = {"request_id": request_id, "task_type": request.task_type, "user_input": request.user_input}
    await app.state.producer.send_and_wait(TOPIC, json.dumps(message).encode())
    answer = {"request_id": request_id, "status": "queued", "links": {"self": f"/api/v1/requests/{request_id}"}}
    return Response(json.dumps(answer), 202, media_type="application/json")
