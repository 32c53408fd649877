-- The optimizer's own tables: cycles of every outcome, rehearsals, and the probation of what was put into service.

-- One cycle. next_try_at: after an outcome without a change no new cycle of this prompt begins before it.
CREATE TABLE optimizations (
    id BIGSERIAL PRIMARY KEY,
    task_type TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('requested', 'running', 'waiting', 'patched', 'no_improvement', 'superseded',
        'rejected', 'rolled_back', 'failed', 'abandoned')),
    triggered_by TEXT NOT NULL,
    requested_by TEXT,
    reason TEXT,
    prompt_id INTEGER,
    prompt_version INTEGER,
    prompt_content TEXT,
    candidate_content TEXT,
    new_prompt_id INTEGER,
    new_prompt_version INTEGER,
    analysis JSONB,
    figures JSONB,
    improvement_pct DOUBLE PRECISION,
    tokens BIGINT NOT NULL DEFAULT 0,
    fruitless INTEGER NOT NULL DEFAULT 0,
    threshold_at TIMESTAMPTZ,
    next_try_at TIMESTAMPTZ,
    decided_by TEXT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    started_at TIMESTAMPTZ,
    finished_at TIMESTAMPTZ
);

CREATE INDEX optimizations_task_type ON optimizations (task_type, id);
CREATE INDEX optimizations_open ON optimizations (id) WHERE status IN ('requested', 'running', 'waiting');

-- What candidates made of inputs; candidate 0 is the prompt that was active.
CREATE TABLE rehearsals (
    request_id UUID PRIMARY KEY,
    optimization_id BIGINT NOT NULL,
    candidate INTEGER NOT NULL,
    origin_id UUID,
    task_type TEXT NOT NULL,
    user_input TEXT NOT NULL,
    output TEXT,
    score DOUBLE PRECISION,
    passed BOOLEAN,
    detail JSONB,
    error TEXT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE INDEX rehearsals_optimization_id ON rehearsals (optimization_id);

-- A version put into service by an optimization, while it proves itself. Scores as count, sum and sum of squares.
CREATE TABLE probations (
    prompt_id INTEGER PRIMARY KEY,
    optimization_id BIGINT NOT NULL,
    task_type TEXT NOT NULL,
    replaced_prompt_id INTEGER NOT NULL,
    replaced_count BIGINT NOT NULL,
    replaced_sum DOUBLE PRECISION NOT NULL,
    replaced_squares DOUBLE PRECISION NOT NULL,
    rehearsed_count BIGINT NOT NULL,
    rehearsed_sum DOUBLE PRECISION NOT NULL,
    rehearsed_squares DOUBLE PRECISION NOT NULL,
    outcome TEXT CHECK (outcome IN ('kept', 'rolled_back', 'worse_than_rehearsed', 'superseded')),
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    ended_at TIMESTAMPTZ
);

CREATE INDEX probations_open ON probations (task_type) WHERE outcome IS NULL;

-- Prompts that did harm and are not proposed again, by the SHA-256 of their text.
CREATE TABLE rejected_prompts (
    task_type TEXT NOT NULL,
    prompt_hash TEXT NOT NULL,
    optimization_id BIGINT,
    reason TEXT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (task_type, prompt_hash)
);

-- What a prompt scored, in the order in which it did.
CREATE INDEX results_prompt_id ON results (prompt_id, created_at);

-- Puts the candidate of an optimization into service, all of it or nothing: the new version, the report, the probation,
-- the optimization's new status. No row when the active prompt is no longer the one that was analysed (then the
-- optimization is superseded), or the optimization is not open any more. replaced and rehearsed are count, sum, squares.
CREATE FUNCTION moru_patch_prompt(
    patched_id bigint, content text, change_reason text, author text, new_figures jsonb, pct double precision)
RETURNS TABLE (new_id integer, new_version integer)
LANGUAGE plpgsql AS $$
DECLARE
    cycle public.optimizations;
    active public.prompts;
    added public.prompts;
