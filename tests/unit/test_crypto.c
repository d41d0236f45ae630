/*
 * test_crypto - lib/client/crypto against published vectors and against the
 * openssl command, which plays the other side.
 */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/err.h>

#include "base/str.h"
#include "client/crypto.h"

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);

static char folder[] = "/tmp/test_crypto.XXXXXX";
static int faults_after = -1;

static bool
is_fault(void)
{
    return faults_after >= 0 && faults_after-- == 0;
}

void *
__wrap_malloc(size_t size)
{
    return is_fault() ? NULL : __real_malloc(size);
}

void *
__wrap_realloc(void *old, size_t size)
{
    return is_fault() ? NULL : __real_realloc(old, size);
}

/* ---- helpers ------------------------------------------------------------ */

/* Runs a shell command in the temporary folder. */
static bool
shell(const char *command)
{
    char line[1024];

    snprintf(line, sizeof(line), "cd %s && { %s; } >/dev/null 2>&1", folder,
             command);
    return system(line) == 0;
}

static void
path_of(const char *name, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/%s", folder, name);
}

static size_t
read_file(const char *name, char *bytes, size_t size)
{
    char path[PATH_MAX];
    FILE *file;
    size_t len;

    path_of(name, path);
    file = fopen(path, "rb");
    assert_non_null(file);
    len = fread(bytes, 1, size, file);
    fclose(file);
    assert_true(len < size);
    return len;
}

static void
write_file(const char *name, const void *bytes, size_t len)
{
    char path[PATH_MAX];
    FILE *file;

    path_of(name, path);
    file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static struct crypto_key *
load(const char *name, struct err *err)
{
    char pem[8192];
    const size_t len = read_file(name, pem, sizeof(pem));

    return crypto_key_from_pem(pem, len, err);
}

static void
assert_refused(const char *name, const char *why)
{
    struct err err = { 0 };

    assert_null(load(name, &err));
    assert_int_equal(err.kind, ERR_INVALID);
    assert_non_null(strstr(err.text, why));
    assert_int_equal(ERR_peek_error(), 0);
}

static void
assert_sha256(const struct crypto_part *parts, size_t count, const char *want)
{
    uint8_t digest[SHA256_LEN];
    char hex[2 * SHA256_LEN + 1];

    assert_int_equal(crypto_sha256(parts, count, digest, NULL), 0);
    str_to_hex(digest, sizeof(digest), hex);
    assert_string_equal(hex, want);
}

static void
assert_base64url(const char *bytes, size_t len, const char *want)
{
    struct buf out;

    buf_init(&out, 64);
    assert_int_equal(crypto_append_base64url(&out, bytes, len), BUF_OK);
    assert_string_equal(buf_cstr(&out), want);
    assert_int_equal(out.len, strlen(want));
    buf_close(&out);
}

/* ---- hashes and text ---------------------------------------------------- */

static void
test_sha256_gives_the_published_digests(void **state)
{
    static const char two_blocks[] =
        "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    const struct crypto_part abc = { "abc", 3 };
    const struct crypto_part longer = { two_blocks, sizeof(two_blocks) - 1 };
    struct crypto_part million[1000];
    char thousand[1000];

    (void)state;
    memset(thousand, 'a', sizeof(thousand));
    for (size_t i = 0; i < ARRAY_LEN(million); i++)
        million[i] = (struct crypto_part){ thousand, sizeof(thousand) };
    assert_sha256(NULL, 0,
                  "e3b0c44298fc1c149afbf4c8996fb924"
                  "27ae41e4649b934ca495991b7852b855");
    assert_sha256(&abc, 1,
                  "ba7816bf8f01cfea414140de5dae2223"
                  "b00361a396177a9cb410ff61f20015ad");
    assert_sha256(&longer, 1,
                  "248d6a61d20638b8e5c026930c3e6039"
                  "a33ce45964ff2167f6ecedd419db06c1");
    assert_sha256(million, ARRAY_LEN(million),
                  "cdc76e5c9914fb9281a1c7e284d73e67"
                  "f1809a48a497200e046d39ccc7112cd0");
}

static void
test_sha256_of_parts_is_that_of_the_whole(void **state)
{
    const struct crypto_part parts[] = {
        { "a", 1 }, { "", 0 }, { NULL, 0 }, { "bc", 2 }
    };

    (void)state;
    assert_sha256(parts, ARRAY_LEN(parts),
                  "ba7816bf8f01cfea414140de5dae2223"
                  "b00361a396177a9cb410ff61f20015ad");
}

static void
test_base64url_gives_the_published_texts_without_padding(void **state)
{
    static const char *const want[] = { "",       "Zg",      "Zm8",     "Zm9v",
                                        "Zm9vYg", "Zm9vYmE", "Zm9vYmFy" };

    (void)state;
    for (size_t len = 0; len < ARRAY_LEN(want); len++)
        assert_base64url("foobar", len, want[len]);
    assert_base64url("\xfb\xff\xfe", 3, "-__-");
    assert_base64url("\x14\xfb\x9c\x03\xd9\x7e", 6, "FPucA9l-");
}

static void
test_base64url_adds_all_or_nothing(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 7);
    assert_int_equal(buf_append_str(&out, "x."), BUF_OK);
    assert_int_equal(crypto_append_base64url(&out, "foob", 4), BUF_FULL);
    assert_string_equal(buf_cstr(&out), "x.");
    assert_int_equal(crypto_append_base64url(&out, "foo", 3), BUF_OK);
    assert_string_equal(buf_cstr(&out), "x.Zm9v");
    buf_close(&out);
}

