/* Request ids: their layout, their order whatever the clock does, and whose key signed them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/request_id.h"

enum { VARIANT_AT = 19, MAC_AT = 28 };

/* Made by another implementation of HMAC-SHA256, under KEY. */
static const char KEY[] = "a key of this deployment";
static const char SIGNED[] = "018bcfe5-6800-7abc-9234-56783da6f830";

/* The clock that request_id.c reads, in Unix milliseconds; tests move it on only. 0: the real one. */
static int64_t clock_ms;

int clock_gettime(clockid_t clock, struct timespec *now) {
    if (clock != CLOCK_REALTIME || !clock_ms)
        return (int)syscall(SYS_clock_gettime, clock, now);
    now->tv_sec = clock_ms / 1000;
    now->tv_nsec = clock_ms % 1000 * 1000000 + 999999;
    return 0;
}

static void use_key(const char *key) {
    *(const char **)request_id_settings[0].value = key;
}

/* Each test begins a second after all that the tests before it have used up. */
static int new_second(void **state) {
    static int64_t next_ms = 1700000000000;
    (void)state;
    clock_ms = next_ms += 1000;
    use_key(KEY);
    return 0;
}

static int64_t milliseconds(const char *text) {
    unsigned high, low;
    assert_int_equal(sscanf(text, "%8x-%4x", &high, &low), 2);
    return (int64_t)high << 16 | low;
}

static unsigned counter(const char *text) {
    return (unsigned)strtoul(text + 15, NULL, 16);
}

/* The bits of an id that stay the same within one process. */
static uint64_t process_bits(const char *text) {
    char digits[9];
    snprintf(digits, sizeof digits, "%.4s%.4s", text + VARIANT_AT, text + 24);
    return strtoull(digits, NULL, 16) & 0x3fffffff;
}

