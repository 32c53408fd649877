/* The evaluator: judges what the generator made by rules and by a model, emits an evaluation. */
#include "workers/evaluator/evaluator.h"

int main(int argc, char **argv) {
    return worker_main(&evaluator_worker, argc, argv);
}
