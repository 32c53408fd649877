-- Requests that are refined and not generated yet, so that a generator that starts again does not pay for that twice. A
-- row goes when its job has ended; one that stays, because the generator ended in that moment or the job's last try failed,
-- within the hour. UNLOGGED: losing it when Postgres itself crashes costs one more call of the model, writing it to the
-- log would cost each request.
CREATE UNLOGGED TABLE refined_inputs (
    request_id UUID NOT NULL,
    run INTEGER NOT NULL,
    refined_input TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (request_id, run)
);

-- Rows live for seconds: compressing them costs more than it saves.
ALTER TABLE refined_inputs ALTER COLUMN refined_input SET STORAGE EXTERNAL;
