/* What the optimizer counts. */
#ifndef WORKERS_OPTIMIZER_OPTIMIZER_METRICS_H
#define WORKERS_OPTIMIZER_OPTIMIZER_METRICS_H

#include "shared/metrics.h"

extern struct metric *const metric_optimization_runs,
    *const metric_prompt_version, *const metric_optimization_duration,
                                      *const metric_rehearsal_score,
                                          *const metric_prompt_rollbacks,
                                              *const metric_time_to_heal, *const metric_optimizations_running;

#endif
