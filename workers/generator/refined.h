/* Refined inputs of jobs under way, kept in Postgres: a generator that starts again finds them there
 * (finished.h) and refines nothing twice. */
#ifndef WORKERS_GENERATOR_REFINED_H
#define WORKERS_GENERATOR_REFINED_H

#include <stdint.h>
#include <uv.h>

struct pg;
struct refined;

struct refined *refined_open(uv_loop_t *loop, struct pg *pg);

/* Writes it down, together with what else comes while such a write is under way; nobody waits for it. If it
 * fails, the request is refined again after a kill -9, and that is all. Copies what it is given. */
void refined_keep(struct refined *refined, const char *request_id, int64_t run, const char *refined_input);

/* The job has ended: its row goes, a second or two later, when the job's end is committed for certain. */
void refined_forget(struct refined *refined, const char *request_id, int64_t run);

/* Nulls *refined; the loop must run once more to free it. */
void refined_close(struct refined **refined);

#endif
