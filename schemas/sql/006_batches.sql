-- Batches by upload. A row stands from the upload's begin where it has an idempotency key, else from its end.
CREATE TABLE batches (
    id UUID PRIMARY KEY,
    tenant TEXT NOT NULL,
    -- SHA-256 of the idempotency key; NULL: there is none, or it is past its time.
    key_hash TEXT,
    -- SHA-256 of the body, once Kafka has every line that is not bad by itself: then the same body has nothing to add.
    body_hash TEXT,
    lines INTEGER,
    accepted INTEGER,
    rejected INTEGER,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    finished_at TIMESTAMPTZ,
    UNIQUE (tenant, key_hash)
);

CREATE INDEX batches_created_at ON batches (created_at);

CREATE INDEX results_batch ON results (batch_id, line, run DESC) WHERE batch_id IS NOT NULL;
