/* Finds the code in an answer, by its fences and by the shapes of its lines. */
#include "workers/evaluator/scan_code.h"

#include <string.h>

#include "workers/evaluator/scan_fence.h"
#include "workers/evaluator/scan_line.h"

/* What an answer is shows in its first lines; the rest of a huge one is not judged line by line. */
enum { LINES_JUDGED_MAX = 5000 };

/* What the lines of a text look like, all in all. */
struct profile {
    size_t strong, weak, prose, neutral;
    size_t votes[LANGUAGES];
    struct text code; /* from the first line that is not prose to the last */
};

/* Judges at most *budget lines, and takes them off it; to_code: no further than the first line that settles
 * it. */
static void read_profile(struct text text, struct profile *profile, int *budget, bool to_code) {
    struct text rest = text, line;
    *profile = (struct profile){.code = {text.at, text.at}};
    bool begun = false;
    for (; *budget > 0 && !(to_code && profile->strong > 0) && text_next_line(&rest, &line); --*budget) {
        struct line_verdict verdict = line_judge(line);
        profile->prose += verdict.shape == LINE_PROSE;
        profile->neutral += verdict.shape == LINE_NEUTRAL;
        profile->weak += verdict.shape == LINE_WEAK;
        profile->strong += verdict.shape == LINE_STRONG;
        if (verdict.shape == LINE_PROSE || verdict.shape == LINE_BLANK)
            continue;
        if (verdict.shape != LINE_NEUTRAL)
            profile->votes[verdict.language] += verdict.shape == LINE_STRONG ? 3 : 1;
        if (!begun)
            profile->code.at = line.at;
        begun = true;
        profile->code.end = line.end;
    }
    if (rest.at < rest.end)
        profile->code.end = text.end;
}

/* One line that no prose has is enough; lines that prose might have must be the greater part. */
static bool is_code(const struct profile *profile) {
    return profile->strong > 0 || profile->weak > profile->prose;
}

static enum language guess_language(const struct profile *profile) {
    enum language best = LANGUAGE_UNKNOWN;
    size_t votes = 0;
    for (enum language language = LANGUAGE_UNKNOWN + 1; language < LANGUAGES; language++) {
        if (profile->votes[language] > votes) {
            votes = profile->votes[language];
            best = language;
        }
    }
    return best;
}

/* "((" and nothing else: no line of code, but nothing that people write either. */
static bool is_brackets_only(struct text text) {
    text = text_trim(text);
    for (const char *at = text.at; at < text.end; at++)
        if (strchr("()[]{} \n", *at) == NULL)
            return false;
    return true;
}

/* YAML looks much like a letter's head; only the tag tells it. */
static bool is_yaml(const struct piece *piece) {
    struct text text = text_trim(piece->text);
    return text_one_of_any_case(piece->tag, "yaml yml") && text_find_any_case(text, ":") != NULL;
}

/* A tag that names a language vouches for its fence, but not for one with nothing but prose in it. */
static bool piece_has_code(const struct piece *piece, int *budget) {
    struct profile profile;
    read_profile(piece->text, &profile, budget, true);
    enum language language = language_of_tag(piece->tag);
    bool named = piece->fenced && language != LANGUAGE_UNKNOWN && language != LANGUAGE_TEXT;
    return is_code(&profile) || (named && profile.weak > 0) || is_yaml(piece);
}

bool scan_has_code(const char *output) {
    struct text rest = text_of(output);
    struct piece piece;
    int budget = LINES_JUDGED_MAX;
    while (fence_next_piece(&rest, &piece))
        if (piece_has_code(&piece, &budget))
            return true;
    return false;
}

static bool fence_is_balanced(const struct piece *piece, int *budget) {
    struct profile profile;
    enum language language = language_of_tag(piece->tag);
    if (!piece->closed)
        return false;
    if (language == LANGUAGE_TEXT)
        return true;
    if (language == LANGUAGE_UNKNOWN) {
        read_profile(piece->text, &profile, budget, false);
        if (!is_code(&profile) && profile.prose > 0)
            return true;
        language = guess_language(&profile);
    }
    return syntax_is_balanced(piece->text, language);
}

static bool plain_is_balanced(struct text text, int *budget) {
    struct profile profile;
    if (is_brackets_only(text))
        return syntax_is_balanced(text, LANGUAGE_UNKNOWN);
    read_profile(text, &profile, budget, false);
    /* Prose behind the code may hold apostrophes and smileys; what looks like prose may be the end of a
     * string. */
    enum language language = guess_language(&profile);
    struct text to_end = {profile.code.at, text.end};
    return !is_code(&profile) || syntax_is_balanced(profile.code, language) ||
           syntax_is_balanced(to_end, language);
}

bool scan_balanced_syntax(const char *output) {
    struct text rest = text_of(output);
    struct piece piece;
    int budget = LINES_JUDGED_MAX;
    bool fenced = false;
    while (fence_next_piece(&rest, &piece)) {
        fenced = fenced || piece.fenced;
        if (piece.fenced && !fence_is_balanced(&piece, &budget))
            return false;
    }
    return fenced || plain_is_balanced(text_of(output), &budget);
}
