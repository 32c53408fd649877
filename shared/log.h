/* Log lines: one JSON object a line on standard error, with ts, level, service, event and the fields
 * given. */
#ifndef SHARED_LOG_H
#define SHARED_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log_field {
    const char *name; /* NULL ends the list */
    enum { LOG_FIELD_STRING, LOG_FIELD_INTEGER, LOG_FIELD_DOUBLE, LOG_FIELD_BOOL } type;
    union {
        const char *string; /* any bytes; cut at 2,000 bytes; a NULL leaves the field out */
        int64_t integer;
        double number;
        bool boolean;
    };
};

#define log_string(field_name, value)                                                                        \
    ((struct log_field){.name = (field_name), .type = LOG_FIELD_STRING, .string = (value)})
#define log_integer(field_name, value)                                                                       \
    ((struct log_field){.name = (field_name), .type = LOG_FIELD_INTEGER, .integer = (value)})
#define log_double(field_name, value)                                                                        \
    ((struct log_field){.name = (field_name), .type = LOG_FIELD_DOUBLE, .number = (value)})
#define log_bool(field_name, value)                                                                          \
    ((struct log_field){.name = (field_name), .type = LOG_FIELD_BOOL, .boolean = (value)})
/* The two fields that every line of a request carries. */
#define log_request(id, trace) log_string("request_id", (id)), log_string("trace_id", (trace))

/* Writes one line: log_info("prompt_read", log_request(id, trace), log_integer("prompt_version", 3)). The
 * event is a fixed snake_case name; at least one field is given. Thread-safe: a line is never cut by another.
 */
#define log_debug(event, ...) log_write(LOG_DEBUG, (event), (const struct log_field[]){__VA_ARGS__, {0}})
#define log_info(event, ...) log_write(LOG_INFO, (event), (const struct log_field[]){__VA_ARGS__, {0}})
#define log_warn(event, ...) log_write(LOG_WARN, (event), (const struct log_field[]){__VA_ARGS__, {0}})
#define log_error(event, ...) log_write(LOG_ERROR, (event), (const struct log_field[]){__VA_ARGS__, {0}})

/* service is borrowed for the life of the process; lines below level are dropped. Before this call lines say
 * "moru". */
void log_open(const char *service, enum log_level level);

/* From now on the lines of this thread below warn are kept until log_flush, the next warning, the end of the
 * process (also by abort or a bad access, not by SIGKILL) or until they are 64 KiB: a busy loop then writes
 * once a turn. */
void log_gather(void);
void log_flush(void);

void log_write(enum log_level level, const char *event, const struct log_field *fields);

/* True at most once an interval_ms for the same *last_ms (0 at first): for a line that would repeat while
 * something stays broken. */
bool log_due(uint64_t *last_ms, uint64_t interval_ms);

#endif
