/* UUIDv7 with a counter and a MAC: 48 bits of time, 12 of a counter, a 0, 29 of this process, 32 of
 * HMAC-SHA256. A batch's lines have the batch's time, 12 bits of the line's number, a 1, 24 bits of the
 * batch, the line's other 5 bits, and the MAC. */
#include "shared/request_id.h"

#include <assert.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum { SIGNED_BYTES = 12, MAC_BYTES = 4, UUID_BYTES = 16, COUNTER_MAX = 4095, LINE_LOW_BITS = 5 };

static const char *key;

struct setting request_id_settings[] = {
    {.name = "REQUEST_ID_KEY",
        .type = SETTING_SECRET,
        .value = &key,
        .min = 1,
        .help = "Key by which gateways know request ids of this deployment; the same for all of them."},
    {0},
};

static void random_bytes(void *out, size_t bytes) {
    for (size_t filled = 0; filled < bytes;) {
        ssize_t got = getrandom((char *)out + filled, bytes - filled, 0);
        if (got < 0 && errno != EINTR)
            abort();
        filled += got > 0 ? (size_t)got : 0;
    }
}

/* HMAC-SHA256 under the key. OpenSSL's HMAC() looks its parts up at each call, which takes four times as long
 * as the work itself: so they are kept. */
static void hmac(const void *data, size_t length, unsigned char digest[EVP_MAX_MD_SIZE]) {
    static EVP_MAC_CTX *context;
    static const char *context_key;
    size_t written;
    if (!context) {
        EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
        if (!mac || !(context = EVP_MAC_CTX_new(mac)))
            abort();
        EVP_MAC_free(mac);
    }
    if (context_key != key) {
        const OSSL_PARAM parameters[] = {
            OSSL_PARAM_construct_utf8_string("digest", (char[]){"SHA256"}, 0), OSSL_PARAM_construct_end()};
        if (EVP_MAC_init(context, (const unsigned char *)key, strlen(key), parameters) != 1)
            abort();
        context_key = key;
    } else if (EVP_MAC_init(context, NULL, 0, NULL) != 1) {
        abort();
    }
    if (EVP_MAC_update(context, data, length) != 1 ||
        EVP_MAC_final(context, digest, &written, EVP_MAX_MD_SIZE) != 1)
        abort();
}

static void sign(const unsigned char data[SIGNED_BYTES], unsigned char mac[MAC_BYTES]) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    hmac(data, SIGNED_BYTES, digest);
    memcpy(mac, digest, MAC_BYTES);
}

static void format(const unsigned char uuid[UUID_BYTES], char text[UUID_TEXT_BYTES]) {
    static const char DIGITS[] = "0123456789abcdef";
    for (int i = 0; i < UUID_BYTES; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *text++ = '-';
        *text++ = DIGITS[uuid[i] >> 4];
        *text++ = DIGITS[uuid[i] & 15];
    }
    *text = '\0';
}

/* The next pair of millisecond and counter: when the counter is used up, or the clock went back, time is
 * taken from the future rather than an id twice. */
static uint64_t next_tick(unsigned *counter) {
    static uint64_t last_ms;
    static unsigned last_counter;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    if (ms > last_ms) {
        last_ms = ms;
        last_counter = 0;
    } else if (last_counter == COUNTER_MAX) {
        last_ms++;
        last_counter = 0;
    } else {
        last_counter++;
    }
    *counter = last_counter;
    return last_ms;
}

/* All but the last four bytes. */
static void put_tick(unsigned char uuid[UUID_BYTES]) {
    static uint32_t process;
    unsigned counter;
    while (!process)
        random_bytes(&process, sizeof process);
    uint64_t ms = next_tick(&counter);
    for (int i = 0; i < 6; i++)
        uuid[i] = (unsigned char)(ms >> (40 - 8 * i));
    uuid[6] = (unsigned char)(0x70 | counter >> 8);
    uuid[7] = (unsigned char)counter;
    for (int i = 0; i < 4; i++)
        uuid[8 + i] = (unsigned char)(process >> (24 - 8 * i));
    uuid[8] = (unsigned char)(0x80 | (uuid[8] & 0x1f));
}

