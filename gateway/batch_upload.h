/* What the files of a batch's upload share: POST /api/v1/requests:batch. */
#ifndef GATEWAY_BATCH_UPLOAD_H
#define GATEWAY_BATCH_UPLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <openssl/evp.h>

#include "gateway/batch_lines.h"
#include "gateway/gateway.h"
#include "schemas/batch_error.h"

enum {
    BATCH_LINES_MAX = 100000,
    BATCH_BYTES_MAX = 256 << 20,
    BATCH_ERRORS_MAX = 10000,
};

struct line_group;

/* What all uploads of this gateway share: their bounds. */
struct uploads {
    struct gateway *gateway;
    LIST_HEAD(, upload) halted;                  /* those that wait for room */
    size_t unacknowledged, unacknowledged_bytes; /* lines that Kafka has been given */
    bool refused;                                /* Kafka's queue was full: the timer tries again */
    uv_timer_t timer;
};

/* What the record of every line of a batch has in common. */
struct record_text {
    struct text_part {
        const char *text;
        size_t length;
    } before_id, before_line, before_task_type, before_user_input;
};

struct upload {
    LIST_ENTRY(upload) link; /* in uploads->halted while halted */
    struct uploads *uploads;
    struct http_request *http; /* NULL once it is answered, or the client has left */
    struct arena *arena;       /* its own */
    struct arena *scratch;     /* for the line at hand */
    char batch_id[UUID_TEXT_BYTES];
    struct trace trace;
    struct request_span *span; /* NULL: nobody wants it */
    char time_text[32];
    uint64_t started;     /* uv_hrtime */
    const char *key_hash; /* NULL: it has no idempotency key */
    const char
        *known_body; /* SHA-256 of the body that the key stands for, all of whose lines are kept; or NULL */
    char body_hash[65];
    EVP_MD_CTX *hash;
    struct line_cutter cutter;
    struct record_text text;
    struct line_group *group; /* that the next line goes into; NULL: a new one */

    bool halted;
    bool busy;               /* inside upload_go_on */
    bool asking;             /* Postgres, for the key or the task types */
    bool whole;              /* its last byte has come */
    bool saving;             /* its end is being written down */
    int refusal;             /* status to answer with instead; 0: none */
    uint64_t types_asked_ms; /* loop time of the last answer about task types; 0: none */
    bool types_unsure;       /* that answer was none */
    bool not_kept;           /* Kafka did not keep one of its lines: it gets no more of them */

    uint64_t bytes;
    int64_t number; /* of the line at hand, blank ones counted; 1 is the first */
    int64_t lines, accepted, rejected;
    bool again; /* some of the rejected lines may be taken when they are sent again */
    size_t unacknowledged;
    struct batch_error *errors;
    size_t errors_count, errors_capacity;
};

/* batch_upload.c */
/* Takes lines as long as there are some and they can be taken, and ends the upload after the last one. */
void upload_go_on(struct upload *upload);
/* Frees it once nobody needs it: it is answered or its client has left, and nothing it asked for is to come.
 */
void upload_release(struct upload *upload);
/* There is room again: those that are halted go on. */
void uploads_go_on(struct uploads *uploads);
/* Kafka's queue is full: all halt for a moment. */
void uploads_wait_for_queue(struct uploads *uploads);

/* batch_publish.c */
/* Prepares what all records of the batch have in common, once its id is known. */
void publish_prepare(struct upload *upload);
/* Takes one line, by publishing or rejecting it; false when it is to be shown again later. */
bool publish_line(struct upload *upload, enum line_kind kind, const char *line, size_t length);
/* The line group at hand takes no more lines. */
void publish_end_group(struct upload *upload);
/* True while uploads have to wait for acknowledgements. */
bool publish_full(const struct uploads *uploads);

/* batch_answer.c */
/* Counts a line as rejected; error lives as long as the upload. again: it may be taken when it is sent again.
 */
void answer_reject(struct upload *upload, int64_t line, const char *error, bool again);
/* False: there are so many errors already that the next one's text is not needed. */
bool answer_wants_error(const struct upload *upload);
/* Records its span, the one of all its lines here; status: of its answer, 0: its client has left. */
void answer_span(struct upload *upload, int status);
/* All lines are settled: writes the batch down and answers. */
void answer_upload(struct upload *upload);

#endif