static uint64_t process_bits_of_a_child(void) {
    int ends[2], status;
    char text[UUID_TEXT_BYTES];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        request_id_create(text);
        _exit(write(ends[1], text, sizeof text) == (ssize_t)sizeof text ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(read(ends[0], text, sizeof text), sizeof text);
    assert_int_equal(close(ends[0]) | close(ends[1]), 0);
    assert_true(uuid_valid(text));
    assert_non_null(strchr("89ab", text[VARIANT_AT]));
    return process_bits(text);
}

/* First of all tests: the children must not inherit bits that this process has drawn. */
static void processes_are_told_apart(void **state) {
    (void)state;
    uint64_t bits[16];
    for (int i = 0; i < 16; i++) {
        bits[i] = process_bits_of_a_child();
        for (int before = 0; before < i; before++)
            assert_true(bits[i] != bits[before]);
    }
}

static void an_id_is_a_uuid_of_version_7(void **state) {
    (void)state;
    char text[UUID_TEXT_BYTES], next[UUID_TEXT_BYTES];
    request_id_create(text);
    request_id_create(next);
    assert_int_equal(strlen(text), 36);
    assert_true(uuid_valid(text));
    assert_int_equal(strspn(text, "0123456789abcdef-"), 36);
    assert_int_equal(text[14], '7');
    assert_non_null(strchr("89ab", text[VARIANT_AT]));
    assert_int_equal(milliseconds(text), clock_ms);
    assert_int_equal(process_bits(text), process_bits(next));
}

static void the_counter_tells_ids_of_a_millisecond_apart(void **state) {
    (void)state;
    char text[UUID_TEXT_BYTES];
    for (unsigned i = 0; i < 3; i++) {
        request_id_create(text);
        assert_int_equal(milliseconds(text), clock_ms);
        assert_int_equal(counter(text), i);
    }
    clock_ms++;
    request_id_create(text);
    assert_int_equal(milliseconds(text), clock_ms);
    assert_int_equal(counter(text), 0);
}

static void ids_rise_past_a_full_millisecond(void **state) {
    (void)state;
    char before[UUID_TEXT_BYTES] = "", text[UUID_TEXT_BYTES];
    for (int i = 0; i < 10000; i++) {
        request_id_create(text);
        assert_true(strcmp(before, text) < 0);
        memcpy(before, text, sizeof before);
    }
    assert_int_equal(milliseconds(text), clock_ms + 2);
    assert_int_equal(counter(text), 10000 - 2 * 4096 - 1);
    clock_ms++;
    request_id_create(text);
    assert_true(strcmp(before, text) < 0);
}

static void ids_rise_when_the_clock_goes_back(void **state) {
    (void)state;
    char before[UUID_TEXT_BYTES], text[UUID_TEXT_BYTES];
    request_id_create(before);
    int64_t first_ms = clock_ms;
    clock_ms -= 500;
    for (int i = 0; i < 5000; i++) {
        request_id_create(text);
        assert_true(strcmp(before, text) < 0);
        memcpy(before, text, sizeof before);
    }
    assert_in_range(milliseconds(text), first_ms, first_ms + 1);
    clock_ms = first_ms + 2;
    request_id_create(text);
    assert_int_equal(milliseconds(text), clock_ms);
}

static void the_key_knows_its_ids(void **state) {
    (void)state;
    char text[UUID_TEXT_BYTES];
    assert_true(request_id_issued(SIGNED));
    request_id_create(text);
    assert_true(request_id_issued(text));
    for (int i = 0; text[i]; i++)
        if (text[i] >= 'a' && text[i] <= 'f')
            text[i] = (char)(text[i] - 'a' + 'A');
    assert_true(request_id_issued(text));
}

static void another_key_does_not(void **state) {
    (void)state;
    char text[UUID_TEXT_BYTES];
    request_id_create(text);
    use_key("a key of that deployment");
    assert_false(request_id_issued(SIGNED));
    assert_false(request_id_issued(text));
    request_id_create(text);
    assert_true(request_id_issued(text));
    use_key(KEY);
    assert_false(request_id_issued(text));
}

static void any_changed_digit_breaks_the_mac(void **state) {
    (void)state;
    char text[UUID_TEXT_BYTES];
    for (int i = 0; i < 36; i++) {
        memcpy(text, SIGNED, sizeof text);
        if (text[i] == '-')
            continue;
        text[i] = text[i] == '0' ? '1' : '0';
        assert_false(request_id_issued(text));
    }
}

/* Made by another implementation of HMAC-SHA256, under KEY. */
static const char BATCH[] = "018bcfe5-6800-7abc-9234-56783da6f830";
static const struct {
    unsigned line;
    const char *id;
} LINES[] = {
    {0, "018bcfe5-6800-7000-b90f-bd20d32ffc54"},
    {1, "018bcfe5-6800-7000-b90f-bd21004a386e"},
    {31, "018bcfe5-6800-7000-b90f-bd3f39e63ba5"},
    {32, "018bcfe5-6800-7001-b90f-bd20256c3f7a"},
    {100000, "018bcfe5-6800-7c35-b90f-bd206972b65f"},
    {131071, "018bcfe5-6800-7fff-b90f-bd3f0dd12ff4"},
};

static void lines_of_a_batch_have_their_ids(void **state) {
    (void)state;
    char text[UUID_TEXT_BYTES], before[UUID_TEXT_BYTES] = "";
    for (size_t i = 0; i < sizeof LINES / sizeof *LINES; i++) {
        request_id_of_line(BATCH, LINES[i].line, text);
        assert_string_equal(text, LINES[i].id);
        assert_true(request_id_issued(text));
    }
    for (unsigned line = 0; line <= REQUEST_ID_LINE_MAX; line++) {
        request_id_of_line(BATCH, line, text);
        assert_true(strcmp(before, text) < 0);
        assert_int_equal(milliseconds(text), milliseconds(BATCH));
        memcpy(before, text, sizeof before);
    }
}

static void lines_of_two_batches_and_single_ids_differ(void **state) {
    (void)state;
    char batches[2][UUID_TEXT_BYTES], lines[2][UUID_TEXT_BYTES], again[UUID_TEXT_BYTES];
    for (int i = 0; i < 2; i++) {
        request_id_create(batches[i]);
        request_id_of_line(batches[i], 7, lines[i]);
        /* The bit that tells a line's id from a single one. */
        assert_int_equal(process_bits(batches[i]) >> 29, 0);
        assert_int_equal(process_bits(lines[i]) >> 29, 1);
    }
    assert_int_equal(milliseconds(batches[0]), milliseconds(batches[1]));
    assert_string_not_equal(lines[0], lines[1]);
    request_id_of_line(batches[0], 7, again);
    assert_string_equal(lines[0], again);
    use_key("a key of that deployment");
    request_id_of_line(batches[0], 7, again);
    assert_string_not_equal(lines[0], again);
    assert_true(request_id_issued(again));
}

static const char *const NO_UUIDS[] = {
    "",
    "018bcfe5",
    "018bcfe568007abc923456783da6f830",
    "018bcfe5-6800-7abc-9234-56783da6f83",
    "018bcfe5-6800-7abc-9234-56783da6f8301",
    "018bcfe5-6800-7abc-9234-56783da6f830 ",
    " 018bcfe5-6800-7abc-9234-56783da6f830",
    "{018bcfe5-6800-7abc-9234-56783da6f830}",
    "018bcfe56-800-7abc-9234-56783da6f830",
    "018bcfe5_6800-7abc-9234-56783da6f830",
    "018bcfe5-6800-7abc-9234-56783da6f83g",
    "018bcfe5-6800-7abc-9234-5678\303\251a6f830",
    "018bcfe5-6800-7abc-9234-+6783da6f830",
    "------------------------------------",
};

static void what_is_no_uuid_is_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof NO_UUIDS / sizeof *NO_UUIDS; i++) {
        assert_false(uuid_valid(NO_UUIDS[i]));
        assert_false(request_id_issued(NO_UUIDS[i]));
    }
    assert_true(uuid_valid(SIGNED));
    assert_true(uuid_valid("00000000-0000-0000-0000-000000000000"));
    assert_true(uuid_valid("FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"));
}

