/* POST /control: settings changed while it runs. */
#ifndef TESTS_SIM_CONTROL_H
#define TESTS_SIM_CONTROL_H

#include <stdbool.h>

struct http_request;

/* Takes a JSON object of settings by their names without SIM_, in lower case: {"error_share": 0.5}. All of
 * them or, with a 400, none are changed. Returns whether they are. */
bool control_take(struct http_request *http);

#endif
