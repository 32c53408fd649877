"""The peer's gateway: refine, ask generator and evaluator over HTTP, write the row, answer."""
import os
from contextlib import asynccontextmanager
from uuid import uuid4

from fastapi import FastAPI

from peer import mock
from peer.common import (Evaluate, Evaluation, Reply, Task, TaskResult, UserRequest, Service, detail_json, open_client,
                         open_pool)

TASK_URL = os.environ["PEER_GENERATOR_URL"] + "/api/v1/task"
EVALUATE_URL = os.environ["PEER_EVALUATOR_URL"] + "/api/v1/evaluate"
INSERT = """INSERT INTO execution_logs(request_id, task_type, user_input, refined_input, prompt_version, worker_output,
    worker_latency_ms, evaluation_score, evaluation_passed, evaluation_detail)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"""


@asynccontextmanager
async def lifespan(service: FastAPI):
    service.state.pool = await open_pool()
    async with open_client() as client:
        service.state.generator = Service(client, TASK_URL, TaskResult)
        service.state.evaluator = Service(client, EVALUATE_URL, Evaluation)
        yield
    await service.state.pool.close()


app = FastAPI(lifespan=lifespan)


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/api/v1/request")
async def serve(request: UserRequest) -> Reply:
    request_id = uuid4()
    refined = mock.refine(request.user_input)
    task = Task(request_id=request_id, task_type=request.task_type, refined_input=refined)
    made = await app.state.generator.post(task)
    question = Evaluate(request_id=request_id, task_type=request.task_type, user_input=request.user_input,
                        refined_input=refined, worker_output=made.output)
    judged = await app.state.evaluator.post(question)
    await app.state.pool.execute(INSERT, request_id, request.task_type, request.user_input, refined,
                                 made.prompt_version, made.output, made.latency_ms, judged.score, judged.passed,
                                 detail_json(judged.detail))
    return Reply(request_id=request_id, refined_input=refined, worker_output=made.output,
                 evaluation_score=judged.score, evaluation_passed=judged.passed, prompt_version=made.prompt_version)
