/* W3C trace context, level 1: reads traceparent and writes that of the next hop. */
#include "shared/trace.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { VERSION_00_BYTES = 55, TRACE_AT = 3, SPAN_AT = 36, FLAGS_AT = 53, RANDOM_DIGITS = 14 };

static bool by_parent = true;
static uint64_t refused_below; /* of 2^56 */

void trace_sample(bool parent_based, double share) {
    by_parent = parent_based;
    refused_below = (uint64_t)((1 - share) * (double)(UINT64_C(1) << 56));
}

/* The last 56 bits of a trace id are random (W3C trace context, level 2, section 3.2.2.3.1), so a threshold
 * in them takes a share of all traces. */
static bool takes(const char *trace_id) {
    uint64_t random = strtoull(trace_id + TRACE_ID_BYTES - 1 - RANDOM_DIGITS, NULL, 16);
    return random >= refused_below;
}

const char *trace_span_id(const struct trace *trace) {
    return trace->parent + SPAN_AT;
}

static int hex_value(char digit) {
    return digit <= '9' ? digit - '0' : digit - 'a' + 10;
}

bool trace_sampled(const struct trace *trace) {
    return hex_value(trace->parent[FLAGS_AT + 1]) & 1;
}

/* Random bytes are fetched a block at a time: ids are made for every message. */
static uint64_t random_number(void) {
    static uint64_t block[64];
    static size_t left;
    if (!left) {
        size_t filled = 0;
        while (filled < sizeof block) {
            ssize_t bytes = getrandom((char *)block + filled, sizeof block - filled, 0);
            if (bytes < 0 && errno != EINTR)
                abort();
            filled += bytes > 0 ? (size_t)bytes : 0;
        }
        left = sizeof block / sizeof *block;
    }
    uint64_t number = block[--left];
    return number ? number : 1; /* all zeros is no valid id */
}

static void put_hex(char *to, uint64_t number) {
    for (int shift = 60; shift >= 0; shift -= 4)
        *to++ = "0123456789abcdef"[number >> shift & 15];
}

static bool is_hex(const char *text, size_t length) {
    for (size_t i = 0; i < length; i++)
        if (!(text[i] >= '0' && text[i] <= '9') && !(text[i] >= 'a' && text[i] <= 'f'))
            return false;
    return true;
}

static bool valid(const char *text) {
    size_t length = strnlen(text, 512);
    if (length < VERSION_00_BYTES || !is_hex(text, 2) || strncmp(text, "ff", 2) == 0)
        return false;
    /* A later version may go on after the flags; version 00 may not. */
    if (length > VERSION_00_BYTES && (strncmp(text, "00", 2) == 0 || text[VERSION_00_BYTES] != '-'))
        return false;
    return text[2] == '-' && text[SPAN_AT - 1] == '-' && text[FLAGS_AT - 1] == '-' &&
           is_hex(text + TRACE_AT, 32) && is_hex(text + SPAN_AT, 16) && is_hex(text + FLAGS_AT, 2) &&
           strspn(text + TRACE_AT, "0") < 32 && strspn(text + SPAN_AT, "0") < 16;
}

void trace_continue(struct trace *trace, const char *traceparent) {
    char flags[3] = "";
    bool continued = traceparent && valid(traceparent);
    trace->id[TRACE_ID_BYTES - 1] = trace->from[0] = trace->from[SPAN_ID_BYTES - 1] = '\0';
    if (continued) {
        memcpy(trace->id, traceparent + TRACE_AT, TRACE_ID_BYTES - 1);
        memcpy(trace->from, traceparent + SPAN_AT, SPAN_ID_BYTES - 1);
    } else {
        put_hex(trace->id, random_number());
        put_hex(trace->id + 16, random_number());
    }
    if (continued && by_parent)
        memcpy(flags, traceparent + FLAGS_AT, 2);
    else
        memcpy(flags, takes(trace->id) ? "01" : "00", 2);
    memcpy(trace->parent, "00-", TRACE_AT);
    memcpy(trace->parent + TRACE_AT, trace->id, TRACE_ID_BYTES - 1);
    trace->parent[SPAN_AT - 1] = trace->parent[FLAGS_AT - 1] = '-';
    put_hex(trace->parent + SPAN_AT, random_number());
    memcpy(trace->parent + FLAGS_AT, flags, sizeof flags);
}