void request_id_create(char text[UUID_TEXT_BYTES]) {
    unsigned char uuid[UUID_BYTES];
    put_tick(uuid);
    sign(uuid, uuid + SIGNED_BYTES);
    format(uuid, text);
}

void request_id_unsigned(char text[UUID_TEXT_BYTES]) {
    unsigned char uuid[UUID_BYTES];
    put_tick(uuid);
    random_bytes(uuid + SIGNED_BYTES, UUID_BYTES - SIGNED_BYTES);
    format(uuid, text);
}

static int digit(char character) {
    if (character >= '0' && character <= '9')
        return character - '0';
    if (character >= 'a' && character <= 'f')
        return character - 'a' + 10;
    return character >= 'A' && character <= 'F' ? character - 'A' + 10 : -1;
}

static bool parse(const char *text, unsigned char uuid[UUID_BYTES]) {
    for (int i = 0; i < UUID_BYTES; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-')
            return false;
        int high = digit(text[0]), low = high < 0 ? -1 : digit(text[1]);
        if (low < 0)
            return false;
        uuid[i] = (unsigned char)(high << 4 | low);
        text += 2;
    }
    return !*text;
}

bool uuid_valid(const char *text) {
    unsigned char uuid[UUID_BYTES];
    return parse(text, uuid);
}

bool request_id_issued(const char *text) {
    unsigned char uuid[UUID_BYTES], mac[MAC_BYTES];
    if (!parse(text, uuid))
        return false;
    sign(uuid, mac);
    return CRYPTO_memcmp(mac, uuid + SIGNED_BYTES, MAC_BYTES) == 0;
}

void request_id_of_line(const char *batch_id, unsigned line, char text[UUID_TEXT_BYTES]) {
    static char known_id[UUID_TEXT_BYTES];
    static const char *known_key;
    static unsigned char known[UUID_BYTES], digest[EVP_MAX_MD_SIZE];
    unsigned char uuid[UUID_BYTES];
    assert(line <= REQUEST_ID_LINE_MAX);
    if (known_key != key || strcmp(known_id, batch_id) != 0) {
        if (!parse(batch_id, known))
            abort();
        hmac(known, UUID_BYTES, digest);
        memcpy(known_id, batch_id, sizeof known_id);
        known_key = key;
    }
    unsigned high = line >> LINE_LOW_BITS, low = line & ((1 << LINE_LOW_BITS) - 1);
    uint32_t rest = UINT32_C(0xa0000000) | (uint32_t)digest[0] << 21 | (uint32_t)digest[1] << 13 |
                    (uint32_t)digest[2] << 5 | low;
    memcpy(uuid, known, 6);
    uuid[6] = (unsigned char)(0x70 | high >> 8);
    uuid[7] = (unsigned char)high;
    for (int i = 0; i < 4; i++)
        uuid[8 + i] = (unsigned char)(rest >> (24 - 8 * i));
    sign(uuid, uuid + SIGNED_BYTES);
    format(uuid, text);
}

void uuid_random(char text[UUID_TEXT_BYTES]) {
    unsigned char uuid[UUID_BYTES];
    random_bytes(uuid, sizeof uuid);
    uuid[6] = (unsigned char)(0x40 | (uuid[6] & 0x0f));
    uuid[8] = (unsigned char)(0x80 | (uuid[8] & 0x3f));
    format(uuid, text);
}

void sha256_hex(const char *string, char hex[65]) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    if (EVP_Digest(string, strlen(string), digest, NULL, EVP_sha256(), NULL) != 1)
        abort();
    for (int i = 0; i < 32; i++) {
        hex[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    hex[64] = '\0';
}
