/* The outbox: changes of the table prompts, published on the topic prompts. */
#ifndef WORKERS_OPTIMIZER_CHANGES_H
#define WORKERS_OPTIMIZER_CHANGES_H

#include "workers/optimizer/optimizer.h"

struct changes *changes_open(struct optimizer *optimizer);
void changes_close(struct changes **changes);

/* Looks for changes now instead of within half a second. */
void changes_look(struct changes *changes);

/* Calls done once none is left that this process could publish, at once or later. */
void changes_drain(struct changes *changes, void (*done)(void *context), void *context);

#endif
