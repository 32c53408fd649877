/* Names of secrets, and whether a value given to one is a secret or only looks like one. */
#include "workers/evaluator/scan_value.h"

#include <string.h>
#include <strings.h>

#include "workers/evaluator/scan_keys.h"

enum { NAME_WORDS_MAX = 8 };

/* A name with one of these words is about a secret, but does not hold it: password_hash, token_url. */
static const char ABOUT[] = "hash hashed hashes digest field fields name label labels placeholder type types "
                            "url uri endpoint header headers "
                            "pattern regex regexp rule rules policy length len min max error errors err "
                            "message messages msg help hint prompt "
                            "title text path file filename env var id ids count format form expires expiry "
                            "ttl algorithm alg prefix suffix "
                            "column col param params query selector index list class css strength validator "
                            "validation encoder generator "
                            "public sep pad eos bos unk mask cls";

/* Names of fields and values in tests are made of these: "user_password", "x-api-key", "invalid_token". */
static const char FIELD_WORDS[] = "password passwd passphrase pwd pass secret token key api access user "
                                  "username new old current confirm repeat auth "
                                  "client id x field input name hash db database reset refresh bearer csrf "
                                  "session jwt private public test fake mock "
                                  "sample some my valid invalid bad wrong missing error no the a weak enter "
                                  "forgot change show hide login signing app "
                                  "admin header value data text plain txt pem json env";

/* Words that stand for a value, its type, or what is wrong with it. */
static const char BENIGN[] = "required invalid string str text optional hidden missing incorrect wrong weak "
                             "strong none null nil true false "
                             "undefined bearer basic jwt session varchar bytes bytea char integer number "
                             "example password passwort contrasena";

static bool is_capital_boundary(struct text name, const char *at) {
    bool small_before = byte_in_word(at[-1]) && !byte_is_upper(at[-1]);
    bool small_after = at + 1 < name.end && byte_is_letter(at[1]) && !byte_is_upper(at[1]);
    return byte_is_upper(*at) && (small_before || small_after);
}

/* Takes the next word off *name: letters up to a separator or a capital; digits at its end are left out. */
static bool next_word(struct text *name, struct text *word, bool split_capitals) {
    while (name->at < name->end && (!byte_in_word(*name->at) || *name->at == '_'))
        name->at++;
    if (name->at == name->end)
        return false;
    *word = (struct text){name->at, name->at + 1};
    while (word->end < name->end && byte_in_word(*word->end) && *word->end != '_' &&
           !(split_capitals && is_capital_boundary(*name, word->end)))
        word->end++;
    name->at = word->end;
    return true;
}

static struct text without_digits(struct text word) {
    while (word.end > word.at && byte_is_digit(word.end[-1]))
        word.end--;
    return word;
}

static bool ends_any_case(struct text word, const char *ending) {
    size_t length = strlen(ending);
    return text_length(word) >= length &&
           text_is_any_case((struct text){word.end - length, word.end}, ending);
}

static enum secret_kind kind_of_words(struct text before, struct text last) {
    static const char *const PASSWORDS[] = {"password", "passwd", "passphrase", "secretkey", "privatekey"};
    static const char *const TOKENS[] = {"token", "apikey", "accesskey"};
    for (size_t i = 0; i < sizeof PASSWORDS / sizeof PASSWORDS[0]; i++)
        if (ends_any_case(last, PASSWORDS[i]))
            return SECRET_PASSWORD;
    if (text_is_any_case(last, "pwd"))
        return SECRET_PASSWORD;
    if (ends_any_case(last, "secret"))
        return text_length(last) == 6 && text_length(before) == 0 ? SECRET_WORD : SECRET_PASSWORD;
    if (text_is_any_case(last, "key") &&
        text_one_of_any_case(before, "secret private encryption signing master"))
        return SECRET_PASSWORD;
    if (text_is_any_case(last, "key") &&
        text_one_of_any_case(before, "api access auth account subscription service"))
        return SECRET_TOKEN;
    if (text_one_of_any_case(last, "pass credential credentials auth"))
        return SECRET_TOKEN;
    for (size_t i = 0; i < sizeof TOKENS / sizeof TOKENS[0]; i++)
        if (ends_any_case(last, TOKENS[i]))
            return SECRET_TOKEN;
    return SECRET_NONE;
}

bool may_end_secret_name(struct text word) {
    static const char *const ENDINGS[] = {"word", "key", "token", "secret", "pass", "pwd", "passwd", "phrase",
        "auth", "credential", "credentials"};
    word = without_digits(word);
    for (size_t i = 0; i < sizeof ENDINGS / sizeof ENDINGS[0]; i++)
        if (ends_any_case(word, ENDINGS[i]))
            return true;
    return false;
}