static void
test_random_bytes_differ_in_parent_and_child(void **state)
{
    uint8_t here[32], there[32];
    int ends[2];
    pid_t pid;

    (void)state;
    assert_int_equal(crypto_random(here, sizeof(here), NULL), 0);
    assert_int_equal(pipe(ends), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const bool ok =
            crypto_random(there, sizeof(there), NULL) == 0 &&
            write(ends[1], there, sizeof(there)) == (ssize_t)sizeof(there);
        _exit(ok ? 0 : 1);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], there, sizeof(there)), sizeof(there));
    close(ends[0]);
    waitpid(pid, NULL, 0);
    assert_int_equal(crypto_random(here, sizeof(here), NULL), 0);
    assert_memory_not_equal(here, there, sizeof(here));
}

static void
test_wipe_leaves_only_zeros(void **state)
{
    char secret[] = "secret";
    static const char zeros[sizeof(secret)];

    (void)state;
    crypto_wipe(secret, sizeof(secret));
    assert_memory_equal(secret, zeros, sizeof(secret));
}

/* ---- keys and signatures ------------------------------------------------ */

static void
assert_signs_for_openssl(const char *key_name)
{
    static const char text[] = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4In0";
    struct crypto_key *key = load(key_name, NULL);
    struct buf signature;

    assert_non_null(key);
    assert_int_equal(ERR_peek_error(), 0);
    buf_init(&signature, 1024);
    assert_int_equal(
        crypto_sign_rs256(key, text, strlen(text), &signature, NULL), 0);
    assert_int_equal(signature.len, 256);
    write_file("signature", signature.bytes, signature.len);
    write_file("text", text, strlen(text));
    assert_true(shell("openssl dgst -sha256 -verify public.pem"
                      " -signature signature text"));
    write_file("text", "another text", 12);
    assert_false(shell("openssl dgst -sha256 -verify public.pem"
                       " -signature signature text"));
    buf_close(&signature);
    crypto_key_free(key);
}

static void
test_openssl_verifies_the_rs256_signature_of_a_pkcs8_key(void **state)
{
    (void)state;
    assert_signs_for_openssl("pkcs8.pem");
}

static void
test_openssl_verifies_the_rs256_signature_of_a_pkcs1_key(void **state)
{
    (void)state;
    assert_signs_for_openssl("pkcs1.pem");
}

