/* The optimizer: heals prompts while requests flow, or, with --once, does one cycle and ends. */
#include <stdlib.h>
#include <string.h>

#include "workers/optimizer/optimizer.h"

/* --once is a word for OPTIMIZER_MODE=once. */
static int take_once(int argc, char **argv) {
    int kept = 0;
    for (int i = 0; i < argc; i++) {
        if (i && strcmp(argv[i], "--once") == 0) {
            if (setenv("OPTIMIZER_MODE", "once", 1) != 0)
                abort();
            continue;
        }
        argv[kept++] = argv[i];
    }
    argv[kept] = NULL;
    return kept;
}

int main(int argc, char **argv) {
    argc = take_once(argc, argv);
    const char *mode = getenv("OPTIMIZER_MODE");
    bool once = mode && strcmp(mode, "once") == 0;
    return worker_main(once ? &optimizer_once_worker : &optimizer_worker, argc, argv);
}
