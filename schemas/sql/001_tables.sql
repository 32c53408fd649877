-- The three tables that users' own tools read and write: names, types and defaults are fixed.

CREATE TABLE prompts (
    id SERIAL PRIMARY KEY,
    task_type VARCHAR(64) NOT NULL,
    content TEXT NOT NULL,
    version INTEGER NOT NULL DEFAULT 1,
    is_active BOOLEAN NOT NULL DEFAULT TRUE,
    change_reason TEXT,
    created_by VARCHAR(64) NOT NULL DEFAULT 'system',
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW()
);

CREATE TABLE execution_logs (
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
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW()
);

CREATE TABLE optimization_reports (
    id SERIAL PRIMARY KEY,
    task_type VARCHAR(64) NOT NULL,
    before_prompt_version INTEGER NOT NULL,
    before_prompt_content TEXT NOT NULL,
    after_prompt_version INTEGER NOT NULL,
    after_prompt_content TEXT NOT NULL,
    failure_analysis JSONB,
    improvement_pct FLOAT,
    triggered_by VARCHAR(64) NOT NULL DEFAULT 'cronjob',
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW()
);

CREATE INDEX prompts_active ON prompts (task_type, is_active, version DESC);

-- Not unique: people edit and copy these rows.
CREATE INDEX execution_logs_request_id ON execution_logs (request_id);
CREATE INDEX execution_logs_task_type_created_at ON execution_logs (task_type, created_at);
