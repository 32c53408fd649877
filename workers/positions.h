/* What a group has finished of one partition: the lowest unfinished offset and the set finished above it, so
 * that jobs may end in any order and a restart repeats only what was truly unfinished; and how often a
 * process ended there without progress, so that a message that kills its worker is found. */
#ifndef WORKERS_POSITIONS_H
#define WORKERS_POSITIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct positions;

/* Kafka's default limit of a commit's metadata (offset.metadata.max.bytes). */
enum { POSITIONS_METADATA_MAX = 4096 };

/* Starts at the same lowest offset, none of which came past it, after which jobs begin one at a time. */
enum { POSITIONS_STARTS_MAX = 3 };

/* What is under way when positions are written down. */
struct positions_work {
    bool running;    /* jobs are at work: should the process end now, this start counts */
    int64_t alone;   /* the only one at work is, or will be, the one at this offset; -1: no such */
    uint64_t writer; /* a random number of the process that writes them down; 0: not told */
};

/* lowest: the committed offset. metadata: what positions_encode gave with it, or NULL for nothing above
 * it. */
struct positions *positions_create(int64_t lowest);

/* Adds what metadata, also of older versions, says was finished above lowest. False, and nothing added, when
 * it is not of this format, its checksum is wrong or it belongs to another lowest offset: then the messages
 * above it are served once more. */
bool positions_restore(struct positions *positions, const char *metadata);

/* What was restored counts a start for each process that ended. Where writer (not 0) wrote it, that one has
 * come back without an end: its start does not count, and no message was alone at it. */
void positions_forgive(struct positions *positions, uint64_t writer);

/* The lowest offset that is not finished: what is to be committed. */
int64_t positions_lowest(const struct positions *positions);

/* True when the offset has been finished: it need not be served again. */
bool positions_finished(const struct positions *positions, int64_t offset);

/* True when a job at offset may begin: whatever order the jobs then end in, the set still fits into the
 * metadata. */
bool positions_fit(const struct positions *positions, int64_t offset);

/* A job at offset begins. Offsets come in rising order; those left out (compaction, transactions) count as
 * finished. */
void positions_begin(struct positions *positions, int64_t offset);

/* The job at offset, begun before, has ended. */
void positions_finish(struct positions *positions, int64_t offset);

/* Jobs begun and not ended. */
size_t positions_unfinished(const struct positions *positions);

/* Above every offset that has begun. */
int64_t positions_next(const struct positions *positions);

/* The next message there is stands at offset: what lies between counts as finished. */
void positions_skip(struct positions *positions, int64_t offset);

/* Jobs below end are at work or may be from now on. */
void positions_announce(struct positions *positions, int64_t end);

/* How many processes ended without progress while they worked at the restored lowest offset. 0 once that has
 * been passed; from POSITIONS_STARTS_MAX on it stays until all that they had begun is passed. */
int positions_starts(const struct positions *positions);

/* The offset that was alone at work when a process ended; -1: none. */
int64_t positions_killer(const struct positions *positions);

/* The set above the lowest offset, and what is needed to recognise a message that kills its worker, as commit
 * metadata: base64 of version, form, lowest offset, starts, begun, alone, writer, the smaller of bit map and
 * run lengths, and a checksum; at most POSITIONS_METADATA_MAX characters. NULL when there is nothing to say.
 */
char *positions_encode(
    const struct positions *positions, const struct positions_work *work, struct arena *arena);

/* Frees it and nulls *positions. */
void positions_destroy(struct positions **positions);

#endif
