/* The span of a job: one hop of its request's trace, whose parent is the span that the message names. */
#include "shared/arena.h"
#include "shared/span.h"
#include "shared/span_names.h"
#include "workers/run_private.h"

static const char *outcome_of(const struct job *job, const char *failure) {
    return job->internal->rejected    ? "dead_letter"
           : failure                  ? "failed"
           : job->internal->deferring ? "deferred"
                                      : "done";
}

void job_span(struct job *job, const char *failure) {
    if (!job->internal->began || !span_wanted(&job->trace))
        return;
    const char *group = arena_format(job->arena, "moru-%s", job->run->worker->service), *topic = job->topic;
    span_record(&(struct span){.trace = &job->trace,
        .kind = topic ? SPAN_CONSUMER : SPAN_INTERNAL,
        .name = arena_format(job->arena, "process %s", topic ? topic : job->run->worker->service),
        .began_ns = span_unix_ns(job->internal->began),
        .ended_ns = span_unix_ns(0),
        .error_type = job->internal->rejected ? "dead_letter"
                      : failure               ? "failed"
                                              : NULL,
        .attributes = span_attributes(span_string(SPAN_MESSAGING_SYSTEM, topic ? "kafka" : NULL),
            span_string(SPAN_MESSAGING_OPERATION_NAME, topic ? "process" : NULL),
            span_string(SPAN_MESSAGING_OPERATION_TYPE, topic ? "process" : NULL),
            span_string(SPAN_MESSAGING_DESTINATION, topic),
            span_string(
                SPAN_MESSAGING_PARTITION, topic ? arena_format(job->arena, "%d", job->partition) : NULL),
            topic ? span_integer(SPAN_MESSAGING_OFFSET, job->offset) : span_count(SPAN_MESSAGING_OFFSET, 0),
            span_string(SPAN_MESSAGING_GROUP, topic ? group : NULL),
            span_string(SPAN_REQUEST_ID, job->request_id), span_string(SPAN_TASK_TYPE, job->task_type),
            span_integer(SPAN_ATTEMPT, job->attempt), span_string(SPAN_OUTCOME, outcome_of(job, failure)))});
}
