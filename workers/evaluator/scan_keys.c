/* Keys that can be told by their format: private keys, and the tokens of known providers. */
#include "workers/evaluator/scan_keys.h"

#include <stdint.h>
#include <string.h>

/* The characters a key is made of. */
enum alphabet {
    UPPER_DIGITS,
    HEX,
    LETTERS_DIGITS,
    BASE64_URL, /* letters, digits, '-', '_' */
    BASE64,
    DOTTED, /* BASE64_URL in parts between dots */
};

enum {
    NEEDS_DIGIT = 1, /* a body without a digit is some ordinary name */
    MIXED = 2,       /* … or without a small letter and a capital */
};

static const struct format {
    const char *prefix;
    enum alphabet alphabet;
    size_t min, max; /* characters behind the prefix; max 0: no end */
    int needs;
} FORMATS[] = {
    {"AKIA", UPPER_DIGITS, 16, 16, 0},
    {"ASIA", UPPER_DIGITS, 16, 16, 0},
    {"ABIA", UPPER_DIGITS, 16, 16, NEEDS_DIGIT},
    {"ghp_", LETTERS_DIGITS, 30, 0, 0},
    {"gho_", LETTERS_DIGITS, 30, 0, 0},
    {"ghu_", LETTERS_DIGITS, 30, 0, 0},
    {"ghs_", LETTERS_DIGITS, 30, 0, 0},
    {"ghr_", LETTERS_DIGITS, 30, 0, 0},
    {"github_pat_", BASE64_URL, 22, 0, 0},
    {"glpat-", BASE64_URL, 16, 0, 0},
    {"gldt-", BASE64_URL, 16, 0, 0},
    {"glrt-", BASE64_URL, 16, 0, 0},
    {"xoxb-", BASE64_URL, 10, 0, NEEDS_DIGIT},
    {"xoxp-", BASE64_URL, 10, 0, NEEDS_DIGIT},
    {"xoxa-", BASE64_URL, 10, 0, NEEDS_DIGIT},
    {"xoxr-", BASE64_URL, 10, 0, NEEDS_DIGIT},
    {"xoxs-", BASE64_URL, 10, 0, NEEDS_DIGIT},
    {"xoxe-", BASE64_URL, 10, 0, NEEDS_DIGIT},
    {"xapp-", BASE64_URL, 10, 0, NEEDS_DIGIT},
    {"sk_live_", LETTERS_DIGITS, 16, 0, 0},
    {"rk_live_", LETTERS_DIGITS, 16, 0, 0},
    {"whsec_", LETTERS_DIGITS, 24, 0, 0},
    {"AIza", BASE64_URL, 30, 0, 0},
    {"GOCSPX-", BASE64_URL, 20, 0, 0},
    {"ya29.", BASE64_URL, 30, 0, 0},
    {"sk-ant-", BASE64_URL, 16, 0, 0},
    {"sk-proj-", BASE64_URL, 16, 0, 0},
    {"sk-svcacct-", BASE64_URL, 16, 0, 0},
    {"sk-admin-", BASE64_URL, 16, 0, 0},
    {"sk-or-v1-", HEX, 32, 0, 0},
    {"sk-", LETTERS_DIGITS, 20, 0, 0},
    {"SG.", DOTTED, 32, 0, 0},
    {"npm_", LETTERS_DIGITS, 30, 0, 0},
    {"pypi-", BASE64_URL, 32, 0, NEEDS_DIGIT | MIXED},
    {"SK", HEX, 32, 32, 0},
    {"hf_", LETTERS_DIGITS, 28, 0, 0},
    {"dop_v1_", HEX, 40, 0, 0},
    {"shpat_", HEX, 32, 0, 0},
    {"shpss_", HEX, 32, 0, 0},
    {"sq0atp-", BASE64_URL, 20, 0, 0},
    {"sq0csp-", BASE64_URL, 20, 0, 0},
    {"dapi", HEX, 32, 0, 0},
    {"hvs.", BASE64_URL, 20, 0, 0},
    {"gsk_", LETTERS_DIGITS, 30, 0, 0},
    {"xai-", LETTERS_DIGITS, 40, 0, 0},
    {"pplx-", LETTERS_DIGITS, 40, 0, 0},
    {"r8_", LETTERS_DIGITS, 30, 0, 0},
    {"lin_api_", LETTERS_DIGITS, 30, 0, 0},
    {"dckr_pat_", BASE64_URL, 20, 0, 0},
    {"glsa_", BASE64_URL, 30, 0, NEEDS_DIGIT},
    {"NRAK-", UPPER_DIGITS, 20, 0, 0},
    {"key-", HEX, 32, 32, NEEDS_DIGIT},
    {"AGE-SECRET-KEY-1", UPPER_DIGITS, 40, 0, 0},
    {"AccountKey=", BASE64, 40, 0, 0},
    {"SharedAccessKey=", BASE64, 40, 0, 0},
    {"hooks.slack.com/services/T", BASE64, 16, 0, 0},
    {"discord.com/api/webhooks/", BASE64, 30, 0, NEEDS_DIGIT},
    {"PuTTY-User-Key-File-2:", BASE64, 0, 0, 0},
    {"PuTTY-User-Key-File-3:", BASE64, 0, 0, 0},
};

