/* What starts cycles while requests flow: prompts whose failures crossed the threshold, and rows that ask for
 * a cycle. */
#ifndef WORKERS_OPTIMIZER_TRIGGERS_H
#define WORKERS_OPTIMIZER_TRIGGERS_H

#include "workers/optimizer/windows.h"

struct triggers;

struct triggers *triggers_open(struct optimizer *optimizer);
void triggers_close(struct triggers **triggers);

/* Starts a cycle for this prompt if it crossed and nothing speaks against it; in mode stream only. */
void triggers_consider(struct triggers *triggers, const struct window_state *state);

/* A prompt serves again: what was found about it before does not hold it back. */
void triggers_resume(struct triggers *triggers, int64_t prompt_id);

/* Looks through all windows, and for rows of optimizations with status requested. */
void triggers_look(struct triggers *triggers);

#endif
