/* What waits for a time: a binary heap with the earliest on top, of those due at once the first that came. */
#ifndef WORKERS_DUE_HEAP_H
#define WORKERS_DUE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zeros is an empty one. */
struct due_heap {
    struct due_entry *entries;
    size_t count, capacity;
    uint64_t sequence;
};

/* item is borrowed until it is taken or dropped; not NULL. */
void due_heap_push(struct due_heap *heap, int64_t due_ms, void *item);

/* The earliest item, which stays; NULL when there is none. */
void *due_heap_top(const struct due_heap *heap, int64_t *due_ms);

/* Takes the earliest item off; NULL when there is none. */
void *due_heap_pop(struct due_heap *heap);

/* Takes off each item for which drop says true; drop may free it. */
void due_heap_drop(struct due_heap *heap, bool (*drop)(void *context, void *item), void *context);

/* Forgets all items and frees what the heap itself holds. */
void due_heap_clear(struct due_heap *heap);

#endif
