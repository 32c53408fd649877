/* Flushes gathered log lines in the loop's prepare phase, the last one before it waits. */
#include "shared/log_loop.h"

#include <stdlib.h>

#include "shared/log.h"

static void on_prepare(uv_prepare_t *prepare) {
    (void)prepare;
    log_flush();
}

void log_gather_on(uv_loop_t *loop) {
    uv_prepare_t *prepare = malloc(sizeof *prepare);
    if (!prepare)
        abort();
    uv_prepare_init(loop, prepare);
    uv_prepare_start(prepare, on_prepare);
    /* It keeps no loop alive. */
    uv_unref((uv_handle_t *)prepare);
    log_gather();
}
