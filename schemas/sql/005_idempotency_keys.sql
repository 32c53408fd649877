-- Which request an idempotency key stands for; rows past their time are replaced by the next use of the key, and deleted
-- now and then.
CREATE TABLE idempotency_keys (
    tenant TEXT NOT NULL,
    key_hash TEXT NOT NULL,
    request_id UUID NOT NULL,
    body_hash TEXT NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (tenant, key_hash)
);

CREATE INDEX idempotency_keys_expires_at ON idempotency_keys (expires_at);
