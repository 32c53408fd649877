-- Every change of the table prompts, whoever makes it, also by plain SQL: the outbox of the topic prompts, and the history
-- that a rollback looks into.

CREATE TABLE prompt_changes (
    id BIGSERIAL PRIMARY KEY,
    prompt_id INTEGER NOT NULL,
    task_type TEXT NOT NULL,
    version INTEGER NOT NULL,
    action TEXT NOT NULL CHECK (action IN ('created', 'activated', 'deactivated', 'changed', 'deleted')),
    is_active BOOLEAN NOT NULL,
    content TEXT NOT NULL,
    change_reason TEXT,
    created_by TEXT NOT NULL,
    changed_by TEXT NOT NULL,
    changed_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    claimed_at TIMESTAMPTZ,
    published_at TIMESTAMPTZ
);

CREATE INDEX prompt_changes_unpublished ON prompt_changes (id) WHERE published_at IS NULL;
CREATE INDEX prompt_changes_task_type ON prompt_changes (task_type, id);

-- changed_by: who the session says it acts for (moru.changed_by), else the database role.
CREATE FUNCTION moru_note_prompt_change() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    noted record;
    what text;
BEGIN
    IF TG_OP = 'DELETE' THEN
        noted := OLD;
        what := 'deleted';
    ELSE
        noted := NEW;
        what := CASE
            WHEN TG_OP = 'INSERT' THEN 'created'
            WHEN NEW.is_active AND NOT OLD.is_active THEN 'activated'
            WHEN OLD.is_active AND NOT NEW.is_active THEN 'deactivated'
            ELSE 'changed'
        END;
        IF TG_OP = 'UPDATE' AND NEW IS NOT DISTINCT FROM OLD THEN
            RETURN NULL;
        END IF;
    END IF;
    INSERT INTO public.prompt_changes (
        prompt_id, task_type, version, action, is_active, content, change_reason, created_by, changed_by)
    VALUES (noted.id, noted.task_type, noted.version, what, noted.is_active AND TG_OP <> 'DELETE', noted.content,
        noted.change_reason, noted.created_by,
        CASE WHEN TG_OP = 'INSERT' THEN noted.created_by
        ELSE coalesce(nullif(current_setting('moru.changed_by', true), ''), 'sql:' || current_user) END);
    RETURN NULL;
END
$$;

CREATE TRIGGER prompts_changed AFTER INSERT OR UPDATE OR DELETE ON prompts
FOR EACH ROW EXECUTE FUNCTION moru_note_prompt_change();

-- Serialises all changes of a task type that moru itself makes; ends with the transaction.
CREATE FUNCTION moru_lock_prompts(changed_task_type text) RETURNS void
LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(hashtextextended('moru prompts ' || changed_task_type, 0))
$$;

-- The row that serves a task type, or none: active, of the highest version, then of the highest id.
CREATE FUNCTION moru_active_prompt(wanted_task_type text) RETURNS SETOF prompts
LANGUAGE sql STABLE AS $$
    SELECT * FROM public.prompts WHERE task_type = wanted_task_type AND is_active
    ORDER BY version DESC, id DESC LIMIT 1
$$;

-- A new version, one above the highest there is; active: it serves from now on, and no other row does.
CREATE FUNCTION moru_add_prompt(
    new_task_type text, new_content text, activate boolean, reason text, author text)
RETURNS SETOF prompts
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM public.moru_lock_prompts(new_task_type);
    PERFORM set_config('moru.changed_by', author, true);
    PERFORM FROM public.prompts WHERE task_type = new_task_type FOR UPDATE;
    IF activate THEN
        UPDATE public.prompts SET is_active = FALSE WHERE task_type = new_task_type AND is_active;
    END IF;
    RETURN QUERY INSERT INTO public.prompts (task_type, content, version, is_active, change_reason, created_by)
        VALUES (new_task_type, new_content,
            (SELECT coalesce(max(version), 0) + 1 FROM public.prompts WHERE task_type = new_task_type),
            activate, reason, author)
        RETURNING *;
END
$$;

-- Makes one row the only active one of its task type; no row: there is none with that id.
CREATE FUNCTION moru_activate_prompt(wanted_id integer, author text) RETURNS SETOF prompts
LANGUAGE plpgsql AS $$
DECLARE
    wanted_task_type text;
BEGIN
    SELECT task_type INTO wanted_task_type FROM public.prompts WHERE id = wanted_id;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM public.moru_lock_prompts(wanted_task_type);
    PERFORM set_config('moru.changed_by', author, true);
    PERFORM FROM public.prompts WHERE task_type = wanted_task_type FOR UPDATE;
    IF NOT EXISTS (SELECT FROM public.prompts WHERE id = wanted_id) THEN
        RETURN;
    END IF;
    UPDATE public.prompts SET is_active = FALSE WHERE task_type = wanted_task_type AND is_active AND id <> wanted_id;
    UPDATE public.prompts SET is_active = TRUE WHERE id = wanted_id AND NOT is_active;
    RETURN QUERY SELECT * FROM public.prompts WHERE id = wanted_id;
END
$$;
