/* The partition of the topic replies that this process reads: by its instance id, so that a restart comes
 * back to the same; others may share it. */
#ifndef SHARED_REPLIES_H
#define SHARED_REPLIES_H

#include <stddef.h>
#include <uv.h>

struct kafka;
struct replies;

/* Begins to read the partition once Kafka is there (replies_start), from its end. show gets what comes there,
 * also for others that share it: key is the request id (UUID text), value a message of schema reply whose
 * member "to" names its process; all borrowed for the call. ready (may be NULL) is called when the end is
 * known. */
struct replies *replies_open(uv_loop_t *loop, const char *topic, void (*ready)(void *context),
    void (*show)(void *context, const char *key, const char *value, size_t length), void *context);

/* To be called whenever Kafka comes; does nothing once the partition is being read. */
void replies_start(struct replies *replies, const struct kafka *kafka);

/* The header reply-to that reaches this process; NULL until its partition is being read. Borrowed. */
const char *replies_address(const struct replies *replies);

/* The name in that address. */
const char *replies_name(const struct replies *replies);

void replies_close(struct replies **replies);

#endif
