/* What has a say before each try of a call: it lets the try be made, now or later, or refuses it. */
#ifndef SHARED_MODEL_GATE_H
#define SHARED_MODEL_GATE_H

#include <stdint.h>

#include "shared/model/model.h"

struct model_target;
struct model_pass; /* one try that asks to be made */

struct model_gate {
    /* Asked once before each try, when all else lets it be made: its breaker is closed and it has a place
     * within the limits. Answer exactly once with one of the calls below, from inside ask or later from the
     * loop. target and request live until then. A try that may be made is made at once, and is told to the
     * observers of model_observe as it ends. */
    void (*ask)(void *context, const struct model_target *target, const struct model_request *request,
        struct model_pass *pass);
    /* The try was given up before ask was answered (the process ends): pass must not be answered any more. */
    void (*forget)(void *context, struct model_pass *pass);
    void *context;
};

/* Has gate asked before each try from now on; it is copied. At most one; NULL: none. */
void model_set_gate(struct model *model, const struct model_gate *gate);

void model_pass_open(struct model_pass *pass);

/* The call ends with MODEL_ERROR_BUDGET and this reason for people (copied). retry_after_ms -1: for good
 * (MODEL_REJECT); else the job is to come again then (MODEL_RETRY, the topic deferred), and no try is
 * counted. */
void model_pass_refuse(struct model_pass *pass, const char *reason, int64_t retry_after_ms);

#endif
