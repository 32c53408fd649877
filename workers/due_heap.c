/* A binary heap in an array. */
#include "workers/due_heap.h"

#include <stdlib.h>

struct due_entry {
    int64_t due_ms;
    uint64_t sequence; /* the order they came in */
    void *item;
};

static bool before(const struct due_entry *one, const struct due_entry *other) {
    return one->due_ms != other->due_ms ? one->due_ms < other->due_ms : one->sequence < other->sequence;
}

static void swap(struct due_heap *heap, size_t one, size_t other) {
    struct due_entry entry = heap->entries[one];
    heap->entries[one] = heap->entries[other];
    heap->entries[other] = entry;
}

static void sift_up(struct due_heap *heap, size_t at) {
    while (at && before(&heap->entries[at], &heap->entries[(at - 1) / 2])) {
        swap(heap, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

static void sift_down(struct due_heap *heap, size_t at) {
    for (;;) {
        size_t first = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < heap->count; child++)
            if (before(&heap->entries[child], &heap->entries[first]))
                first = child;
        if (first == at)
            return;
        swap(heap, at, first);
        at = first;
    }
}

void due_heap_push(struct due_heap *heap, int64_t due_ms, void *item) {
    if (heap->count == heap->capacity) {
        heap->capacity = heap->capacity ? heap->capacity * 2 : 16;
        heap->entries = realloc(heap->entries, heap->capacity * sizeof *heap->entries);
        if (!heap->entries)
            abort();
    }
    heap->entries[heap->count] = (struct due_entry){due_ms, heap->sequence++, item};
    sift_up(heap, heap->count++);
}

void *due_heap_top(const struct due_heap *heap, int64_t *due_ms) {
    if (!heap->count)
        return NULL;
    *due_ms = heap->entries[0].due_ms;
    return heap->entries[0].item;
}

void *due_heap_pop(struct due_heap *heap) {
    if (!heap->count)
        return NULL;
    void *item = heap->entries[0].item;
    heap->entries[0] = heap->entries[--heap->count];
    sift_down(heap, 0);
    return item;
}

void due_heap_drop(struct due_heap *heap, bool (*drop)(void *context, void *item), void *context) {
    size_t kept = 0;
    for (size_t i = 0; i < heap->count; i++)
        if (!drop(context, heap->entries[i].item))
            heap->entries[kept++] = heap->entries[i];
    heap->count = kept;
    for (size_t i = kept / 2; i-- > 0;)
        sift_down(heap, i);
}

void due_heap_clear(struct due_heap *heap) {
    free(heap->entries);
    *heap = (struct due_heap){0};
}