static bool in_alphabet(char byte, enum alphabet alphabet) {
    bool letter = byte_is_letter(byte), digit = byte_is_digit(byte);
    switch (alphabet) {
    case UPPER_DIGITS:
        return byte_is_upper(byte) || digit;
    case HEX:
        return digit || (byte >= 'a' && byte <= 'f') || (byte >= 'A' && byte <= 'F');
    case LETTERS_DIGITS:
        return letter || digit;
    case BASE64_URL:
        return letter || digit || byte == '-' || byte == '_';
    case BASE64:
        return letter || digit || byte == '+' || byte == '/' || byte == '=' || byte == '-' || byte == '_';
    case DOTTED:
        return letter || digit || byte == '-' || byte == '_' || byte == '.';
    }
    return false;
}

/* A key is no longer than this; the rest of a longer run is not looked at, so that time stays linear. */
enum { KEY_BYTES_MAX = 256, WEB_TOKEN_PART_BYTES_MAX = 8192 };

static struct text take_run(struct text rest, enum alphabet alphabet, size_t bytes_max) {
    struct text run = {rest.at, rest.at};
    while (run.end < rest.end && text_length(run) < bytes_max && in_alphabet(*run.end, alphabet))
        run.end++;
    return run;
}

static bool body_suits(struct text body, int needs) {
    bool digit = false, small = false, capital = false;
    for (const char *at = body.at; at < body.end; at++) {
        digit = digit || byte_is_digit(*at);
        capital = capital || byte_is_upper(*at);
        small = small || (byte_is_letter(*at) && !byte_is_upper(*at));
    }
    return ((needs & NEEDS_DIGIT) == 0 || digit) && ((needs & MIXED) == 0 || (small && capital));
}

bool value_is_placeholder(struct text value) {
    static const char *const ASKING[] = {"your", "placeholder", "changeme", "change_me", "change-me",
        "change_this", "replace", "redacted", "<", "...", "***", "xxxx", "\u2026", "dummy", "insert"};
    size_t fillers = 0;
    for (const char *at = value.at; at < value.end; at++)
        fillers += strchr("xX*.-_#?", *at) != NULL;
    if (fillers == text_length(value))
        return true;
    for (size_t i = 0; i < sizeof ASKING / sizeof ASKING[0]; i++)
        if (text_find_any_case(value, ASKING[i]) != NULL)
            return true;
    return false;
}

static bool format_fits(const struct format *format, struct text rest) {
    /* Almost every byte is told apart by the first one already. */
    if (rest.at == rest.end || *rest.at != *format->prefix || !text_starts(rest, format->prefix))
        return false;
    rest.at += strlen(format->prefix);
    struct text body = take_run(rest, format->alphabet, KEY_BYTES_MAX);
    size_t length = text_length(body);
    bool ends =
        format->max == 0 || (length == format->max && (body.end == rest.end || !byte_in_word(*body.end)));
    return length >= format->min && ends && body_suits(body, format->needs) &&
           (format->min == 0 || !value_is_placeholder(body));
}

