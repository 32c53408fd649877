-- moru's own tables: final results, the positions they were read from, and what could not be served.

-- The first row for (request_id, run) is the result. Request ids are UUIDv7, so their order is that of time and a day is
-- one range of them; an id without a day of its own (older, or no UUIDv7) goes to the default partition.
CREATE TABLE results (
    request_id UUID NOT NULL,
    run INTEGER NOT NULL,
    tenant TEXT NOT NULL DEFAULT 'default',
    lane TEXT NOT NULL DEFAULT 'normal',
    purpose TEXT NOT NULL DEFAULT 'serve',
    origin_id UUID,
    batch_id UUID,
    line INTEGER,
    task_type TEXT,
    user_input TEXT,
    refined_input TEXT,
    output TEXT,
    prompt_id INTEGER,
    prompt_version INTEGER,
    prompt_hash TEXT,
    model TEXT,
    status TEXT NOT NULL CHECK (status IN ('succeeded', 'failed')),
    score DOUBLE PRECISION,
    passed BOOLEAN,
    detail JSONB,
    error TEXT,
    latency_ms INTEGER,
    accepted_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (request_id, run)
) PARTITION BY RANGE (request_id);

CREATE TABLE results_default PARTITION OF results DEFAULT;

-- The smallest UUID of a day (UTC): 48 bits of milliseconds since 1970, then zeros.
CREATE FUNCTION moru_first_uuid(day date) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT
RETURN (lpad(to_hex((day - DATE '1970-01-01')::bigint * 86400000), 12, '0') || repeat('0', 20))::uuid;

-- Creates the partitions of results from today to days_ahead days on, and drops those whose last day is more than
-- keep_days ago. Says what it did, a row for each: created, kept_in_default (rows of that day are in the default
-- partition already, so it stays there), dropped, deleted (old rows of the default partition), postponed (others held the
-- table; the next call tries again). May be called at any time, by several at once.
CREATE FUNCTION moru_maintain_partitions(days_ahead integer, keep_days integer)
RETURNS TABLE (action text, partition_name text)
LANGUAGE plpgsql AS $$
DECLARE
    today constant date := (now() AT TIME ZONE 'UTC')::date;
    day date;
    old record;
BEGIN
    IF days_ahead IS NULL OR days_ahead < 0 OR keep_days IS NULL OR keep_days < 1 THEN
        RAISE EXCEPTION 'days_ahead must be 0 or more and keep_days 1 or more' USING ERRCODE = '22023';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('moru_maintain_partitions'));
    -- Taking a partition off needs the whole table for a moment; a long query must not make all others wait behind us.
    PERFORM set_config('lock_timeout', '2s', true);

    FOR i IN 0..days_ahead LOOP
        day := today + i;
        partition_name := 'results_' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN to_regclass('public.' || partition_name) IS NOT NULL;
        IF EXISTS (SELECT FROM public.results_default d
                WHERE d.request_id >= moru_first_uuid(day) AND d.request_id < moru_first_uuid(day + 1)) THEN
            action := 'kept_in_default';
        ELSE
            BEGIN
                -- Made beside the table and then attached: that lets readers and writers of other days go on.
                EXECUTE format('CREATE TABLE public.%I (LIKE public.results INCLUDING ALL)', partition_name);
                EXECUTE format('ALTER TABLE public.results ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                    partition_name, moru_first_uuid(day), moru_first_uuid(day + 1));
                action := 'created';
            EXCEPTION
                WHEN check_violation THEN action := 'kept_in_default';
                WHEN lock_not_available THEN action := 'postponed';
            END;
        END IF;
        RETURN NEXT;
    END LOOP;

    FOR old IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'public.results'::regclass AND c.relname ~ '^results_[0-9]{8}$'
            AND to_date(substr(c.relname, 9), 'YYYYMMDD') < today - keep_days
        ORDER BY c.relname
    LOOP
        partition_name := old.relname;
        BEGIN
            EXECUTE format('DROP TABLE public.%I', old.relname);
            action := 'dropped';
        EXCEPTION
            WHEN lock_not_available THEN action := 'postponed';
        END;
        RETURN NEXT;
    END LOOP;

    -- By the time they were recorded: the ids here need not tell a time.
    DELETE FROM public.results_default d WHERE d.created_at < now() - make_interval(days => keep_days);
    IF FOUND THEN
        action := 'deleted';
        partition_name := 'results_default';
        RETURN NEXT;
    END IF;
END
$$;

-- How far a consumer that keeps its own positions has come: next is the first offset it has not recorded.
CREATE TABLE positions (
    consumer TEXT NOT NULL,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    cluster_id TEXT NOT NULL,
    next BIGINT NOT NULL,
    PRIMARY KEY (consumer, topic, partition)
);

-- Moves positions from expected to next, all of them or none: one that is not where it is expected belongs to somebody
-- else by now, and the error (SQLSTATE MR001) takes the surrounding transaction back.
CREATE FUNCTION moru_advance_positions(
    consumer text, topics text[], partitions integer[], expected bigint[], next bigint[])
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    advanced bigint;
    wrong text;
BEGIN
    UPDATE public.positions p SET next = w.next
    FROM unnest($2, $3, $4, $5) AS w (topic, partition, expected, next)
    WHERE p.consumer = $1 AND p.topic = w.topic AND p.partition = w.partition AND p.next = w.expected;
    GET DIAGNOSTICS advanced = ROW_COUNT;
    IF advanced = cardinality($2) THEN
        RETURN;
    END IF;
    SELECT string_agg(format('%s/%s is at %s, not at %s', w.topic, w.partition, coalesce(p.next::text, 'no position'),
        w.expected), '; ') INTO wrong
    FROM unnest($2, $3, $4, $5) AS w (topic, partition, expected, next)
    LEFT JOIN public.positions p ON p.consumer = $1 AND p.topic = w.topic AND p.partition = w.partition
    WHERE p.next IS DISTINCT FROM w.next;
    RAISE EXCEPTION 'positions of % have moved: %', $1, coalesce(wrong, 'a partition was given twice')
        USING ERRCODE = 'MR001';
END
$$;

-- What was given up: the original bytes and headers as they were, and why.
CREATE TABLE dead_letters (
    id BIGSERIAL PRIMARY KEY,
    cluster_id TEXT NOT NULL,
    request_id UUID,
    stage TEXT,
    reason TEXT,
    attempts INTEGER,
    source_topic TEXT,
    source_partition INTEGER,
    source_offset BIGINT,
    message BYTEA,
    headers JSONB,
    failed_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    -- One row for a message that died, however often it is told.
    UNIQUE (cluster_id, source_topic, source_partition, source_offset)
);

CREATE INDEX dead_letters_request_id ON dead_letters (request_id);
CREATE INDEX dead_letters_created_at ON dead_letters (created_at);

-- Records that the recorder itself could not write anywhere else.
CREATE TABLE unrecordable (
    id BIGSERIAL PRIMARY KEY,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    record_offset BIGINT NOT NULL,
    message BYTEA,
    reason TEXT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
