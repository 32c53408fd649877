/* The mock model as a writer: verse about the subject, the request said better. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/model/mock/mock.h"

enum { TOPIC_BYTES_MAX = 80, LABEL_BYTES_MAX = 24 };

/* In a template @ is the subject. */
static const struct {
    const char *voice, *template;
} VERSES[] = {
    {"pirate", "Arr, ye ask of @, me hearty,\nA treasure to chart on the sea!\n"
               "We hoist up the sails for the party\nAnd drink to yer question with glee!\n"},
    {"haiku", "Still pond at first light\n@ drifts slowly by\nA leaf finds its rest\n"},
    {"limerick", "There once was a tale about @,\nThat nobody dared to sit through.\n"
                 "But those who came near\nFound it easy to hear,\nAnd told it to other folk too.\n"},
    {"shakespeare", "Shall I compare @ to summer's day?\nThou art more subtle and more temperate.\n"
                    "Rough winds do shake the darling buds of May,\nAnd wisdom cometh early, never late.\n"},
    {"yoda", "Of @, much to learn you still have.\nStrong in patience, the wise one is, hmm.\n"},
    {NULL, "A quiet thought of @ takes wing,\nAnd dances lightly through the spring.\n"
           "It rests a while upon the bough,\nAnd sings of what we wonder now.\n"},
};

void mock_write_template(struct buffer *answer, const char *template, const struct mock_words *words) {
    for (; *template; template ++)
        if (*template == '@')
            mock_write_topic(answer, words, TOPIC_BYTES_MAX);
        else
            buffer_byte(answer, *template);
}

void mock_write_verse(struct buffer *answer, const char *voice, const struct mock_words *words) {
    size_t i = 0;
    while (VERSES[i].voice && !(voice && strcmp(voice, VERSES[i].voice) == 0))
        i++;
    mock_write_template(answer, VERSES[i].template, words);
}

/* A label such as "User input:" before the request itself. */
static const char *skip_label(const char *user) {
    static const char *const labels[] = {
        "user input:", "user request:", "request:", "input:", "task:", "question:"};
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++)
        if (strncasecmp(user, labels[i], strlen(labels[i])) == 0) {
            user += strlen(labels[i]);
            return user + strspn(user, " \t\r\n");
        }
    return user;
}

void mock_write_refined(struct buffer *answer, const char *user) {
    user = skip_label(user + strspn(user, " \t\r\n"));
    size_t length = strlen(user);
    while (length && strchr(" \t\r\n", user[length - 1]))
        length--;
    if (!length) {
        buffer_string(answer, "State what should be made.");
        return;
    }
    struct mock_words words = mock_read_words(answer->arena, user, strnlen(user, 2000), 200);
    buffer_byte(answer, (char)toupper((unsigned char)user[0]));
    buffer_append(answer, user + 1, length - 1);
    if (isalnum((unsigned char)user[length - 1]) || strchr(")]\"'", user[length - 1]) ||
        (user[length - 1] & 0x80))
        buffer_byte(answer, '.');
    buffer_string(answer, user[length - 1] == '`' ? "\n" : " ");
    buffer_string(answer, mock_wants_code(&words)
                              ? "Include a docstring, type hints and checks of the arguments."
                              : "Include what matters most, with one example, and keep it short.");
}