/* header.payload.signature of RFC 7519, whose first two parts begin as JSON objects do in base64. */
static bool is_web_token(struct text rest) {
    struct text run = take_run(rest, BASE64_URL, WEB_TOKEN_PART_BYTES_MAX);
    if (!text_starts(rest, "eyJ") || text_length(run) < 10)
        return false;
    for (int part = 0; part < 2; part++) {
        rest.at = run.end;
        if (rest.at >= rest.end || *rest.at != '.')
            return false;
        rest.at++;
        run = take_run(rest, BASE64_URL, WEB_TOKEN_PART_BYTES_MAX);
        if (part == 0 && (!text_starts(rest, "ey") || text_length(run) < 8))
            return false;
    }
    return text_length(run) >= 4;
}

/* "123456789:" and 35 characters, which begin with "AA". */
static bool is_telegram_token(struct text rest) {
    if (text_starts(rest, "bot"))
        rest.at += 3;
    size_t digits = 0;
    while (rest.at < rest.end && byte_is_digit(*rest.at) && digits < 12) {
        rest.at++;
        digits++;
    }
    if (digits < 8 || digits > 10 || rest.at >= rest.end || *rest.at != ':')
        return false;
    rest.at++;
    struct text run = take_run(rest, BASE64_URL, KEY_BYTES_MAX);
    return text_length(run) == 35 && !value_is_placeholder(run);
}

/* "Bearer " and a literal. */
static bool is_bearer(struct text rest) {
    if (!text_starts_any_case(rest, "bearer "))
        return false;
    rest.at += 7;
    struct text run = take_run(rest, BASE64_URL, KEY_BYTES_MAX);
    return text_length(run) >= 20 && body_suits(run, NEEDS_DIGIT) && !value_is_placeholder(run);
}

bool key_begins(struct text whole, const char *at) {
    struct text rest = {at, whole.end};
    bool part = at > whole.at && (at[-1] == '.' || at[-1] == '-');
    if (byte_is_digit(*rest.at))
        return is_telegram_token(rest);
    if (*rest.at == 'b' && is_telegram_token(rest))
        return true;
    for (size_t i = 0; i < sizeof FORMATS / sizeof FORMATS[0]; i++)
        if (*FORMATS[i].prefix == *rest.at && format_fits(&FORMATS[i], rest))
            return true;
    /* Not within a longer run, which would be read again from each of its parts. */
    return (!part && is_web_token(rest)) || is_bearer(rest);
}

bool private_key_begins(struct text rest) {
    static const char BEGIN[] = "---- BEGIN ", BEGIN_PEM[] = "-----BEGIN ";
    struct text head = rest;
    if (!text_starts(rest, BEGIN) && !text_starts(rest, BEGIN_PEM))
        return false;
    head.end = rest.at + (text_length(rest) < 72 ? text_length(rest) : 72);
    const char *line = memchr(head.at, '\n', text_length(head));
    head.end = line == NULL ? head.end : line;
    const char *kind = memmem(head.at, text_length(head), "PRIVATE KEY", 11);
    if (kind == NULL)
        return false;
    const char *close = memmem(kind, (size_t)(head.end - kind), "----", 4);
    if (close == NULL)
        return false;
    while (close < rest.end && *close == '-')
        close++;
    /* Code that looks for the header quotes it: "-----BEGIN PRIVATE KEY-----" in text. */
    if (close < rest.end && strchr("\"'`", *close) != NULL)
        return false;
    struct text body = {close, rest.end - close < 40 ? rest.end : close + 40};
    body = text_trim(body);
    if (text_starts(body, "\\n"))
        body.at += 2;
    return !text_starts(body, "...") && !text_starts(body, "<") && !text_starts_any_case(body, "your");
}
