/* The header reply-to, written by who waits and read by who answers. */
#include "shared/reply_to.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"

enum { NAME_MAX_BYTES = 100, PARTITION_MAX = 1000000 };

char *reply_to_format(struct arena *arena, int partition, const char *name) {
    return arena_format(arena, "%d/%s", partition, name);
}

bool reply_to_parse(struct arena *arena, const char *text, int *partition, const char **name) {
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (errno || *end != '/' || number > PARTITION_MAX || !end[1] || strlen(end + 1) > NAME_MAX_BYTES)
        return false;
    *partition = (int)number;
    *name = arena_string(arena, end + 1);
    return true;
}
