/* Memory that lives as long as one piece of work: allocated bit by bit, freed in one call. */
#ifndef SHARED_ARENA_H
#define SHARED_ARENA_H

#include <stdarg.h>
#include <stddef.h>

struct arena;

/* Once, at the start of a process that serves: memory that was freed stays with it, up to 16 MiB, because
 * pages that go to the kernel and come back with each piece of work cost more than the work; and up to 4 MiB
 * of small chunks stay with the arenas, because malloc and free cost as much as what most jobs do with them.
 */
void arena_keep_freed(void);

/* After a burst: what is kept, and every free page of the process, goes to the kernel. Takes milliseconds. */
void arena_give_back(void);

/* A new arena whose first chunk holds first_bytes (0: a default of 4 KiB). Never NULL: without memory the
 * process aborts, as everywhere in moru. */
struct arena *arena_create(size_t first_bytes);

/* bytes of zeroed memory, aligned for any type; bytes may be 0. Never NULL. Freed by arena_destroy only. */
void *arena_alloc(struct arena *arena, size_t bytes);

/* Grows the block that arena_alloc returned for old_bytes, in place where it is the newest one, else by a
 * copy; the added bytes are not zeroed. data may be NULL when old_bytes is 0. */
void *arena_grow(struct arena *arena, void *data, size_t old_bytes, size_t new_bytes);

/* A copy of length bytes with a NUL after them. data may be NULL when length is 0. */
char *arena_copy(struct arena *arena, const void *data, size_t length);

/* A copy of a C string; NULL gives NULL. */
char *arena_string(struct arena *arena, const char *string);

/* What printf would write, NUL-terminated. */
char *arena_format(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* All memory the arena took from the system, in bytes. */
size_t arena_bytes(const struct arena *arena);

/* Frees everything but the first chunk, to be filled anew: for many small pieces of work in a row. */
void arena_reset(struct arena *arena);

/* Frees everything and nulls *arena; *arena may be NULL. */
void arena_destroy(struct arena **arena);

#endif
