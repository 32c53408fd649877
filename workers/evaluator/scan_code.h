/* Is there code in an answer, and does its syntax close? */
#ifndef WORKERS_EVALUATOR_SCAN_CODE_H
#define WORKERS_EVALUATOR_SCAN_CODE_H

#include <stdbool.h>

/* True when a Markdown fence, or the lines outside of fences, hold something that scans as code: prose that
 * uses words such as "for", "import" or "select" does not. */
bool scan_has_code(const char *output);

/* True when the brackets of the code in output nest and close, and its strings, comments and fences close.
 * Only fenced code is looked at where there are fences; prose passes. */
bool scan_balanced_syntax(const char *output);

#endif
