/* The address of somebody who waits, as it stands in the header reply-to: "<partition of replies>/<name>". */
#ifndef SHARED_REPLY_TO_H
#define SHARED_REPLY_TO_H

#include <stdbool.h>

struct arena;

/* In arena. name: 1…100 characters that tell this process from others that share the partition. */
char *reply_to_format(struct arena *arena, int partition, const char *name);

/* False when text is no such address. *name lives in arena. */
bool reply_to_parse(struct arena *arena, const char *text, int *partition, const char **name);

#endif
