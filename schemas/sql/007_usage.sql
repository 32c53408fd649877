-- What calls of models used, a row for each try, and the daily budget that all replicas share.

-- cost_nanousd: thousand millionths of a US dollar. Rows are read by days, so a day is a partition; no other index is
-- needed by more than a person who looks for one request, and its ids rise with time.
CREATE TABLE model_calls (
    ended_at TIMESTAMPTZ NOT NULL,
    cost_nanousd BIGINT NOT NULL,
    request_id UUID,
    duration_ms INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    number SMALLINT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    purpose TEXT NOT NULL,
    outcome TEXT NOT NULL,
    task_type TEXT NOT NULL,
    tenant TEXT NOT NULL
) PARTITION BY RANGE (ended_at);

CREATE TABLE model_calls_default PARTITION OF model_calls DEFAULT;

CREATE INDEX model_calls_request_id ON model_calls USING brin (request_id);

-- Creates the partitions of model_calls from today to days_ahead days on (UTC), and drops those whose day is more than
-- keep_days ago. Says what it did in the words of moru_maintain_partitions. May be called at any time, by several at once.
CREATE FUNCTION moru_maintain_model_calls(days_ahead integer, keep_days integer)
RETURNS TABLE (action text, partition_name text)
LANGUAGE plpgsql AS $$
DECLARE
    today constant date := (now() AT TIME ZONE 'UTC')::date;
    first_moment timestamptz;
    old record;
BEGIN
    IF days_ahead IS NULL OR days_ahead < 0 OR keep_days IS NULL OR keep_days < 1 THEN
        RAISE EXCEPTION 'days_ahead must be 0 or more and keep_days 1 or more' USING ERRCODE = '22023';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('moru_maintain_model_calls'));
    PERFORM set_config('lock_timeout', '2s', true);

    FOR i IN 0..days_ahead LOOP
        first_moment := (today + i)::timestamp AT TIME ZONE 'UTC';
        partition_name := 'model_calls_' || to_char(today + i, 'YYYYMMDD');
        CONTINUE WHEN to_regclass('public.' || partition_name) IS NOT NULL;
        IF EXISTS (SELECT FROM public.model_calls_default d
                WHERE d.ended_at >= first_moment AND d.ended_at < first_moment + interval '24 hours') THEN
            action := 'kept_in_default';
        ELSE
            BEGIN
                EXECUTE format('CREATE TABLE public.%I (LIKE public.model_calls INCLUDING ALL)', partition_name);
                EXECUTE format('ALTER TABLE public.model_calls ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                    partition_name, first_moment, first_moment + interval '24 hours');
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
        WHERE i.inhparent = 'public.model_calls'::regclass AND c.relname ~ '^model_calls_[0-9]{8}$'
            AND to_date(substr(c.relname, 13), 'YYYYMMDD') < today - keep_days
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

    DELETE FROM public.model_calls_default d WHERE d.ended_at < now() - make_interval(days => keep_days);
    IF FOUND THEN
        action := 'deleted';
        partition_name := 'model_calls_default';
        RETURN NEXT;
    END IF;
END
$$;

-- What of a day's budget (UTC) is spent or out in leases. Never more than the limit that was in force when it was leased.
CREATE TABLE budget_days (
    day DATE PRIMARY KEY,
    taken_nanousd BIGINT NOT NULL DEFAULT 0 CHECK (taken_nanousd >= 0)
);

-- Amounts that processes hold for their calls. One that is settled is gone from here, and what it did not use was given
-- back; one past its time counts as spent: nobody can tell what its holder, killed maybe, still spent of it.
CREATE TABLE budget_leases (
    id BIGSERIAL PRIMARY KEY,
    day DATE NOT NULL,
    holder TEXT NOT NULL,
    amount_nanousd BIGINT NOT NULL CHECK (amount_nanousd >= 0),
    expires_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX budget_leases_expires_at ON budget_leases (expires_at);

-- Leases at least lowest and at most highest of today's budget. lease_id is NULL when less than lowest is left; left_nanousd is
-- what of the budget nobody has taken, after this. A lease ends with its day.
CREATE FUNCTION moru_lease_budget(
    limit_nanousd bigint, lowest bigint, highest bigint, new_holder text, hold_seconds double precision)
RETURNS TABLE (lease_id bigint, amount bigint, left_nanousd bigint, valid_ms bigint, day_ms bigint)
LANGUAGE plpgsql AS $$
DECLARE
    moment constant timestamptz := clock_timestamp();
    today constant date := (moment AT TIME ZONE 'UTC')::date;
    midnight constant timestamptz := (today + 1)::timestamp AT TIME ZONE 'UTC';
    ends timestamptz := least(moment + make_interval(secs => hold_seconds), midnight);
    taken bigint;
BEGIN
    INSERT INTO public.budget_days (day) VALUES (today) ON CONFLICT DO NOTHING;
    -- Whoever else leases or settles waits here until this transaction ends.
    SELECT taken_nanousd INTO taken FROM public.budget_days WHERE day = today FOR UPDATE;
    left_nanousd := greatest(limit_nanousd - taken, 0);
    day_ms := extract(epoch FROM midnight - moment) * 1000;
    valid_ms := extract(epoch FROM ends - moment) * 1000;
    amount := 0;
    IF left_nanousd >= lowest THEN
        amount := least(left_nanousd, greatest(highest, lowest));
        left_nanousd := left_nanousd - amount;
        UPDATE public.budget_days SET taken_nanousd = taken + amount WHERE day = today;
        INSERT INTO public.budget_leases (day, holder, amount_nanousd, expires_at)
            VALUES (today, new_holder, amount, ends) RETURNING id INTO lease_id;
    END IF;
    RETURN NEXT;
END
$$;

-- Ends a lease: what is unused goes back to its day. May be called again: it then changes nothing.
CREATE FUNCTION moru_settle_budget(settled_id bigint, unused bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    settled public.budget_leases;
BEGIN
    DELETE FROM public.budget_leases WHERE id = settled_id RETURNING * INTO settled;
    IF FOUND THEN
        UPDATE public.budget_days SET taken_nanousd = taken_nanousd - least(greatest(unused, 0), settled.amount_nanousd)
            WHERE day = settled.day;
    END IF;
END
$$;