enum secret_kind secret_kind_of_name(struct text name, struct text *word) {
    struct text before = {name.at, name.at}, last = before, rest = name, next;
    for (int words = 0; words < NAME_WORDS_MAX && next_word(&rest, &next, true); words++) {
        next = without_digits(next);
        if (text_one_of_any_case(next, ABOUT))
            return SECRET_NONE;
        if (text_length(next) == 0)
            continue;
        before = last;
        last = next;
    }
    *word = last;
    return kind_of_words(before, last);
}

bool value_is_mixed(struct text value, size_t length_min) {
    bool letter = false, digit = false;
    for (const char *at = value.at; at < value.end; at++) {
        letter = letter || byte_is_letter(*at);
        digit = digit || byte_is_digit(*at);
    }
    return letter && digit && text_code_points(value) >= length_min;
}

static bool ends_with(struct text whole, struct text part) {
    size_t length = text_length(part);
    return text_length(whole) >= length && strncasecmp(whole.end - length, part.at, length) == 0;
}

/* "user_password" for a password, "X-Api-Key" for a key: it names the secret. */
static bool names_the_secret(struct text value, struct text word, enum secret_kind kind) {
    bool same = false;
    struct text rest = value, next;
    while (next_word(&rest, &next, true)) {
        bool digits = text_length(without_digits(next)) == 0;
        if (!(digits && kind == SECRET_TOKEN) && !text_one_of_any_case(next, FIELD_WORDS))
            return false;
        same = same || ends_with(word, next);
    }
    return same;
}

static bool begins_benign(struct text value) {
    struct text rest = value, word;
    return byte_is_letter(*value.at) && next_word(&rest, &word, false) && text_one_of_any_case(word, BENIGN);
}

static bool contains_any(struct text value, const char *const *needles) {
    for (; *needles != NULL; needles++)
        if (text_find_any_case(value, *needles) != NULL)
            return true;
    return false;
}

/* A value that is put together when the program runs, a pattern, a hash, or a path. */
static bool is_made_of_code(struct text value) {
    static const char *const NEEDLES[] = {
        "${", "$(", "{{", "#{", "%s", "%(", "(?", "\\d", "\\w", "[a-", "[0-", NULL};
    static const char *const BEGINNINGS[] = {"$2", "$argon2", "$pbkdf2", "$scrypt",
        "pbkdf2:", "scrypt:", "sha256:", "http:", "https:", "./", "../", "env:", "env(", "vault:", "!", "--"};
    for (size_t i = 0; i < sizeof BEGINNINGS / sizeof BEGINNINGS[0]; i++)
        if (text_starts_any_case(value, BEGINNINGS[i]))
            return true;
    bool variable =
        *value.at == '$' && text_length(value) > 1 && (byte_is_letter(value.at[1]) || value.at[1] == '_');
    bool braces = memchr(value.at, '{', text_length(value)) != NULL &&
                  memchr(value.at, '}', text_length(value)) != NULL;
    /* The first also begin what stands between two strings: "password=" + password + "…". */
    return variable || braces || strchr(")],;+:^/?\"'", *value.at) != NULL || contains_any(value, NEEDLES);
}

static bool has_white_space(struct text value) {
    for (const char *at = value.at; at < value.end; at++)
        if (byte_is_blank(*at))
            return true;
    return false;
}

bool value_is_secret(struct text value, enum secret_kind kind, struct text word) {
    static const char *const TELLING[] = {"secret", "passw", "hunter", "qwert", NULL};
    enum { PASSWORD_MIN = 4, TOKEN_MIN = 8, LONG = 16 };
    if (text_length(value) < PASSWORD_MIN || value.end[-1] == ':' || has_white_space(value) ||
        value_is_placeholder(value) || is_made_of_code(value) || begins_benign(value) ||
        names_the_secret(value, word, kind))
        return false;
    bool letters_only = !value_is_mixed(value, 0);
    switch (kind) {
    case SECRET_NONE:
        return false;
    case SECRET_PASSWORD:
        /* "#password" and ".password" select elements of a page. */
        return strchr("#.", *value.at) == NULL || !letters_only;
    case SECRET_WORD:
        return !letters_only || text_length(value) > 10 || contains_any(value, TELLING);
    case SECRET_TOKEN:
        return value_is_mixed(value, TOKEN_MIN) ||
               (text_length(value) >= LONG && text_find_any_case(value, "-") == NULL &&
                   text_find_any_case(value, "_") == NULL && text_find_any_case(value, ".") == NULL);
    }
    return false;
}
