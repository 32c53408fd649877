/* The languages people speak: which one a text names or is written in, and prose in each. */
#include <string.h>

#include "shared/buffer.h"
#include "shared/model/mock/mock.h"

enum { TELLING_WORDS_MIN = 4 };

/* In a template @ is the subject. English stands first. */
static const struct speech {
    const char *name;
    const char *telling; /* words that most texts in it have */
    const char *template;
} SPEECHES[] = {
    {"english", "the of and is to in that it for with a this are be",
        "The heart of the matter is @. First it helps to be clear about what comes in and what should come "
        "out. After that the steps follow one another, from the simplest case to the harder ones. Seen this "
        "way, @ is easy to follow and easy to check.\n"},
    {"french", "le la les des une est dans pour et il qui que du au avec sur sont puis",
        "Le coeur du sujet est @. Il faut d'abord dire ce qui entre et ce qui doit en sortir. Puis les pas "
        "se suivent, du cas le plus simple vers les cas difficiles. Ainsi la question est claire et facile "
        "pour tous.\n"},
    {"german", "der die das und ist ein eine nicht mit auf sich zu den wird dann was so",
        "Der Kern der Sache ist @. Zuerst muss klar sein, was hineingeht und was herauskommen soll. Dann "
        "folgen die Schritte, vom einfachsten Fall zu den schwierigen. So ist das Ganze leicht zu verstehen "
        "und mit wenig Aufwand zu pruefen.\n"},
    {"spanish", "el la los las una es en para y que con por del se lo al",
        "El centro del asunto es @. Primero hay que decir lo que entra y lo que debe salir. Luego los pasos "
        "se siguen, del caso sencillo a los casos dificiles. Asi la cuestion es clara y facil para todos.\n"},
    {"italian", "il la gli che una per con non del della sono si ed al di",
        "Il cuore della questione sta in @. Prima si dice che cosa entra e che cosa deve uscire. Poi i passi "
        "si seguono, dal caso semplice ai casi difficili. Cosi la cosa risulta chiara per tutti.\n"},
};

enum { SPEECH_COUNT = sizeof SPEECHES / sizeof *SPEECHES };

/* "in French", "only French", "French only"; not "the French revolution". */
static bool is_spoken(const struct mock_words *words, size_t i) {
    bool before = i && mock_word_in(&words->items[i - 1], "in into only speak speaks to use plain fluent");
    bool after = i + 1 < words->count && mock_word_in(&words->items[i + 1], "only language");
    return before || after;
}

const char *mock_named_speech(const struct mock_words *words) {
    for (size_t i = 0; i < words->count; i++)
        for (size_t k = 1; k < SPEECH_COUNT && (words->items[i].classes & WORD_PROSE); k++)
            if (!words->items[i].negated && is_spoken(words, i) &&
                mock_word_is(&words->items[i], SPEECHES[k].name))
                return SPEECHES[k].name;
    return NULL;
}

const char *mock_speech_of(const struct mock_words *words) {
    size_t counts[SPEECH_COUNT] = {0}, best = 0;
    for (size_t i = 0; i < words->count; i++)
        for (size_t k = 0; k < SPEECH_COUNT; k++)
            counts[k] += mock_word_in(&words->items[i], SPEECHES[k].telling);
    for (size_t k = 1; k < SPEECH_COUNT; k++)
        if (counts[k] > counts[best])
            best = k;
    return best && counts[best] >= TELLING_WORDS_MIN ? SPEECHES[best].name : NULL;
}

void mock_write_prose(struct buffer *answer, const char *speech, const struct mock_words *words) {
    const struct speech *found = &SPEECHES[0];
    for (size_t k = 1; k < SPEECH_COUNT; k++)
        if (speech && strcmp(SPEECHES[k].name, speech) == 0)
            found = &SPEECHES[k];
    mock_write_template(answer, found->template, words);
}
