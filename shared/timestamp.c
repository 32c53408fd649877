/* Reads RFC 3339 and Unix milliseconds, and nothing in between. */
#include "shared/timestamp.h"

#include <stddef.h>
#include <string.h>
#include <time.h>

#define UNIX_MS_MAX INT64_C(253402300799999)

/* Exactly count digits, moving *text past them; -1 when they are not there or their number is not within min
 * and max. */
static int read_digits(const char **text, int count, int min, int max) {
    int value = 0;
    for (; count > 0; count--, (*text)++) {
        if (**text < '0' || **text > '9')
            return -1;
        value = value * 10 + (**text - '0');
    }
    return value >= min && value <= max ? value : -1;
}

static bool take(const char **text, const char *any_of) {
    if (!**text || !strchr(any_of, **text))
        return false;
    (*text)++;
    return true;
}

static bool read_date(const char **text, struct tm *date) {
    int year = read_digits(text, 4, 0, 9999);
    if (year < 0 || !take(text, "-"))
        return false;
    int month = read_digits(text, 2, 1, 12);
    if (month < 0 || !take(text, "-"))
        return false;
    int day = read_digits(text, 2, 1, 31);
    /* 30 February would become a day in March. */
    *date = (struct tm){.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = 12};
    struct tm same = *date;
    timegm(&same);
    return day > 0 && same.tm_mday == day;
}

static bool read_time(const char **text, struct tm *date) {
    date->tm_hour = read_digits(text, 2, 0, 23);
    if (date->tm_hour < 0 || !take(text, ":"))
        return false;
    date->tm_min = read_digits(text, 2, 0, 59);
    if (date->tm_min < 0 || !take(text, ":"))
        return false;
    date->tm_sec = read_digits(text, 2, 0, 60); /* 60: a leap second */
    return date->tm_sec >= 0;
}

/* The digits after a point, if there is one. */
static bool read_fraction(const char **text, int64_t *microseconds) {
    *microseconds = 0;
    if (!take(text, "."))
        return true;
    size_t digits = strspn(*text, "0123456789");
    for (size_t i = 0; i < 6; i++)
        *microseconds = *microseconds * 10 + (i < digits ? (*text)[i] - '0' : 0);
    *text += digits;
    return digits > 0;
}

static bool read_offset(const char **text, int64_t *seconds) {
    *seconds = 0;
    if (take(text, "Zz"))
        return true;
    int sign = **text == '-' ? -1 : 1;
    if (!take(text, "+- "))
        return false;
    int hours = read_digits(text, 2, 0, 23);
    if (hours < 0 || !take(text, ":"))
        return false;
    int minutes = read_digits(text, 2, 0, 59);
    *seconds = sign * (hours * 3600 + minutes * 60);
    return minutes >= 0;
}

static bool read_unix_ms(const char *text, int64_t *microseconds) {
    int64_t value = 0;
    for (; *text >= '0' && *text <= '9' && value <= UNIX_MS_MAX; text++)
        value = value * 10 + (*text - '0');
    *microseconds = value * 1000;
    return !*text && value <= UNIX_MS_MAX;
}

bool timestamp_read(const char *text, int64_t *microseconds) {
    struct tm date;
    int64_t fraction, offset_s;
    if (*text && !text[strspn(text, "0123456789")])
        return read_unix_ms(text, microseconds);
    if (!read_date(&text, &date) || !take(&text, "Tt ") || !read_time(&text, &date) ||
        !read_fraction(&text, &fraction) || !read_offset(&text, &offset_s) || *text)
        return false;
    *microseconds = ((int64_t)timegm(&date) - offset_s) * 1000000 + fraction;
    return true;
}
