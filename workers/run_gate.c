/* Which messages that were read may begin. A message that kills its worker is found by commits that announce
 * what is about to begin: after a process came, one commit says so before the partition's first job; where
 * the process before ended without progress, one before each batch; after POSITIONS_STARTS_MAX such ends jobs
 * begin one at a time, each announced, and the one that was at work alone when the process ended is never
 * begun again. */
#include "shared/arena.h"
#include "shared/log.h"
#include "workers/run_private.h"

static bool one_at_a_time(const struct partition *partition) {
    return positions_starts(partition->positions) >= POSITIONS_STARTS_MAX;
}

static bool may_begin(struct partition *partition, int64_t offset) {
    if (!partition->opened && partition->announced && !positions_starts(partition->positions))
        partition->opened = true;
    if (partition->opened || offset == positions_killer(partition->positions))
        return true;
    if (one_at_a_time(partition))
        return !partition->running && partition->alone == offset && partition->announced == offset + 1;
    return offset < partition->announced;
}

static void want(struct run *run, struct partition *partition, int64_t offset, int64_t end) {
    if (partition->held)
        positions_skip(partition->positions, partition->held->internal->offset);
    if (one_at_a_time(partition)) {
        if (partition->running || partition->alone >= 0)
            return;
        partition->alone = offset;
        partition->wanted = offset + 1;
    } else if (partition->wanted < end) {
        partition->wanted = end;
        positions_announce(partition->positions, end);
    } else {
        return;
    }
    partition->dirty = true;
    partitions_commit(run);
}

bool gate_open(struct run *run, struct partition *partition, int64_t offset) {
    if (may_begin(partition, offset))
        return true;
    want(run, partition, offset, positions_next(partition->positions));
    return false;
}

static void hold(struct run *run, struct job *job) {
    struct partition *partition = job->internal->partition;
    job->internal->next = NULL;
    if (partition->held)
        partition->held_last->internal->next = job;
    else
        partition->held = job;
    partition->held_last = job;
    run->held[partition->queue]++;
    run->in_flight_bytes += job->internal->bytes;
}

static struct job *unhold(struct run *run, struct partition *partition) {
    struct job *job = partition->held;
    partition->held = job->internal->next;
    job->internal->next = NULL;
    run->held[partition->queue]--;
    run->in_flight_bytes -= job->internal->bytes;
    return job;
}

/* A deferred job asks when it is due. */
static bool may_take(struct run *run, const struct job *job) {
    struct partition *partition = job->internal->partition;
    return positions_fit(partition->positions, job->internal->offset) &&
           (partition->queue == QUEUE_DEFERRED ? deferred_room(run)
                                               : may_begin(partition, job->internal->offset));
}

static void take(struct run *run, struct job *job) {
    if (job->internal->partition->queue == QUEUE_DEFERRED)
        deferred_take(run, job);
    else
        job_begin(job);
}

void gate_take(struct run *run, struct job *job) {
    if (job->internal->partition->held || !may_take(run, job))
        hold(run, job);
    else
        take(run, job);
}

static void begin_held_of(struct run *run, struct partition *partition) {
    while (partition->held && may_take(run, partition->held))
        take(run, unhold(run, partition));
    const struct job *first = partition->held;
    if (first && partition->queue != QUEUE_DEFERRED && !may_begin(partition, first->internal->offset))
        want(run, partition, first->internal->offset, partition->held_last->internal->offset + 1);
}

/* A job that ends at once may end its partition, so the next one is looked up before. */
void gate_begin_held(struct run *run) {
    for (struct partition *partition = run->partitions, *next; partition; partition = next) {
        next = partition->next;
        if (partition->held)
            begin_held_of(run, partition);
    }
}

void gate_job_began(struct job *job) {
    struct partition *partition = job->internal->partition;
    partition->running++;
    partition->dirty = true;
    if (partition->opened)
        positions_announce(partition->positions, job->internal->offset + 1);
}

void gate_job_ended(struct run *run, struct partition *partition) {
    partition->running--;
    partition->dirty = true;
    if (partition->alone < 0 || partition->running || partition->gone)
        return;
    /* That it ended is committed at once: else it would be taken for a killer, should the process end now. */
    partition->alone = -1;
    partitions_commit(run);
}

struct positions_work gate_work(const struct partition *partition) {
    return (struct positions_work){.running = partition->running || partition->wanted,
        .alone = one_at_a_time(partition) ? partition->alone : -1};
}

void gate_committed(struct run *run, bool kept) {
    bool announced = false, more = false;
    for (struct partition *partition = run->partitions; partition; partition = partition->next) {
        if (kept && partition->sent) {
            announced = true;
            partition->announced = partition->sent;
            if (partition->wanted == partition->sent)
                partition->wanted = 0;
        }
        more = more || partition->wanted;
        partition->sent = 0;
    }
    if (more)
        partitions_commit(run);
    if (announced)
        run_wake(run);
}

void gate_drop(struct run *run, bool all) {
    for (struct partition *partition = run->partitions; partition; partition = partition->next) {
        if (!all && !partition->leaving)
            continue;
        while (partition->held) {
            struct arena *arena = unhold(run, partition)->arena;
            arena_destroy(&arena);
        }
        partition->wanted = 0;
    }
    deferred_drop(run, all);
}
