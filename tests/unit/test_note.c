/*
 * Signed notes, checkpoints and their keys, against published values, against
 * the openssl command, and against each other.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/attr.h"
#include "base/str.h"
#include "ledger/checkpoint.h"
#include "ledger/keyfile.h"
#include "sys/file.h"

static char folder[] = "/tmp/test_note.XXXXXX";

static const char *
path_of(const char *name)
{
    static char path[96];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static int
set_up(void **state)
{
    (void)state;
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int
tear_down(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof(command), "rm -r %s", folder);
    return system(command);
}

/* ---- published values -------------------------------------------------- */

/* From the package that the format comes from. */
static const char peter[] =
    "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
static const char peters[] =
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "\xe2\x80\x94 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuG"
    "UgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

static enum note_verdict
check(const char *bytes, const struct note_key *keys, size_t count)
{
    enum note_verdict verdict;
    struct note note;
    struct err err = { 0 };

    if (note_split(&note, bytes, strlen(bytes), &err) == -1)
        fail_msg("%s", err.text);
    assert_int_equal(note_check(&note, keys, count, &verdict, NULL), 0);
    return verdict;
}

static void
test_a_published_note_is_signed_by_its_published_key(void **state)
{
    struct note_key key;
    struct buf text;

    (void)state;
    assert_int_equal(note_key_parse(&key, peter, NULL), 0);
    assert_string_equal(key.name, "PeterNeumann");
    assert_int_equal(check(peters, &key, 1), NOTE_SIGNED);
    assert_int_equal(check(peters, &key, 0), NOTE_UNKNOWN);
    buf_init(&text, NOTE_MAX_BYTES);
    assert_int_equal(note_key_append(&key, &text), BUF_OK);
    assert_string_equal(text.bytes, peter);
    buf_close(&text);
}

static void
test_every_change_of_a_note_is_seen(void **state)
{
    char changed[sizeof(peters)];
    struct note_key key;

    (void)state;
    assert_int_equal(note_key_parse(&key, peter, NULL), 0);
    for (size_t i = 0; i < sizeof(peters) - 1; i++) {
        enum note_verdict verdict = NOTE_UNKNOWN;
        struct note note;

        memcpy(changed, peters, sizeof(peters));
        changed[i] ^= 4;
        if (note_split(&note, changed, sizeof(peters) - 1, NULL) == -1)
            continue;
        assert_int_equal(note_check(&note, &key, 1, &verdict, NULL), 0);
        assert_int_not_equal(verdict, NOTE_SIGNED);
    }
}

static void
test_a_note_with_the_key_of_another_is_unknown_and_a_wrong_one_forged(
    void **state)
{
    struct note_key key;

    (void)state;
    assert_int_equal(note_key_parse(&key, peter, NULL), 0);
    key.public[0] ^= 1;
    assert_int_equal(check(peters, &key, 1), NOTE_FORGED);
    key.id[0] ^= 1;
    assert_int_equal(check(peters, &key, 1), NOTE_UNKNOWN);
}

static void
test_what_is_no_note_or_key_is_refused(void **state)
{
    static const char *const notes[] = {
        "",
        "\n",
        "text\n",
        "text\n\n",
        "text\n\nno dash\n",
        "text\n\n\xe2\x80",
        "te\txt\n\n\xe2\x80\x94 a AAAA\n",
        "\xff\n\n\xe2\x80\x94 a AAAA\n",
        "text\n\n\xe2\x80\x94 a AAAA",
    };
    static const char *const keys[] = {
        "",
        "name",
        "name+",
        "name+c74f20a3",
        "name+c74f20a3+",
        "+c74f20a3+AA==",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumenn+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+AhpcQcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    };
    struct note_key key;
    struct note note;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(notes); i++)
        assert_int_equal(note_split(&note, notes[i], strlen(notes[i]), NULL),
                         -1);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        assert_int_equal(note_key_parse(&key, keys[i], NULL), -1);
    assert_false(note_name_is_valid("with\xc2\xa0"
                                    "blank"));
    assert_true(note_name_is_valid("log.example.org/tandem"));
}

/* ---- base64 and Ed25519 ------------------------------------------------ */

