/* Memory that lives as long as one piece of work: chunks in a list, the newest one filled from its start. */
#include "shared/arena.h"

#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FIRST_BYTES = 4096,
    CHUNK_BYTES_MAX = 1 << 20,
    ALIGNMENT = 16,
    FREED_BYTES_KEPT = 16 << 20,
    CHUNK_BYTES_KEPT = 4 << 20,
    CLASS_BYTES =
        512, /* capacities of small chunks are multiples of it, so that any job's fits the next one's */
    CLASSES = 8,
    FORMATTED_BYTES = 256,
};

struct chunk {
    struct chunk *previous;
    size_t capacity, used;
    _Alignas(ALIGNMENT) char data[];
};

struct arena {
    struct chunk *newest;
    size_t bytes;
};

/* Small chunks that were freed, by class. Each thread has its own: no lock. */
static _Thread_local struct {
    struct chunk *chunks[CLASSES];
    size_t bytes;
} kept;
static size_t kept_bytes_max; /* 0 until arena_keep_freed */

static size_t aligned(size_t bytes) {
    return (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

/* CLASSES or more: not a small one. capacity is not 0. */
static size_t class_of(size_t capacity) {
    return (capacity - 1) / CLASS_BYTES;
}

static struct chunk *chunk_allocate(size_t capacity) {
    struct chunk *chunk = capacity < SIZE_MAX / 2 ? malloc(sizeof *chunk + capacity) : NULL;
    if (!chunk) {
        fprintf(stderr, "out of memory: %zu bytes\n", capacity);
        abort();
    }
    chunk->capacity = capacity;
    return chunk;
}

static struct chunk *chunk_create(size_t capacity) {
    size_t class = class_of(capacity);
    struct chunk *chunk = class < CLASSES ? kept.chunks[class] : NULL;
    if (chunk) {
        kept.chunks[class] = chunk->previous;
        kept.bytes -= chunk->capacity;
    } else {
        chunk = chunk_allocate(class < CLASSES ? (class + 1) * CLASS_BYTES : capacity);
    }
    chunk->previous = NULL;
    chunk->used = 0;
    return chunk;
}

static void chunk_free(struct chunk *chunk) {
    size_t class = class_of(chunk->capacity);
    if (class >= CLASSES || kept.bytes + chunk->capacity > kept_bytes_max) {
        free(chunk);
        return;
    }
    chunk->previous = kept.chunks[class];
    kept.chunks[class] = chunk;
    kept.bytes += chunk->capacity;
}

void arena_keep_freed(void) {
    kept_bytes_max = CHUNK_BYTES_KEPT;
    /* mallopt says 0 where an allocator does not know the parameter: then nothing is kept. */
    (void)mallopt(M_TRIM_THRESHOLD, FREED_BYTES_KEPT);
    (void)mallopt(M_MMAP_THRESHOLD, 2 * CHUNK_BYTES_MAX);
}

void arena_give_back(void) {
    for (size_t class = 0; class < CLASSES; class ++)
        for (struct chunk *chunk = kept.chunks[class], *previous; chunk; chunk = previous) {
            previous = chunk->previous;
            free(chunk);
        }
    memset(&kept, 0, sizeof kept);
    /* Says whether there was anything to give. */
    (void)malloc_trim(0);
}

struct arena *arena_create(size_t first_bytes) {
    /* The arena itself stands at the start of its first chunk: one malloc for most jobs. */
    struct chunk *chunk =
        chunk_create(aligned(sizeof(struct arena)) + aligned(first_bytes ? first_bytes : FIRST_BYTES));
    struct arena *arena = (struct arena *)chunk->data;
    chunk->used = aligned(sizeof *arena);
    arena->newest = chunk;
    arena->bytes = sizeof *chunk + chunk->capacity;
    return arena;
}

static void add_chunk(struct arena *arena, size_t bytes) {
    size_t capacity = arena->newest->capacity * 2;
    if (capacity > CHUNK_BYTES_MAX)
        capacity = CHUNK_BYTES_MAX;
    if (capacity < bytes)
        capacity = bytes;
    struct chunk *chunk = chunk_create(capacity);
    chunk->previous = arena->newest;
    arena->newest = chunk;
    arena->bytes += sizeof *chunk + chunk->capacity;
}

/* Not zeroed. */
static void *take(struct arena *arena, size_t bytes) {
    if (bytes > SIZE_MAX / 4)
        abort();
    bytes = aligned(bytes);
    if (arena->newest->capacity - arena->newest->used < bytes)
        add_chunk(arena, bytes);
    void *data = arena->newest->data + arena->newest->used;
    arena->newest->used += bytes;
    return data;
}

void *arena_alloc(struct arena *arena, size_t bytes) {
    return memset(take(arena, bytes), 0, bytes);
}

void *arena_grow(struct arena *arena, void *data, size_t old_bytes, size_t new_bytes) {
    struct chunk *chunk = arena->newest;
    if (new_bytes > SIZE_MAX / 4)
        abort();
    size_t old_end = aligned(old_bytes), new_end = aligned(new_bytes);
    if (new_end <= old_end)
        return data;
    if (old_bytes && (char *)data + old_end == chunk->data + chunk->used &&
        chunk->capacity - chunk->used >= new_end - old_end) {
        chunk->used += new_end - old_end;
        return data;
    }
    void *grown = take(arena, new_bytes);
    if (old_bytes)
        memcpy(grown, data, old_bytes);
    return grown;
}

char *arena_copy(struct arena *arena, const void *data, size_t length) {
    char *copy = take(arena, length + 1);
    if (length)
        memcpy(copy, data, length);
    copy[length] = '\0';
    return copy;
}

char *arena_string(struct arena *arena, const char *string) {
    return string ? arena_copy(arena, string, strlen(string)) : NULL;
}

char *arena_format(struct arena *arena, const char *format, ...) {
    va_list arguments, again;
    char few[FORMATTED_BYTES];
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(few, sizeof few, format, arguments);
    va_end(arguments);
    if (length < 0)
        abort();
    char *text = take(arena, (size_t)length + 1);
    /* Most are short: only a longer one is formatted again. */
    if ((size_t)length < sizeof few)
        memcpy(text, few, (size_t)length + 1);
    else
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

size_t arena_bytes(const struct arena *arena) {
    return arena->bytes;
}

void arena_reset(struct arena *arena) {
    struct chunk *chunk = arena->newest;
    while (chunk->previous) {
        struct chunk *previous = chunk->previous;
        chunk_free(chunk);
        chunk = previous;
    }
    chunk->used = aligned(sizeof *arena);
    arena->newest = chunk;
    arena->bytes = sizeof *chunk + chunk->capacity;
}

void arena_destroy(struct arena **arena) {
    if (!*arena)
        return;
    struct chunk *chunk = (*arena)->newest;
    *arena = NULL;
    while (chunk) {
        struct chunk *previous = chunk->previous;
        chunk_free(chunk);
        chunk = previous;
    }
}
