/* Log lines of an event loop: written once a turn, before it waits. */
#ifndef SHARED_LOG_LOOP_H
#define SHARED_LOG_LOOP_H

#include <uv.h>

/* Gathers the lines of this thread, whose loop it is, and flushes them before each wait. For the life of the
 * process. */
void log_gather_on(uv_loop_t *loop);

#endif