static void
test_a_signature_is_appended_or_refused_whole(void **state)
{
    struct crypto_key *key = load("pkcs8.pem", NULL);
    struct err err = { 0 };
    struct buf out;

    (void)state;
    assert_non_null(key);
    buf_init(&out, 260);
    assert_int_equal(buf_append_str(&out, "12345"), BUF_OK);
    assert_int_equal(crypto_sign_rs256(key, "x", 1, &out, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    assert_int_equal(out.len, 5);
    buf_clear(&out);
    assert_int_equal(buf_append_str(&out, "1234"), BUF_OK);
    assert_int_equal(crypto_sign_rs256(key, "x", 1, &out, NULL), 0);
    assert_int_equal(out.len, 260);
    assert_memory_equal(out.bytes, "1234", 4);
    buf_close(&out);
    crypto_key_free(key);
}

static void
test_a_weak_or_foreign_key_is_refused(void **state)
{
    (void)state;
    assert_refused("small.pem", "2048");
    assert_refused("curve.pem", "RSA");
    assert_refused("public.pem", "not PEM");
}

static void
test_garbage_is_refused_and_leaves_no_openssl_error(void **state)
{
    static const char half[] = "-----BEGIN PRIVATE KEY-----\nMIIE\n"
                               "-----END PRIVATE KEY-----\n";
    static char endless[70000];
    struct err err = { 0 };

    (void)state;
    write_file("garbage", "not a key", 9);
    write_file("half", half, strlen(half));
    assert_refused("garbage", "not PEM");
    assert_refused("half", "not PEM");
    assert_null(crypto_key_from_pem("", 0, &err));
    assert_int_equal(err.kind, ERR_INVALID);
    err = (struct err){ 0 };
    assert_null(crypto_key_from_pem(endless, sizeof(endless), &err));
    assert_int_equal(err.kind, ERR_INVALID);
    assert_int_equal(ERR_peek_error(), 0);
}

/* In a session of its own there is no terminal, so a prompt would read the
 * right password from standard input and the key would open. */
static void
assert_refused_without_a_prompt(const char *name)
{
    char path[PATH_MAX];
    int status;
    pid_t pid;

    write_file("password", "secret\n", 7);
    path_of("password", path);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct err err = { 0 };
        const int fd = open(path, O_RDONLY);
        const bool ready = setsid() != -1 && fd != -1 && dup2(fd, 0) == 0;
        const bool refused = load(name, &err) == NULL &&
                             strstr(err.text, "encrypted") != NULL &&
                             ERR_peek_error() == 0;

        _exit(ready && refused && lseek(0, 0, SEEK_CUR) == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void
test_an_encrypted_key_is_refused_without_a_prompt(void **state)
{
    (void)state;
    assert_refused_without_a_prompt("locked8.pem");
    assert_refused_without_a_prompt("locked1.pem");
}

static void
test_every_allocation_may_fail(void **state)
{
    char pem[8192];
    const size_t pem_len = read_file("pkcs8.pem", pem, sizeof(pem));
    int round;

    (void)state;
    for (round = 0; round < 10; round++) {
        struct err err = { 0 };
        struct crypto_key *key;
        struct buf out;
        bool done;

        buf_init(&out, 1024);
        faults_after = round;
        key = crypto_key_from_pem(pem, pem_len, &err);
        done = key != NULL && crypto_sign_rs256(key, "x", 1, &out, &err) == 0;
        faults_after = -1;
        assert_int_equal(err.kind, done ? ERR_NONE : ERR_NOMEM);
        buf_close(&out);
        crypto_key_free(key);
        if (done)
            break;
    }
    assert_in_range(round, 1, 9);
}

/* ---- the keys ----------------------------------------------------------- */

static int
make_keys(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    return shell("openssl genpkey -algorithm RSA -out pkcs8.pem"
                 " && openssl rsa -in pkcs8.pem -traditional -out pkcs1.pem"
                 " && openssl pkey -in pkcs8.pem -pubout -out public.pem"
                 " && openssl genrsa -out small.pem 1024"
                 " && openssl ecparam -genkey -noout -name prime256v1"
                 "    -out curve.pem"
                 " && openssl pkcs8 -topk8 -in pkcs8.pem -out locked8.pem"
                 "    -passout pass:secret"
                 " && openssl rsa -in pkcs8.pem -traditional -aes256"
                 "    -out locked1.pem -passout pass:secret")
               ? 0
               : -1;
}

static int
remove_keys(void **state)
{
    (void)state;
    return shell("rm -rf \"$PWD\"") ? 0 : -1;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256_gives_the_published_digests),
        cmocka_unit_test(test_sha256_of_parts_is_that_of_the_whole),
        cmocka_unit_test(
            test_base64url_gives_the_published_texts_without_padding),
        cmocka_unit_test(test_base64url_adds_all_or_nothing),
        cmocka_unit_test(test_random_bytes_differ_in_parent_and_child),
        cmocka_unit_test(test_wipe_leaves_only_zeros),
        cmocka_unit_test(
            test_openssl_verifies_the_rs256_signature_of_a_pkcs8_key),
        cmocka_unit_test(
            test_openssl_verifies_the_rs256_signature_of_a_pkcs1_key),
        cmocka_unit_test(test_a_signature_is_appended_or_refused_whole),
        cmocka_unit_test(test_a_weak_or_foreign_key_is_refused),
        cmocka_unit_test(test_garbage_is_refused_and_leaves_no_openssl_error),
        cmocka_unit_test(test_an_encrypted_key_is_refused_without_a_prompt),
        cmocka_unit_test(test_every_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, make_keys, remove_keys);
}