static void random_uuids_differ(void **state) {
    (void)state;
    char text[UUID_TEXT_BYTES], before[UUID_TEXT_BYTES] = "";
    for (int i = 0; i < 1000; i++) {
        uuid_random(text);
        assert_true(uuid_valid(text));
        assert_int_equal(text[14], '4');
        assert_non_null(strchr("89ab", text[VARIANT_AT]));
        assert_memory_not_equal(text, before, 14);
        assert_memory_not_equal(text + MAC_AT, before + MAC_AT, 8);
        memcpy(before, text, sizeof before);
    }
}

static void sha256_is_the_standard_one(void **state) {
    (void)state;
    char hex[65], thousand[1001];
    sha256_hex("", hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sha256_hex("abc", hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    memset(thousand, 'a', 1000);
    thousand[1000] = '\0';
    sha256_hex(thousand, hex);
    assert_string_equal(hex, "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(processes_are_told_apart, new_second),
        cmocka_unit_test_setup(an_id_is_a_uuid_of_version_7, new_second),
        cmocka_unit_test_setup(the_counter_tells_ids_of_a_millisecond_apart, new_second),
        cmocka_unit_test_setup(ids_rise_past_a_full_millisecond, new_second),
        cmocka_unit_test_setup(ids_rise_when_the_clock_goes_back, new_second),
        cmocka_unit_test_setup(the_key_knows_its_ids, new_second),
        cmocka_unit_test_setup(another_key_does_not, new_second),
        cmocka_unit_test_setup(any_changed_digit_breaks_the_mac, new_second),
        cmocka_unit_test_setup(lines_of_a_batch_have_their_ids, new_second),
        cmocka_unit_test_setup(lines_of_two_batches_and_single_ids_differ, new_second),
        cmocka_unit_test(what_is_no_uuid_is_refused),
        cmocka_unit_test(random_uuids_differ),
        cmocka_unit_test(sha256_is_the_standard_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