static void
test_base64_goes_there_and_back(void **state)
{
    static const char *const texts[] = {
        "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy", "+/+/"
    };
    static const char *const wrong[] = { "Z",    "Zg=",  "Zg",   "Zh==",
                                         "Zm9=", "Z===", "=m9v", "Zm9vZg==Zg==",
                                         "Zm 9", "Zm9\n" };
    struct buf bytes, text;

    (void)state;
    buf_init(&bytes, 64);
    buf_init(&text, 64);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        buf_clear(&bytes);
        buf_clear(&text);
        assert_int_equal(
            crypto_append_unbase64(&bytes, texts[i], strlen(texts[i]), NULL),
            0);
        assert_int_equal(
            crypto_append_base64(&text, buf_cstr(&bytes), bytes.len), BUF_OK);
        assert_string_equal(buf_cstr(&text), texts[i]);
        if (texts[i][0] == 'Z')
            assert_memory_equal(buf_cstr(&bytes), "foobar", bytes.len);
    }
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_int_equal(
            crypto_append_unbase64(&bytes, wrong[i], strlen(wrong[i]), NULL),
            -1);
    buf_close(&bytes);
    buf_close(&text);
}

/* RFC 8032, section 7.1, test 2. */
static void
test_ed25519_gives_the_published_signature(void **state)
{
    static const char header[] = "302e020100300506032b657004220420";
    static const char seed[] =
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
    uint8_t der[48], public[32], signature[64];
    struct crypto_key *key;
    char hex[129];
    bool valid;
    struct buf pem;

    (void)state;
    buf_init(&pem, 1024);
    assert_int_equal(str_from_hex(header, der, 16), 0);
    assert_int_equal(str_from_hex(seed, der + 16, 32), 0);
    assert_int_equal(buf_append_str(&pem, "-----BEGIN PRIVATE KEY-----\n"), 0);
    assert_int_equal(crypto_append_base64(&pem, der, sizeof(der)), BUF_OK);
    assert_int_equal(buf_append_str(&pem, "\n-----END PRIVATE KEY-----\n"), 0);
    key = crypto_ed25519_from_pem(pem.bytes, pem.len, NULL);
    assert_non_null(key);
    assert_int_equal(crypto_ed25519_public(key, public, NULL), 0);
    str_to_hex(public, 32, hex);
    assert_string_equal(
        hex,
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
    assert_int_equal(crypto_ed25519_sign(key, "r", 1, signature, NULL), 0);
    str_to_hex(signature, 64, hex);
    assert_string_equal(
        hex,
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
    assert_int_equal(
        crypto_ed25519_verify(public, "r", 1, signature, &valid, NULL), 0);
    assert_true(valid);
    assert_int_equal(
        crypto_ed25519_verify(public, "s", 1, signature, &valid, NULL), 0);
    assert_false(valid);
    crypto_key_free(key);
    buf_close(&pem);
}

/* ---- key files --------------------------------------------------------- */

static void
test_a_key_file_is_made_once_closed_to_others_and_read_again(void **state)
{
    uint8_t one[32], other[32];
    struct crypto_key *key = keyfile_create(path_of("made"), NULL);
    struct stat info;
    struct err err = { 0 };

    (void)state;
    assert_non_null(key);
    assert_int_equal(crypto_ed25519_public(key, one, NULL), 0);
    crypto_key_free(key);
    assert_int_equal(stat(path_of("made"), &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    key = keyfile_read(path_of("made"), NULL);
    assert_non_null(key);
    assert_int_equal(crypto_ed25519_public(key, other, NULL), 0);
    assert_memory_equal(one, other, sizeof(one));
    crypto_key_free(key);
    assert_null(keyfile_create(path_of("made"), &err));
    assert_int_equal(err.kind, ERR_INVALID);
    key = keyfile_read(path_of("made"), NULL);
    assert_int_equal(crypto_ed25519_public(key, other, NULL), 0);
    assert_memory_equal(one, other, sizeof(one));
    crypto_key_free(key);
}

static void
refused(const char *name, const char *why)
{
    struct err err = { 0 };

    assert_null(keyfile_read(path_of(name), &err));
    assert_int_equal(err.kind, ERR_INVALID);
    if (strstr(err.text, why) == NULL)
        fail_msg("%s", err.text);
}

static void
test_a_key_file_that_is_open_or_holds_something_else_is_refused(void **state)
{
    char command[512];
    struct err err = { 0 };

    (void)state;
    crypto_key_free(keyfile_create(path_of("open"), NULL));
    assert_int_equal(chmod(path_of("open"), 0640), 0);
    refused("open", "chmod 0600");
    assert_int_equal(chmod(path_of("open"), 0604), 0);
    refused("open", "chmod 0600");
    assert_int_equal(
        file_write_durably(path_of("noise"), 0600, "noise", 5, NULL), 0);
    refused("noise", "tandemctl key new");
    snprintf(command, sizeof(command),
             "openssl genrsa -out %s 2048 2>/dev/null && chmod 0600 %s",
             path_of("rsa"), path_of("rsa"));
    assert_int_equal(system(command), 0);
    refused("rsa", "not for Ed25519");
    assert_int_equal(mkdir(path_of("folder"), 0700), 0);
    refused("folder", "not a file");
    assert_null(keyfile_read(path_of("nowhere"), &err));
    assert_int_equal(err.kind, ERR_SYSTEM);
    if (geteuid() == 0) {
        crypto_key_free(keyfile_create(path_of("theirs"), NULL));
        assert_int_equal(chown(path_of("theirs"), 12345, 0), 0);
        refused("theirs", "chown");
    }
}

static void
test_openssl_makes_a_key_file_that_serves(void **state)
{
    char command[512];
    struct crypto_key *key;

    (void)state;
    snprintf(command, sizeof(command),
             "umask 077; openssl genpkey -algorithm ed25519 -out %s",
             path_of("theirs.pem"));
    assert_int_equal(system(command), 0);
    key = keyfile_read(path_of("theirs.pem"), NULL);
    assert_non_null(key);
    crypto_key_free(key);
}

/* ---- checkpoints ------------------------------------------------------- */

static void
test_a_checkpoint_is_signed_read_and_checked(void **state)
{
    struct checkpoint made = { .size = 100098 }, read;
    struct crypto_key *key = crypto_ed25519_new(NULL);
    uint8_t public[32];
    struct note_key verifier;
    struct buf text, signed_text;
    struct note note;

    (void)state;
    assert_int_equal(
        uuid_parse("01976b5a-5c3e-7c31-8f2e-6d1f0a9b4c77", &made.log_id), 0);
    memset(made.root, 7, sizeof(made.root));
    buf_init(&text, NOTE_MAX_BYTES);
    buf_init(&signed_text, NOTE_MAX_BYTES);
    assert_int_equal(checkpoint_append(&text, "log.example", &made), BUF_OK);
    assert_string_equal(text.bytes,
                        "log.example/01976b5a-5c3e-7c31-8f2e-6d1f0a9b4c77\n"
                        "100098\n"
                        "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n");
    assert_int_equal(crypto_ed25519_public(key, public, NULL), 0);
    assert_int_equal(note_key_make(&verifier, "log.example", public, NULL), 0);
    assert_int_equal(note_sign(&signed_text, text.bytes, key, &verifier, NULL),
                     0);
    assert_int_equal(check(signed_text.bytes, &verifier, 1), NOTE_SIGNED);
    assert_int_equal(
        note_split(&note, signed_text.bytes, signed_text.len, NULL), 0);
    assert_int_equal(checkpoint_parse(&read, &note, NULL), 0);
    assert_memory_equal(&read.log_id, &made.log_id, sizeof(read.log_id));
    assert_int_equal(read.size, made.size);
    assert_memory_equal(read.root, made.root, sizeof(read.root));
    crypto_key_free(key);
    buf_close(&text);
    buf_close(&signed_text);
}

#define ID   "x/01976b5a-5c3e-7c31-8f2e-6d1f0a9b4c77\n"
#define ROOT "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n"

static void
test_what_is_no_checkpoint_is_refused(void **state)
{
    static const char *const texts[] = {
        "one\n",         ID "1\n",
        ID "01\n" ROOT,  ID "-1\n" ROOT,
        ID "1x\n" ROOT,  ID "\n" ROOT,
        ID "1\nAAAA\n",  "x\n1\n" ROOT,
        "/" ID "1\nx\n", ID "99999999999999999999\n" ROOT,
    };
    struct checkpoint checkpoint;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        const struct note note = { .text = texts[i],
                                   .text_len = strlen(texts[i]) };

        assert_int_equal(checkpoint_parse(&checkpoint, &note, NULL), -1);
    }
    assert_int_equal(
        checkpoint_parse(&checkpoint,
                         &(struct note){ .text = ID "1\n" ROOT "more\n",
                                         .text_len = strlen(ID ROOT) + 7 },
                         NULL),
        0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_published_note_is_signed_by_its_published_key),
        cmocka_unit_test(test_every_change_of_a_note_is_seen),
        cmocka_unit_test(
            test_a_note_with_the_key_of_another_is_unknown_and_a_wrong_one_forged),
        cmocka_unit_test(test_what_is_no_note_or_key_is_refused),
        cmocka_unit_test(test_base64_goes_there_and_back),
        cmocka_unit_test(test_ed25519_gives_the_published_signature),
        cmocka_unit_test(
            test_a_key_file_is_made_once_closed_to_others_and_read_again),
        cmocka_unit_test(
            test_a_key_file_that_is_open_or_holds_something_else_is_refused),
        cmocka_unit_test(test_openssl_makes_a_key_file_that_serves),
        cmocka_unit_test(test_a_checkpoint_is_signed_read_and_checked),
        cmocka_unit_test(test_what_is_no_checkpoint_is_refused),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
