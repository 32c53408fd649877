/* What a group has finished of one partition: the lowest unfinished offset and the set finished above it, so
 * that jobs may end in any order and a restart repeats only what was truly unfinished. */
#ifndef WORKERS_POSITIONS_H
#define WORKERS_POSITIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct positions;

/* Kafka's default limit of a commit's metadata (offset.metadata.max.bytes). */
enum { POSITIONS_METADATA_MAX = 4096 };

/* lowest: the committed offset. metadata: what positions_encode gave with it, or NULL for nothing above
 * it. */
struct positions *positions_create(int64_t lowest);

/* Adds what metadata says was finished above lowest. False, and nothing added, when it is not of this format,
 * its checksum is wrong or it belongs to another lowest offset: then the messages above it are served once
 * more. */
bool positions_restore(struct positions *positions, const char *metadata);

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

/* The set above the lowest offset as commit metadata: base64 of version, form, the smaller of bit map and run
 * lengths, and a checksum; at most POSITIONS_METADATA_MAX characters. NULL when there is nothing above it. */
char *positions_encode(const struct positions *positions, struct arena *arena);

/* Frees it and nulls *positions. */
void positions_destroy(struct positions **positions);

#endif
