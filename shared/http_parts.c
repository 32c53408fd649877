/* Answers whose body is made while it is sent: one part at a time, kept until the client has taken it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "shared/http_private.h"
#include "shared/http_server.h"

size_t http_parts_take(struct http_request *request, char *out, size_t room) {
    struct answer_parts *parts = &request->parts;
    if (parts->taken == parts->length && !parts->ended && !parts->asked) {
        parts->asked = true;
        parts->more(parts->context);
    }
    size_t left = parts->length - parts->taken, taken = left < room ? left : room;
    if (taken)
        memcpy(out, parts->bytes + parts->taken, taken);
    parts->taken += taken;
    return taken;
}

void http_send_part(struct http_request *request, const char *bytes, size_t length) {
    struct answer_parts *parts = &request->parts;
    assert(parts->asked && !parts->ended && length);
    if (length > parts->capacity) {
        free(parts->bytes);
        if (!(parts->bytes = malloc(length)))
            abort();
        parts->capacity = length;
    }
    memcpy(parts->bytes, bytes, length);
    parts->length = length;
    parts->taken = 0;
    parts->asked = false;
    http_parts_ready(request);
}

void http_end_parts(struct http_request *request, bool broken) {
    struct answer_parts *parts = &request->parts;
    assert(parts->asked && !parts->ended);
    parts->ended = true;
    parts->broken = broken;
    request->left = NULL;
    http_parts_ready(request);
}
