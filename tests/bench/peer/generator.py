"""The peer's generator: read the active prompt from Postgres on each request, ask the model."""
import time
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException

from peer import mock
from peer.common import Task, TaskResult, open_pool

ACTIVE_PROMPT = """SELECT version, content FROM prompts WHERE task_type = $1 AND is_active
    ORDER BY version DESC, id DESC LIMIT 1"""


@asynccontextmanager
async def lifespan(service: FastAPI):
    service.state.pool = await open_pool()
    yield
    await service.state.pool.close()


app = FastAPI(lifespan=lifespan)


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/api/v1/task")
async def generate(task: Task) -> TaskResult:
    start = time.monotonic()
    prompt = await app.state.pool.fetchrow(ACTIVE_PROMPT, task.task_type)
    if prompt is None:
        raise HTTPException(422, "unknown task_type")
    output = mock.write(prompt["content"], task.refined_input)
    return TaskResult(request_id=task.request_id, output=output, prompt_version=prompt["version"],
                      latency_ms=int((time.monotonic() - start) * 1000))
