/* Card and social security numbers in a text. */
#include "workers/evaluator/scan_numbers.h"

#include <string.h>

enum { GROUPS_MAX = 6, CARD_DIGITS_MIN = 13, CARD_DIGITS_MAX = 19 };

/* Digits without a separator in them, and the one that joins them to the next group: ' ', '-' or 0. */
struct group {
    const char *digits;
    int length; /* cut at CARD_DIGITS_MAX + 1 */
    char joint;
};

/* Issuers by the number that a card begins with, from low to high. */
static const struct issuer {
    int digits;
    long low, high;
    const char *lengths;
} ISSUERS[] = {
    {1, 4, 4, "13 16 19"},                   /* Visa */
    {2, 51, 55, "16"},                       /* Mastercard */
    {4, 2221, 2720, "16"},                   /* Mastercard */
    {2, 34, 34, "15"},                       /* American Express */
    {2, 37, 37, "15"},                       /* American Express */
    {4, 6011, 6011, "16 17 18 19"},          /* Discover */
    {3, 644, 659, "16 17 18 19"},            /* Discover */
    {3, 300, 305, "14 15 16 17 18 19"},      /* Diners Club */
    {2, 36, 36, "14 15 16 17 18 19"},        /* Diners Club */
    {2, 38, 39, "14 15 16 17 18 19"},        /* Diners Club */
    {4, 3528, 3589, "16 17 18 19"},          /* JCB */
    {2, 62, 62, "16 17 18 19"},              /* UnionPay */
    {4, 5018, 5038, "13 14 15 16 17 18 19"}, /* Maestro */
    {4, 6759, 6763, "13 14 15 16 17 18 19"}, /* Maestro */
};

static bool issuer_known(const char *digits, int count) {
    char length[4] = {(char)('0' + count / 10), (char)('0' + count % 10)};
    for (size_t i = 0; i < sizeof ISSUERS / sizeof ISSUERS[0]; i++) {
        long prefix = 0;
        for (int j = 0; j < ISSUERS[i].digits; j++)
            prefix = prefix * 10 + (digits[j] - '0');
        if (prefix >= ISSUERS[i].low && prefix <= ISSUERS[i].high &&
            strstr(ISSUERS[i].lengths, length) != NULL)
            return true;
    }
    return false;
}

/* ISO/IEC 7812-1 annex B: every second digit from the right is doubled, the sum ends in 0. */
static bool luhn_holds(const char *digits, int count) {
    int sum = 0;
    for (int i = 0; i < count; i++) {
        int digit = digits[count - 1 - i] - '0';
        int doubled = i % 2 == 0 ? digit : digit * 2;
        sum += doubled > 9 ? doubled - 9 : doubled;
    }
    return sum % 10 == 0;
}

static bool is_card(const struct group *groups, int count) {
    char digits[CARD_DIGITS_MAX + 1];
    int length = 0;
    for (int i = 0; i < count; i++) {
        if (length + groups[i].length > CARD_DIGITS_MAX)
            return false;
        memcpy(digits + length, groups[i].digits, (size_t)groups[i].length);
        length += groups[i].length;
    }
    return length >= CARD_DIGITS_MIN && issuer_known(digits, length) && luhn_holds(digits, length);
}

/* The first groups have these lengths (0 ends them), and one separator joins them all. */
static bool grouped_as(const struct group *groups, int count, const int *lengths, int *used) {
    for (*used = 0; lengths[*used] != 0; (*used)++) {
        int i = *used;
        bool joined = lengths[i + 1] == 0 || groups[i].joint == groups[0].joint;
        if (i >= count || groups[i].length != lengths[i] || !joined)
            return false;
    }
    return true;
}

/* before: the group in front is joined to these and has four digits: then this is some longer number. */
static bool groups_hold_card(const struct group *groups, int count, bool before) {
    static const int FORMS[][GROUPS_MAX] = {{4, 4, 4, 4, 3}, {4, 4, 4, 4}, {4, 6, 5}, {4, 6, 4}, {4, 4, 5}};
    int used;
    if (is_card(groups, 1))
        return true;
    for (size_t i = 0; i < sizeof FORMS / sizeof FORMS[0]; i++) {
        if (!grouped_as(groups, count, FORMS[i], &used))
            continue;
        bool after = used < count && groups[used - 1].joint == groups[0].joint && groups[used].length == 4;
        if (!before && !after && is_card(groups, used))
            return true;
    }
    return false;
}

static bool is_social_security(const struct group *groups, int count) {
    static const int FORM[] = {3, 2, 4, 0};
    int used;
    if (!grouped_as(groups, count, FORM, &used) || groups[0].joint != '-' || groups[2].joint == '-')
        return false;
    const char *area = groups[0].digits;
    return memcmp(area, "000", 3) != 0 && memcmp(area, "666", 3) != 0 && *area != '9' &&
           memcmp(groups[1].digits, "00", 2) != 0 && memcmp(groups[2].digits, "0000", 4) != 0;
}

static struct group take_group(const char **at, const char *end) {
    struct group group = {.digits = *at};
    while (*at < end && byte_is_digit(**at)) {
        group.length += group.length <= CARD_DIGITS_MAX;
        (*at)++;
    }
    if (*at + 1 < end && (**at == ' ' || **at == '-') && byte_is_digit((*at)[1]))
        group.joint = *(*at)++;
    return group;
}

/* A number that goes on as a word or a fraction is no card. */
static bool ends_clean(const char *at, const char *end) {
    if (at >= end)
        return true;
    return !byte_in_word(*at) && !(*at == '.' && at + 1 < end && byte_is_digit(at[1]));
}

static void drop_first(struct group *groups, int *count) {
    memmove(groups, groups + 1, (size_t)-- * count * sizeof *groups);
}

bool number_is_sensitive(const char *begin, const char **at, const char *end) {
    struct group groups[GROUPS_MAX];
    int count = 0;
    bool more = true, sensitive = false, before_four = false;
    bool joined = *at > begin && at[0][-1] == '-'; /* "…-123-45-6789" goes on from a word */
    /* The window of groups slides over a row of any length. */
    while (more || count > 0) {
        while (more && count < GROUPS_MAX) {
            groups[count] = take_group(at, end);
            more = groups[count].joint != '\0';
            if (!more && !ends_clean(*at, end))
                groups[count].length = CARD_DIGITS_MAX + 1;
            count++;
        }
        sensitive = sensitive || groups_hold_card(groups, count, before_four) ||
                    (!joined && is_social_security(groups, count));
        joined = groups[0].joint == '-';
        before_four = groups[0].length == 4 && groups[0].joint != '\0' && count > 1 &&
                      groups[0].joint == groups[1].joint;
        drop_first(groups, &count);
    }
    return sensitive;
}
