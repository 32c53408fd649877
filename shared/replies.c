/* Replies: chooses the partition, and tells its address only once whatever is sent there will be seen. */
#include "shared/replies.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/kafka.h"
#include "shared/reply_to.h"
#include "shared/request_id.h"

struct replies {
    uv_loop_t *loop;
    const char *topic;
    void (*ready)(void *context);
    void (*show)(void *context, const char *key, const char *value, size_t length);
    void *context;
    struct arena *arena;
    struct kafka_tail *tail;
    int partition;
    const char *address;
    char name[UUID_TEXT_BYTES]; /* tells us from others that share the partition */
};

struct replies *replies_open(uv_loop_t *loop, const char *topic, void (*ready)(void *context),
    void (*show)(void *context, const char *key, const char *value, size_t length), void *context) {
    struct arena *arena = arena_create(512);
    struct replies *replies = arena_alloc(arena, sizeof *replies);
    *replies = (struct replies){
        .loop = loop, .topic = topic, .ready = ready, .show = show, .context = context, .arena = arena};
    uuid_random(replies->name);
    return replies;
}

static uint64_t hash_of(const char *text) {
    uint64_t hash = 14695981039346656037u;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    return hash;
}

static void on_ready(void *context) {
    struct replies *replies = context;
    /* A tail that had to begin anew is ready again: the address stays. */
    if (!replies->address)
        replies->address = reply_to_format(replies->arena, replies->partition, replies->name);
    if (replies->ready)
        replies->ready(replies->context);
}

static void on_message(void *context, const struct kafka_message *message) {
    struct replies *replies = context;
    char key[UUID_TEXT_BYTES];
    if (message->key_length != UUID_TEXT_BYTES - 1)
        return;
    memcpy(key, message->key, UUID_TEXT_BYTES - 1);
    key[UUID_TEXT_BYTES - 1] = '\0';
    replies->show(replies->context, key, message->value, message->length);
}

void replies_start(struct replies *replies, const struct kafka *kafka) {
    const char *name = *kafka_instance_id() ? kafka_instance_id() : replies->name;
    int partitions = kafka_partitions(kafka, replies->topic);
    if (replies->tail || partitions < 1)
        return;
    replies->partition = (int)(hash_of(name) % (uint64_t)partitions);
    replies->tail =
        kafka_tail_open(replies->loop, replies->topic, replies->partition, on_ready, on_message, replies);
}

const char *replies_address(const struct replies *replies) {
    return replies->address;
}

const char *replies_name(const struct replies *replies) {
    return replies->name;
}

void replies_close(struct replies **pointer) {
    struct replies *replies = *pointer;
    *pointer = NULL;
    if (!replies)
        return;
    kafka_tail_close(&replies->tail);
    struct arena *arena = replies->arena;
    arena_destroy(&arena);
}
