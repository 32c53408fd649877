/* Writes summaries, letters and any other prose. */
#include <ctype.h>
#include <string.h>

#include "tests/sim/outputs.h"

enum { POINTS_MAX = 3, POINT_WORDS = 7, QUOTE_WORDS = 4 };

/* What an answer is padded with where nobody asked for brevity: more than a hundred words. */
static const char PADDING[] = "There is a good deal more that could be said about all of this, and some of "
                              "it may well be worth saying, since "
                              "every matter has its sides and every side has its reasons. One might begin "
                              "with how things used to be, go on to "
                              "how they have come to be what they are, and only then turn to what may come "
                              "of them in the days ahead. None of "
                              "that changes the substance, but it may help to see the whole of it in a wider "
                              "light, to weigh one thing against "
                              "another, and to keep in mind that first impressions are not always the best "
                              "ones. With this in view it seems fair "
                              "to add that patience, care and a little good will tend to serve everyone "
                              "involved rather well in the end.\n\n";

static bool has(ability_set shown, enum ability ability) {
    return shown & ABILITY(ability);
}

/* The first words of text as they stand; returns what comes behind the sentence they are of. */
static const char *write_words(struct buffer *output, const char *text, size_t max) {
    const char *end = text;
    for (size_t words = 0; words < max && *end && !strchr(".!?\n\"", *end); words++) {
        end += strspn(end, " ");
        end += strcspn(end, " .!?\n\"");
    }
    buffer_append(output, text, (size_t)(end - text));
    end += strcspn(end, ".!?\n\"");
    return end + strspn(end, ".!?\n\" ");
}

static const char *material_of(const struct task *task) {
    return *task->material ? task->material : task->instruction;
}

static void write_points(struct buffer *output, const struct task *task, ability_set shown) {
    const char *text = material_of(task);
    bool numbered = has(shown, STEPS);
    for (int i = 1; i <= POINTS_MAX && *text; i++) {
        if (numbered)
            buffer_format(output, "%d. ", i);
        else
            buffer_string(output, "- ");
        text = write_words(output, text, POINT_WORDS);
        buffer_byte(output, '\n');
    }
    if (!*task->material)
        buffer_string(output, numbered ? "2. What comes next\n" : "- What comes next\n");
    buffer_byte(output, '\n');
}

static void write_quote(struct buffer *output, const struct task *task) {
    buffer_string(output, "It is put like this: \"");
    (void)write_words(output, material_of(task), QUOTE_WORDS);
    buffer_string(output, "\".\n\n");
}

static void write_prose(struct buffer *output, const struct task *task) {
    const char *text = material_of(task);
    for (int i = 0; i < POINTS_MAX && *text; i++) {
        text = write_words(output, text, POINT_WORDS);
        buffer_string(output, ", and so on. ");
    }
    buffer_string(output, "\n\n");
}

static void write_letter_body(struct buffer *output, const struct task *task, ability_set shown) {
    const char *before = "We wanted to get in touch because of the ",
               *behind = ". We can't leave it like this.";
    if (has(shown, FRIENDLY)) {
        before = "Hope you're well! Just a line about the ";
        behind = ". Can't wait to hear from you!";
    } else if (has(shown, FORMAL)) {
        before = "I am writing with regard to the ";
        behind = ". I would be grateful for your reply.";
    }
    buffer_string(output, before);
    output_topic(output, task, 5, " ");
    buffer_format(output, "%s\n\n", behind);
}

static void write_title(struct buffer *output, const struct task *task) {
    buffer_string(output, task->kind == KIND_EMAIL ? "Subject: " : "# ");
    size_t start = output->length;
    if (*task->material)
        (void)write_words(output, task->material, 4);
    else
        output_topic(output, task, 4, " ");
    if (output->length > start)
        output->data[start] = (char)toupper((unsigned char)output->data[start]);
    buffer_string(output, "\n\n");
}

static void write_middle(struct buffer *output, const struct task *task, ability_set shown) {
    bool points = has(shown, BULLETS) || has(shown, STEPS);
    if (task->kind == KIND_EMAIL)
        write_letter_body(output, task, shown);
    if (points)
        write_points(output, task, shown);
    else if (task->kind != KIND_EMAIL)
        write_prose(output, task);
    if (has(shown, CITATION))
        write_quote(output, task);
    if (has(shown, EXAMPLE))
        buffer_string(output, "Example: one such case.\n\n");
    if (!has(shown, BREVITY))
        buffer_string(output, PADDING);
}

/* Tone and courtesy are a letter's; a summary that is told to greet greets, too. */
void output_write_text(struct buffer *output, const struct task *task, ability_set shown) {
    if (!has(shown, NO_PREAMBLE))
        buffer_string(output, "Sure, I'm happy to help with that.\n\n");
    if (has(shown, TITLE))
        write_title(output, task);
    if (has(shown, GREETING))
        buffer_string(output, has(shown, FRIENDLY) ? "Hi there,\n\n" : "Dear reader,\n\n");
    write_middle(output, task, shown);
    if (has(shown, CONCLUSION)) {
        buffer_string(output, "In short: ");
        (void)write_words(output, material_of(task), 5);
        buffer_string(output, ".\n\n");
    }
    if (has(shown, SIGN_OFF))
        buffer_string(output, has(shown, FRIENDLY) ? "Cheers,\nAlex\n" : "Kind regards,\nAlex Smith\n");
}
