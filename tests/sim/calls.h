/* Calls of POST /v1/chat/completions: each waits its time, meets its fate, and is counted. */
#ifndef TESTS_SIM_CALLS_H
#define TESTS_SIM_CALLS_H

#include <uv.h>

#include "shared/buffer.h"

struct calls;
struct http_request;
struct sim_model;

/* model is borrowed. */
struct calls *calls_open(uv_loop_t *loop, struct sim_model *model);
/* To be called once the server has dropped its requests; nulls *calls. */
void calls_close(struct calls **calls);

/* Takes a request in; it is answered later, or never. */
void calls_take(struct calls *calls, struct http_request *http);

/* The counts as a JSON object. */
void calls_write_stats(const struct calls *calls, struct buffer *json);

#endif
