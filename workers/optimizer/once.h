/* --once: reviews probations, takes what is asked for and each task type with failures in execution_logs
 * through one cycle, prints a report and ends the process. */
#ifndef WORKERS_OPTIMIZER_ONCE_H
#define WORKERS_OPTIMIZER_ONCE_H

#include "workers/optimizer/optimizer.h"

/* Begins, once all that it needs is there. */
struct once *once_open(struct optimizer *optimizer);
void once_close(struct once **once);

#endif
