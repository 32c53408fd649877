-- Who refuses calls, and requests with them, because the daily budget is spent, stands in its lease: so it ends with the
-- process, and one with another limit, or none, has no say in it.

-- refusing_at: when the holder said last that it refuses, which it repeats every second; NULL: it does not. limit_nanousd:
-- the holder's own.
ALTER TABLE budget_leases ADD COLUMN limit_nanousd BIGINT NOT NULL DEFAULT 0, ADD COLUMN refusing_at TIMESTAMPTZ;
ALTER TABLE budget_days DROP COLUMN refused_at;

-- As before, and refusing_below: the holder refuses requests while it can have less than this; 0: it refuses none.
CREATE FUNCTION moru_hold_budget(
    lease_id uuid, lease_holder text, day_limit bigint, used bigint, lowest bigint, highest bigint, hold_seconds double precision,
    refusing_below bigint)
RETURNS TABLE (amount bigint, granted boolean, left_nanousd bigint, valid_ms bigint, day_ms bigint)
LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz;
    today date;
    midnight timestamptz;
    held public.budget_leases;
    taken bigint;
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
    SELECT d.taken_nanousd - coalesce(held.amount_nanousd, 0) INTO taken FROM public.budget_days d WHERE d.day = today FOR UPDATE;
    extra := greatest(day_limit - taken - used, 0);
    held.refusing_at := CASE WHEN extra < refusing_below THEN moment END;
    granted := extra >= lowest;
    extra := CASE WHEN granted THEN least(extra, greatest(highest, lowest)) ELSE 0 END;
    amount := CASE WHEN highest = 0 THEN used ELSE greatest(held.amount_nanousd, used + extra) END;
    taken := taken + amount;
    UPDATE public.budget_days d SET taken_nanousd = taken, limit_nanousd = day_limit WHERE d.day = today;
    INSERT INTO public.budget_leases AS l
            (id, day, holder, amount_nanousd, used_nanousd, expires_at, limit_nanousd, refusing_at)
        VALUES (lease_id, today, lease_holder, amount, used, least(moment + make_interval(secs => hold_seconds), midnight),
            day_limit, held.refusing_at)
        ON CONFLICT (id) DO UPDATE SET amount_nanousd = excluded.amount_nanousd, used_nanousd = excluded.used_nanousd,
            expires_at = excluded.expires_at, limit_nanousd = excluded.limit_nanousd, refusing_at = excluded.refusing_at;
    left_nanousd := greatest(day_limit - taken, 0);
    day_ms := ceil(extract(epoch FROM midnight - moment) * 1000);
    valid_ms := floor(least(hold_seconds, extract(epoch FROM midnight - moment)) * 1000);
    RETURN NEXT;
END
$$;

-- For workers that are older than this migration, until they are replaced.
CREATE OR REPLACE FUNCTION moru_hold_budget(
    lease_id uuid, lease_holder text, day_limit bigint, used bigint, lowest bigint, highest bigint, hold_seconds double precision)
RETURNS TABLE (amount bigint, granted boolean, left_nanousd bigint, valid_ms bigint, day_ms bigint)
LANGUAGE sql AS $$
    SELECT * FROM public.moru_hold_budget(lease_id, lease_holder, day_limit, used, lowest, highest, hold_seconds, 0);
$$;
