/* What the files of the run-loop share. */
#ifndef WORKERS_RUN_PRIVATE_H
#define WORKERS_RUN_PRIVATE_H

#include "shared/kafka.h"
#include "workers/positions.h"
#include "workers/run.h"

/* One partition that is ours. It is freed when it has been given up and its last job has ended. */
struct partition {
    struct partition *next;
    char *topic;
    int partition;
    enum lane lane;
    struct positions *positions;
    bool dirty;   /* finished more than was committed */
    bool leaving; /* revoked: what is read of it is dropped */
    bool gone;    /* given up: only its last jobs still point here */
};

struct output {
    struct output *next;
    struct job *job;
    struct kafka_record record;
    uint64_t sent_at; /* uv_hrtime */
    bool optional;    /* left out when it is refused */
};

struct job_internal {
    struct job *previous, *next; /* all jobs under way; next: also those held */
    struct partition *partition; /* NULL for a direct one */
    struct output *outputs;
    int output_count, unacknowledged;
    uv_timer_t *timer; /* while it waits for its next try or to send again */
    bool rejected;     /* its output is a dead letter */
    size_t bytes;      /* what it counts for in the bound of bytes */
    void (*finished)(struct job *job, const char *reason);
};

struct run_settings {
    int64_t in_flight_max, in_flight_bytes_max, commit_interval_ms, tries_max, grace_ms, revoke_hold_ms;
};
extern struct run_settings run_settings;
extern struct setting run_setting_rows[];
extern struct metric run_metrics[];
extern struct metric *const metric_in_flight,
    *const metric_lag, *const metric_retries, *const metric_dead_letters, *const metric_round_trip;

struct run {
    const struct worker *worker;
    void *state;
    uv_loop_t loop;
    struct kafka *kafka;
    struct kafka_consumer *consumer;
    struct pg *pg;
    struct http_server *http;
    const char **topics; /* Kafka names of the inputs, NULL-terminated */
    int *lanes;          /* for each the lane it is read through */
    struct partition *partitions;
    struct job *jobs;
    size_t in_flight[LANE_COUNT], in_flight_bytes; /* of jobs from topics */
    size_t direct;
    size_t emissions;               /* records of run_emit without acknowledgement */
    struct replies *replies;        /* NULL: the worker asks nobody */
    struct job *held[LANE_COUNT];   /* read, but their partition takes no job now; in order, not begun */
    struct kafka_position *revoked; /* partitions whose answer waits for their jobs */
    int revoked_count;
    uv_timer_t commit_timer, revoke_timer, grace_timer;
    uv_signal_t sigterm, sigint;
    bool full;   /* a lane was not read for want of room: the next job's end looks again */
    bool joined; /* the group has given us partitions, or told that there are none for us */
    bool began;  /* all that it needs was there once */
    bool draining, leaving;
    int exit_code;
};

/* run.c */
/* The lane's next messages may be read. */
void run_wake(struct run *run);
/* A job has ended: go on with draining, a revocation, reading. */
void run_job_ended(struct run *run);

/* Forgets held jobs of partitions that are leaving. */
void run_drop_held(struct run *run);

/* run_jobs.c */
/* One CloudEvents 1.0 event; traceparent and reply_to may be NULL. */
struct event {
    const char *type, *id, *traceparent, *reply_to;
};
/* Writes its headers in binary mode, at most seven; strings live in arena or where event has them. */
void event_headers(struct run *run, struct arena *arena, const struct event *event,
    struct kafka_header *headers, int *count);

/* A job that has not begun: it may still be dropped by destroying its arena. */
struct job *job_from_message(
    struct run *run, struct partition *partition, const struct kafka_message *message);
void job_begin(struct job *job);

/* run_partitions.c */
struct partition *partition_find(struct run *run, const char *topic, int number);
void partitions_assigned(void *context, const struct kafka_position *positions, int count);
void partitions_revoked(void *context, const struct kafka_position *positions, int count, bool lost);
void partitions_committed(void *context, const char *reason);
/* Gives revoked partitions up once their jobs have ended, or at once. */
void partitions_release(struct run *run, bool at_once);
/* Commits what is dirty, if nothing else is under way. */
void partitions_commit(struct run *run);
/* Frees a partition that was given up once nothing is under way in it. */
void partition_ended(struct run *run, struct partition *partition);
void partitions_update_lag(struct run *run);

#endif
