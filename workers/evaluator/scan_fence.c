/* Markdown's fenced code blocks: an answer is a row of pieces, fenced and not. */
#include "workers/evaluator/scan_fence.h"

enum { FENCE_LENGTH_MIN = 3, TILDES_MAX = 4 };

struct mark {
    char byte; /* '`' or '~' */
    size_t length;
    struct text info; /* what follows the mark on its line, trimmed */
};

/* Behind indentation and quote signs. */
static struct text skip_quote(struct text line) {
    while (line.at < line.end && (byte_is_blank(*line.at) || *line.at == '>'))
        line.at++;
    return line;
}

/* Behind "- ", "* ", "+ " or "12. ", where a fence may open as well. */
static struct text skip_list_marker(struct text line) {
    struct text after = line;
    while (after.at < after.end && byte_is_digit(*after.at))
        after.at++;
    bool numbered = after.at > line.at && after.at < after.end && (*after.at == '.' || *after.at == ')');
    bool bulleted = after.at == line.at && after.at < after.end &&
                    (*after.at == '-' || *after.at == '*' || *after.at == '+');
    if (!numbered && !bulleted)
        return line;
    after.at++;
    if (after.at >= after.end || !byte_is_blank(*after.at))
        return line;
    return skip_quote(after);
}

static bool read_mark(struct text line, struct mark *mark) {
    mark->byte = line.at < line.end ? *line.at : '\0';
    if (mark->byte != '`' && mark->byte != '~')
        return false;
    const char *at = line.at;
    while (at < line.end && *at == mark->byte)
        at++;
    mark->length = (size_t)(at - line.at);
    mark->info = text_trim((struct text){at, line.end});
    return mark->length >= FENCE_LENGTH_MIN;
}

/* A backtick behind the mark makes it inline code, ```like this```; a row of tildes alone underlines a title.
 */
static bool opens(struct text line, struct mark *mark) {
    if (!read_mark(skip_list_marker(skip_quote(line)), mark))
        return false;
    for (const char *at = mark->info.at; mark->byte == '`' && at < mark->info.end; at++)
        if (*at == '`')
            return false;
    return mark->byte == '`' || mark->length <= TILDES_MAX || mark->info.at < mark->info.end;
}

static bool closes(struct text line, const struct mark *opened) {
    struct mark mark;
    return read_mark(skip_quote(line), &mark) && mark.byte == opened->byte && mark.length >= opened->length &&
           mark.info.at == mark.info.end;
}

/* The language: the first word of the info string, also in forms such as {.python} and python:app.py. */
static struct text tag_of(struct text info) {
    while (info.at < info.end && (*info.at == '{' || *info.at == '.'))
        info.at++;
    struct text tag = {info.at, info.at};
    while (tag.end < info.end && !byte_is_blank(*tag.end) && *tag.end != ':' && *tag.end != ',' &&
           *tag.end != '{' && *tag.end != '}')
        tag.end++;
    return tag;
}

static void take_fence(struct text *rest, const struct mark *opened, struct piece *piece) {
    struct text line;
    piece->fenced = true;
    piece->tag = tag_of(opened->info);
    piece->text = *rest;
    while (text_next_line(rest, &line)) {
        if (!closes(line, opened))
            continue;
        piece->text.end = line.at;
        return;
    }
    piece->closed = false;
}

bool fence_next_piece(struct text *rest, struct piece *piece) {
    struct text line;
    struct mark mark;
    if (rest->at >= rest->end)
        return false;
    *piece = (struct piece){.text = *rest, .tag = {rest->at, rest->at}, .closed = true};
    for (struct text ahead = *rest; text_next_line(&ahead, &line); *rest = ahead) {
        if (!opens(line, &mark))
            continue;
        if (line.at > piece->text.at) {
            piece->text.end = line.at; /* the lines before the fence first */
            return true;
        }
        *rest = ahead;
        take_fence(rest, &mark, piece);
        return true;
    }
    return true;
}
