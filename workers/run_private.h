/* What the files of the run-loop share. */
#ifndef WORKERS_RUN_PRIVATE_H
#define WORKERS_RUN_PRIVATE_H

#include "shared/kafka.h"
#include "workers/due_heap.h"
#include "workers/positions.h"
#include "workers/run.h"

/* The queue of the topic deferred, beside those of the lanes. */
enum { QUEUE_DEFERRED = LANE_COUNT, QUEUE_COUNT };

/* One partition that is ours. It is freed when it has been given up and its last job has ended. */
struct partition {
    struct partition *next;
    char *topic;
    int partition;
    int queue; /* the lane it is read through, or QUEUE_DEFERRED */
    struct positions *positions;
    struct job *held, *held_last; /* read, but may not begin now; in order */
    size_t running;               /* jobs at work */
    bool dirty;                   /* another state than was committed */
    bool leaving;                 /* revoked: what is read of it is dropped */
    bool gone;                    /* given up: only its last jobs still point here */
    /* Which jobs may begin: see run_gate.c. */
    bool opened;
    int64_t wanted, sent, announced; /* ends of offsets; 0: none */
    int64_t alone;                   /* the only one that is or will be at work; -1: no such */
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
    struct job *joined;          /* the first of those that end when this one ends */
    struct job *next_joined;
    struct partition *partition; /* NULL for a direct one */
    int64_t offset;              /* in partition; that of a deferred job is not the job's own */
    struct output *outputs;
    int output_count, unacknowledged;
    uv_timer_t *timer; /* while it waits for its next try or to send again */
    bool rejected;     /* its output is a dead letter */
    bool unsent;       /* that one has not been taken so far */
    bool waited;       /* it comes from the topic deferred */
    bool understood;   /* of waited: its headers told where from */
    bool deferring;    /* its output goes to the topic deferred */
    uint64_t retry_ms; /* of deferring: how long it waits here, should the topic not take it */
    uint64_t resend_ms;
    const char *resend_reason; /* why, as last said; NULL: nothing was refused */
    size_t bytes;              /* what it counts for in the bound of bytes */
    void (*finished)(struct job *job, const char *reason);
    uint64_t began; /* uv_hrtime; 0: nobody wants its span */
};

struct run_settings {
    int64_t in_flight_max, in_flight_bytes_max, commit_interval_ms, tries_max, grace_ms, revoke_hold_ms;
};
extern struct run_settings run_settings;
extern struct setting run_setting_rows[];
/* To be called before settings are loaded. in_flight_max: as in struct worker. */
void run_default_settings(const char *in_flight_max);
extern struct metric run_metrics[];
extern struct metric *const metric_in_flight,
    *const metric_lag, *const metric_retries, *const metric_dead_letters,
                                                  *const metric_round_trip,
                                                      *const metric_unsent, *const metric_deferred,
                                                                                *const metric_waiting,
                                                                                    *const metric_reopened;

struct run {
    const struct worker *worker;
    void *state;
    uv_loop_t loop;
    struct kafka *kafka;
    struct kafka_consumer *consumer;
    struct pg *pg;
    struct http_server *http;
    const char **topics; /* Kafka names of the inputs, NULL-terminated */
    int *queues;         /* for each the queue it is read through */
    bool defers;         /* it puts jobs on the topic deferred, and reads that too */
    struct partition *partitions;
    struct job *jobs;
    size_t in_flight[LANE_COUNT], in_flight_bytes; /* of jobs from topics */
    size_t held[QUEUE_COUNT];                      /* read, not begun */
    struct due_heap waiting[LANE_COUNT];           /* deferred jobs until they are due */
    size_t waiting_bytes;
    uv_timer_t due_timer;
    size_t unsent; /* jobs whose dead letter has not been taken so far */
    size_t direct;
    size_t emissions;        /* records of run_emit without acknowledgement */
    struct replies *replies; /* NULL: the worker asks nobody */
    /* For a worker that holds its own positions. It is asked one question after the other: */
    struct arena *assigned_arena;    /* of assigned; NULL: none */
    struct kafka_position *assigned; /* what came last, as Kafka has it */
    int assigned_count;
    bool asking;                    /* the worker has not answered with run_start */
    bool stale;                     /* its answer, once it comes, is to what was lost since */
    bool asked_next;                /* what came last is to be asked after that */
    uint64_t writer;                /* tells this process in commit metadata */
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
/* How many more jobs of the lane may begin. */
size_t run_lane_room(const struct run *run, enum lane lane);

/* run_gate.c */
/* Begins the job or, where it may not begin yet, holds it. */
void gate_take(struct run *run, struct job *job);
/* Begins what is held, as far as it may. */
void gate_begin_held(struct run *run);
/* True when the job at offset, read before, may begin. Else asks for the commit that lets it, if that is what
 * is missing. */
bool gate_open(struct run *run, struct partition *partition, int64_t offset);
/* Of a job that begins, or has ended. */
void gate_job_began(struct job *job);
void gate_job_ended(struct run *run, struct partition *partition);
/* What a commit of the partition says is under way. */
struct positions_work gate_work(const struct partition *partition);
/* The commit that was sent was kept or, with kept false, lost. */
void gate_committed(struct run *run, bool kept);
/* Forgets what has not begun: of partitions that are leaving, or all of it. */
void gate_drop(struct run *run, bool all);

/* run_deferred.c */
/* Sends the job to the topic deferred instead of having it wait here. False: it does not go there. */
bool deferred_put(struct job *job, const char *reason, uint64_t wait_ms);
/* A message of the topic: it waits here until it is due, or is finished at once when it is not ours. */
void deferred_take(struct run *run, struct job *job);
/* True while more of the topic may be read. */
bool deferred_room(const struct run *run);
/* Begins what is due. */
void deferred_begin_due(struct run *run);
/* Forgets those that wait, of partitions that are leaving, or all. */
void deferred_drop(struct run *run, bool all);
void deferred_open(struct run *run);

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
/* Ends a job that never was at work. */
void job_skip(struct job *job);

/* The original of the job, as it came, for another topic; the headers have room for more. Outputs that were
 * not sent are dropped: this one stands for all of them. */
struct kafka_record *job_put_original(struct job *job, const char *topic);
/* value is borrowed. */
void record_add_header(struct kafka_record *record, const char *name, const char *value);
/* Headers that tell where the job came from. */
void job_add_source(struct job *job, struct kafka_record *record);
void job_send(struct job *job);
int64_t run_now_ms(void);

/* run_spans.c */
/* Records the span of a job that ends; failure: why a job from HTTP failed, or NULL. */
void job_span(struct job *job, const char *failure);

/* run_partitions.c */
struct partition *partition_find(struct run *run, const char *topic, int number);
void partitions_assigned(void *context, const struct kafka_position *positions, int count);
void partitions_revoked(void *context, const struct kafka_position *positions, int count, bool lost);
void partitions_committed(void *context, const char *reason);
/* Gives up all partitions at once: they are ours no more, and nothing about them is committed. */
void partitions_lost(struct run *run);
/* Gives revoked partitions up once their jobs have ended, or at once. */
void partitions_release(struct run *run, bool at_once);
/* Commits what is dirty, if nothing else is under way. */
void partitions_commit(struct run *run);
/* Frees a partition that was given up once nothing is under way in it. */
void partition_ended(struct run *run, struct partition *partition);
void partitions_update_lag(struct run *run);

#endif
