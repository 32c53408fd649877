/* --once: reviews probations, takes what is asked for and each task type with failures in execution_logs
 * through one cycle, prints a report and ends the process. */
#ifndef WORKERS_OPTIMIZER_ONCE_H
#define WORKERS_OPTIMIZER_ONCE_H

#include "workers/optimizer/optimizer.h"

/* Ends the process with exit code 1 when all is not done within OPTIMIZER_ONCE_TIMEOUT_MS. */
struct once *once_open(struct optimizer *optimizer);
void once_close(struct once **once);

/* Begins; to be called when Kafka, Postgres and the replies are there. */
void once_begin(struct once *once);

#endif
