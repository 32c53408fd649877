/* Literals that are given to secrets by name, and credentials in URLs. */
#ifndef WORKERS_EVALUATOR_SCAN_ASSIGNED_H
#define WORKERS_EVALUATOR_SCAN_ASSIGNED_H

#include "workers/evaluator/scan_text.h"

/* True when name is the name of a secret (password, api_key, …) and what follows it in whole gives it a
 * literal. */
bool assigned_literal(struct text whole, struct text name);

/* True when user:password@host follows "://" at at. */
bool url_has_credentials(struct text whole, const char *at);

#endif