BEGIN
    SELECT task_type INTO cycle.task_type FROM public.optimizations WHERE id = patched_id;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM public.moru_lock_prompts(cycle.task_type);
    SELECT * INTO cycle FROM public.optimizations
        WHERE id = patched_id AND status IN ('running', 'waiting') FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM FROM public.prompts WHERE task_type = cycle.task_type FOR UPDATE;
    SELECT * INTO active FROM public.moru_active_prompt(cycle.task_type);
    IF active.id IS DISTINCT FROM cycle.prompt_id OR active.content IS DISTINCT FROM cycle.prompt_content THEN
        UPDATE public.optimizations SET status = 'superseded', finished_at = clock_timestamp(),
            reason = 'somebody changed the active prompt meanwhile', figures = coalesce(new_figures, figures)
            WHERE id = patched_id;
        RETURN;
    END IF;
    SELECT * INTO added FROM public.moru_add_prompt(cycle.task_type, content, true, change_reason, author);
    UPDATE public.optimizations SET status = 'patched', finished_at = clock_timestamp(), candidate_content = content,
        new_prompt_id = added.id, new_prompt_version = added.version, figures = coalesce(new_figures, figures),
        improvement_pct = coalesce(pct, improvement_pct), decided_by = author
        WHERE id = patched_id RETURNING * INTO cycle;
    INSERT INTO public.optimization_reports (task_type, before_prompt_version, before_prompt_content,
        after_prompt_version, after_prompt_content, failure_analysis, improvement_pct, triggered_by)
    VALUES (cycle.task_type, active.version, active.content, added.version, added.content,
        coalesce(cycle.analysis, '{}') || jsonb_build_object('optimization_id', cycle.id, 'rehearsal', cycle.figures),
        cycle.improvement_pct, cycle.triggered_by);
    INSERT INTO public.probations (prompt_id, optimization_id, task_type, replaced_prompt_id, replaced_count, replaced_sum,
        replaced_squares, rehearsed_count, rehearsed_sum, rehearsed_squares)
    VALUES (added.id, cycle.id, cycle.task_type, active.id,
        (cycle.figures -> 'replaced' ->> 'count')::bigint, (cycle.figures -> 'replaced' ->> 'sum')::float8,
        (cycle.figures -> 'replaced' ->> 'squares')::float8,
        (cycle.figures -> 'rehearsed' ->> 'count')::bigint, (cycle.figures -> 'rehearsed' ->> 'sum')::float8,
        (cycle.figures -> 'rehearsed' ->> 'squares')::float8);
    new_id := added.id;
    new_version := added.version;
    RETURN NEXT;
END
$$;

-- Takes a version on probation back: the one it replaced serves again, and it is not proposed again. No row when it is not
-- active any more (its probation then ends as superseded), or its probation has ended.
CREATE FUNCTION moru_put_back(harmful_id integer, why text, evidence jsonb, author text)
RETURNS TABLE (new_id integer, new_version integer)
LANGUAGE plpgsql AS $$
DECLARE
    probation public.probations;
    active public.prompts;
    replaced public.prompts;
BEGIN
    SELECT task_type INTO probation.task_type FROM public.probations WHERE prompt_id = harmful_id;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM public.moru_lock_prompts(probation.task_type);
    SELECT * INTO probation FROM public.probations WHERE prompt_id = harmful_id AND outcome IS NULL FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM FROM public.prompts WHERE task_type = probation.task_type FOR UPDATE;
    SELECT * INTO active FROM public.moru_active_prompt(probation.task_type);
    SELECT * INTO replaced FROM public.prompts WHERE id = probation.replaced_prompt_id;
    IF active.id IS DISTINCT FROM harmful_id OR replaced.id IS NULL THEN
        UPDATE public.probations SET outcome = 'superseded', ended_at = clock_timestamp() WHERE prompt_id = harmful_id;
        RETURN;
    END IF;
    PERFORM public.moru_activate_prompt(replaced.id, author);
    UPDATE public.probations SET outcome = 'rolled_back', ended_at = clock_timestamp() WHERE prompt_id = harmful_id;
    UPDATE public.optimizations SET status = 'rolled_back', reason = why WHERE id = probation.optimization_id;
    INSERT INTO public.rejected_prompts (task_type, prompt_hash, optimization_id, reason)
        VALUES (probation.task_type, encode(sha256(convert_to(active.content, 'UTF8')), 'hex'), probation.optimization_id, why)
        ON CONFLICT DO NOTHING;
    INSERT INTO public.optimization_reports (task_type, before_prompt_version, before_prompt_content,
        after_prompt_version, after_prompt_content, failure_analysis, improvement_pct, triggered_by)
    SELECT probation.task_type, active.version, active.content, replaced.version, replaced.content,
        jsonb_build_object('rollback', true, 'optimization_id', o.id, 'reason', why, 'evidence', evidence), NULL, o.triggered_by
        FROM public.optimizations o WHERE o.id = probation.optimization_id;
    new_id := replaced.id;
    new_version := replaced.version;
    RETURN NEXT;
END
$$;
