/* What a worker reads from the headers of a job, and the reply to whoever waits for it. */
#include <string.h>

#include "schemas/reply.h"
#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/json.h"
#include "shared/reply_to.h"
#include "workers/run_private.h"

static void put_name(struct buffer *json, const char *name) {
    buffer_byte(json, '"');
    for (; *name; name++)
        buffer_byte(json, *name == '-' ? '_' : *name);
    buffer_string(json, "\":");
}

void job_headers_json(struct job *job, const struct header_field *fields, struct buffer *json) {
    buffer_byte(json, '{');
    for (const struct header_field *field = fields; field->name; field++) {
        const char *value = job_header(job, field->name);
        if (field != fields)
            buffer_byte(json, ',');
        put_name(json, field->name);
        if (value && field->number)
            buffer_string(json, value);
        else
            json_write_string(json, value ? json_clean_text(job->arena, value, strlen(value), NULL) : NULL);
    }
    buffer_byte(json, '}');
}

void job_emit_result(struct job *job, const struct result *result) {
    int partition;
    struct reply reply = {.result = *result};
    if (!job->reply_to || !reply_to_parse(job->arena, job->reply_to, &partition, &reply.to) ||
        partition >= run_partition_count(job->run, TOPIC_REPLIES.kafka_names[0]))
        return;
    struct buffer body = buffer_in(job->arena);
    reply_encode(&body, &reply);
    job_emit_reply(job, partition, result->request_id, body.data, body.length);
}
