/* The recorder: writes results into Postgres exactly once, then tells whoever waits. */
#include "workers/recorder/recorder.h"

int main(int argc, char **argv) {
    return worker_main(&recorder_worker, argc, argv);
}
