/* Server-sent events out of bytes as they come
 * (https://html.spec.whatwg.org/multipage/server-sent-events.html); only their data, since models' events say
 * in it what they are. */
#ifndef SHARED_MODEL_EVENTS_H
#define SHARED_MODEL_EVENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/buffer.h"

/* Called with the data of each whole event, NUL-terminated, borrowed for the call; false: no more of them. */
typedef bool (*events_take)(void *context, const char *data, size_t length);

/* Begins as zeros but for the first members. */
struct events {
    events_take take;
    void *context;
    struct buffer line, data; /* of what is not whole yet */
    bool begun, has_data, after_cr;
};

/* buffers grow in arena, up to the longest event. */
struct events events_in(struct arena *arena, events_take take, void *context);

/* False when take returned false. */
bool events_feed(struct events *events, const char *bytes, size_t length);

#endif
