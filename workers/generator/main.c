/* The generator: refines what the user asked, has the model answer it under the active prompt, emits a
 * generation. */
#include "workers/generator/generator.h"

int main(int argc, char **argv) {
    return worker_main(&generator_worker, argc, argv);
}
