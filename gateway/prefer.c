/* Reads preferences: tokens separated by commas, each with an optional value and parameters that are passed
 * over. */
#include "gateway/prefer.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The seconds of "wait = 10" or "wait=\"10\""; -1: it is another preference; 0: it is no number. */
static int64_t read_wait(const char *preference) {
    preference += strspn(preference, " \t");
    if (strncasecmp(preference, "wait", 4) != 0)
        return -1;
    preference += 4 + strspn(preference + 4, " \t");
    if (*preference != '=')
        return strchr(",;", *preference) ? 0 : -1;
    preference++;
    preference += strspn(preference, " \t\"");
    size_t digits = strspn(preference, "0123456789");
    const char *end = preference + digits + strspn(preference + digits, " \t\"");
    if (!digits || digits > 9 || !strchr(",;", *end))
        return 0;
    return strtoll(preference, NULL, 10);
}

int64_t prefer_wait_ms(const char *header) {
    while (header && *header) {
        int64_t seconds = read_wait(header);
        if (seconds >= 0)
            return 1000 * (seconds < PREFER_WAIT_MAX_S ? seconds : PREFER_WAIT_MAX_S);
        header = strchr(header, ',');
        header = header ? header + 1 : NULL;
    }
    return 0;
}
