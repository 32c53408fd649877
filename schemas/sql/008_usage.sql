-- What calls of models used, a row for each try, and the daily budget that all replicas share.

-- cost_nanousd: thousand millionths of a US dollar. Rows are summed up by days, so a day is a partition, and there is no
-- index: it would cost more than all else about a row.
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

-- What of a day's budget (UTC) is spent or in leases. limit_nanousd is that of whoever asked last; refused_at is set when
-- there was too little left for somebody.
CREATE TABLE budget_days (
    day DATE PRIMARY KEY,
    taken_nanousd BIGINT NOT NULL DEFAULT 0,
    limit_nanousd BIGINT NOT NULL DEFAULT 0,
    refused_at TIMESTAMPTZ
);

-- What each process has taken of a day's budget. A process that lives confirms its lease, and gives back what it does not
-- use; one past its time counts as spent, all of it, for nobody can tell what its holder, killed maybe, still spent.
CREATE TABLE budget_leases (
    id UUID PRIMARY KEY,
    day DATE NOT NULL,
    holder TEXT NOT NULL,
    amount_nanousd BIGINT NOT NULL CHECK (amount_nanousd >= 0),
    used_nanousd BIGINT NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX budget_leases_day ON budget_leases (day);

-- Raises a lease of today's budget, which is made with its first call, to used (what its holder has spent and reserved)
-- and at least lowest, at most highest, more; granted is false when less than lowest is left. With highest 0 what is not
-- used goes back. The amount that was leased before is never lowered but by that. left_nanousd is what nobody has taken.
-- amount is NULL when the lease is one of a day before: what was not used has gone back to that day, and a new id is
-- needed. May be called again with the same arguments when the outcome is not known.
CREATE FUNCTION moru_hold_budget(
    lease_id uuid, lease_holder text, day_limit bigint, used bigint, lowest bigint, highest bigint, hold_seconds double precision)
RETURNS TABLE (amount bigint, granted boolean, left_nanousd bigint, valid_ms bigint, day_ms bigint)
LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz;
    today date;
    midnight timestamptz;
    held public.budget_leases;
    budget public.budget_days;
    extra bigint;
BEGIN
    -- The first row of all that is locked, whatever the day: whoever else leases waits here until this transaction ends.
    PERFORM pg_advisory_xact_lock(hashtext('moru_hold_budget'));
    moment := clock_timestamp();
    today := (moment AT TIME ZONE 'UTC')::date;
    midnight := (today + 1)::timestamp AT TIME ZONE 'UTC';
    SELECT * INTO held FROM public.budget_leases l WHERE l.id = lease_id;
    IF FOUND AND held.day <> today THEN
        UPDATE public.budget_days d SET taken_nanousd = d.taken_nanousd + used - held.amount_nanousd WHERE d.day = held.day;
        UPDATE public.budget_leases l SET amount_nanousd = used, used_nanousd = used WHERE l.id = lease_id;
        RETURN NEXT;
        RETURN;
    END IF;
    INSERT INTO public.budget_days (day) VALUES (today) ON CONFLICT DO NOTHING;
    SELECT * INTO budget FROM public.budget_days d WHERE d.day = today FOR UPDATE;
    held.amount_nanousd := coalesce(held.amount_nanousd, 0);
    extra := greatest(day_limit - (budget.taken_nanousd - held.amount_nanousd) - used, 0);
    granted := extra >= lowest;
    extra := CASE WHEN granted THEN least(extra, greatest(highest, lowest)) ELSE 0 END;
    amount := CASE WHEN highest = 0 THEN used ELSE greatest(held.amount_nanousd, used + extra) END;
    budget.taken_nanousd := budget.taken_nanousd - held.amount_nanousd + amount;
    UPDATE public.budget_days d SET taken_nanousd = budget.taken_nanousd, limit_nanousd = day_limit,
        refused_at = CASE WHEN NOT moru_hold_budget.granted THEN moment WHEN extra > 0 THEN NULL ELSE d.refused_at END
        WHERE d.day = today;
    INSERT INTO public.budget_leases AS l (id, day, holder, amount_nanousd, used_nanousd, expires_at)
        VALUES (lease_id, today, lease_holder, amount, used, least(moment + make_interval(secs => hold_seconds), midnight))
        ON CONFLICT (id) DO UPDATE SET amount_nanousd = excluded.amount_nanousd, used_nanousd = excluded.used_nanousd,
            expires_at = excluded.expires_at;
    left_nanousd := greatest(day_limit - budget.taken_nanousd, 0);
    day_ms := ceil(extract(epoch FROM midnight - moment) * 1000);
    valid_ms := floor(least(hold_seconds, extract(epoch FROM midnight - moment)) * 1000);
    RETURN NEXT;
END
$$;
