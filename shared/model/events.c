/* Takes streams of server-sent events apart: lines, then events, which end with an empty line. */
#include "shared/model/events.h"

#include <string.h>

struct events events_in(struct arena *arena, events_take take, void *context) {
    return (struct events){
        .take = take, .context = context, .line = buffer_in(arena), .data = buffer_in(arena)};
}

static bool end_event(struct events *events) {
    bool goes_on = true;
    if (events->has_data)
        goes_on = events->take(events->context, buffer_text(&events->data), events->data.length);
    events->data.length = 0;
    events->has_data = false;
    return goes_on;
}

static void add_data(struct events *events, const char *value, size_t length) {
    if (length && *value == ' ') {
        value++;
        length--;
    }
    if (events->has_data)
        buffer_byte(&events->data, '\n');
    buffer_append(&events->data, value, length);
    events->has_data = true;
}

/* Comments, names, ids and times to wait say nothing that is needed. */
static bool end_line(struct events *events) {
    static const char DATA[] = "data", BYTE_ORDER_MARK[] = "\xEF\xBB\xBF";
    size_t length = events->line.length, name = sizeof DATA - 1;
    const char *line = buffer_text(&events->line);
    if (!events->begun && length >= 3 && memcmp(line, BYTE_ORDER_MARK, 3) == 0) {
        line += 3;
        length -= 3;
    }
    events->begun = true;
    events->line.length = 0;
    if (!length)
        return end_event(events);
    if (length > name && memcmp(line, DATA, name) == 0 && line[name] == ':')
        add_data(events, line + name + 1, length - name - 1);
    else if (length == name && memcmp(line, DATA, name) == 0)
        add_data(events, "", 0);
    return true;
}

bool events_feed(struct events *events, const char *bytes, size_t length) {
    const char *end = bytes + length;
    while (bytes < end) {
        if (events->after_cr && *bytes == '\n') {
            events->after_cr = false;
            bytes++;
            continue;
        }
        events->after_cr = false;
        const char *at = bytes;
        while (at < end && *at != '\n' && *at != '\r')
            at++;
        buffer_append(&events->line, bytes, (size_t)(at - bytes));
        bytes = at;
        if (at == end)
            break;
        events->after_cr = *at == '\r';
        bytes++;
        if (!end_line(events))
            return false;
    }
    return true;
}
