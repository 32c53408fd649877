-- The peer's own copy of the fixed tables it uses, as moru has them, in a schema of its own.
CREATE SCHEMA peer;

CREATE TABLE prompts(
    id SERIAL PRIMARY KEY,
    task_type VARCHAR(64) NOT NULL,
    content TEXT NOT NULL,
    version INTEGER NOT NULL DEFAULT 1,
    is_active BOOLEAN NOT NULL DEFAULT TRUE,
    change_reason TEXT,
    created_by VARCHAR(64) NOT NULL DEFAULT 'system',
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW());

CREATE TABLE execution_logs(
    id SERIAL PRIMARY KEY,
    request_id UUID NOT NULL,
    task_type VARCHAR(64) NOT NULL,
    user_input TEXT NOT NULL,
    refined_input TEXT,
    prompt_version INTEGER,
    worker_output TEXT,
    worker_latency_ms INTEGER,
    evaluation_score FLOAT,
    evaluation_passed BOOLEAN,
    evaluation_detail JSONB,
    error_message TEXT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW());

CREATE INDEX prompts_active ON prompts(task_type, version DESC, id DESC) WHERE is_active;

INSERT INTO prompts(task_type, content) VALUES ('code_generation',
    'You write correct, complete Python. Answer with one fenced code block and no other text.');
