/* When checkpoints are due, where they go, and what a failure costs. */
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

#include "base/clock.h"
#include "client/crypto.h"
#include "ledger/checkpoint.h"
#include "ledger/keyfile.h"
#include "ledger/signer.h"
#include "sys/file.h"
#include "sys/log.h"

#define INTERVAL_MS 60000
#define NAME        "host.example"

static char folder[] = "/tmp/test_signer.XXXXXX";
static char key_file[64], file[64];
static int kept, keep_result;
static char kept_note[NOTE_MAX_BYTES];
static struct merkle tree;
static struct uuid log_id;

static int
keep(void *arg, const struct store_checkpoint *checkpoint, struct err *err)
{
    (void)arg;
    assert_int_equal(checkpoint->size, tree.size);
    assert_true(checkpoint->recorded_unix_us > 0);
    if (keep_result == -1)
        return err_set(err, ERR_SYSTEM, "not now");
    kept++;
    snprintf(kept_note, sizeof(kept_note), "%s", checkpoint->note);
    return 0;
}

static struct signer *
new_signer(void)
{
    const struct signer_config config = { .key_file = key_file,
                                          .name = NAME,
                                          .file = file,
                                          .interval_ms = INTERVAL_MS,
                                          .keep = keep };
    struct err err = { 0 };
    struct signer *signer = signer_new(&config, &err);

    if (signer == NULL)
        fail_msg("%s", err.text);
    return signer;
}

/* That of the key file, as whoever checks what is signed has it. */
static struct note_key
verifier(void)
{
    uint8_t public[ED25519_PUBLIC_LEN];
    struct crypto_key *key = keyfile_read(key_file, NULL);
    struct note_key made;

    assert_non_null(key);
    assert_int_equal(crypto_ed25519_public(key, public, NULL), 0);
    assert_int_equal(note_key_make(&made, NAME, public, NULL), 0);
    crypto_key_free(key);
    return made;
}

static void
grow(void)
{
    static const uint8_t leaf[ENTRY_HASH_LEN] = { 1 };

    assert_int_equal(merkle_append(&tree, leaf, NULL), 0);
}

static int
set_up(void **state)
{
    (void)state;
    snprintf(key_file, sizeof(key_file), "%s/key", folder);
    snprintf(file, sizeof(file), "%s/checkpoints", folder);
    unlink(file);
    memset(&tree, 0, sizeof(tree));
    grow();
    kept = keep_result = 0;
    return uuid_v7_new(&log_id, NULL);
}

static size_t
read_file(char *bytes, size_t size)
{
    struct buf buf;
    size_t len;

    buf_init(&buf, size - 1);
    assert_int_equal(file_read(file, &buf, NULL), 0);
    len = buf.len;
    memcpy(bytes, buf_cstr(&buf), len + 1);
    buf_close(&buf);
    return len;
}

static void
assert_signed(const char *bytes, int64_t size)
{
    const struct note_key key = verifier();
    struct checkpoint checkpoint;
    enum note_verdict verdict;
    uint8_t root[ENTRY_HASH_LEN];
    struct note note;

    assert_int_equal(note_split(&note, bytes, strlen(bytes), NULL), 0);
    assert_int_equal(note_check(&note, &key, 1, &verdict, NULL), 0);
    assert_int_equal(verdict, NOTE_SIGNED);
    assert_int_equal(checkpoint_parse(&checkpoint, &note, NULL), 0);
    assert_int_equal(checkpoint.size, size);
    assert_memory_equal(&checkpoint.log_id, &log_id, sizeof(log_id));
    assert_int_equal(merkle_root(&tree, root, NULL), 0);
    assert_memory_equal(checkpoint.root, root, sizeof(root));
}

static void
test_a_checkpoint_goes_to_the_ledger_and_to_the_end_of_the_file(void **state)
{
    struct signer *signer = new_signer();
    char bytes[NOTE_MAX_BYTES];
    size_t first_len;

    (void)state;
    signer_sign(signer, &log_id, &tree);
    assert_int_equal(kept, 1);
    assert_signed(kept_note, 1);
    first_len = read_file(bytes, sizeof(bytes));
    assert_int_equal(strncmp(bytes, kept_note, strlen(kept_note)), 0);
    assert_string_equal(bytes + strlen(kept_note), "\n");
    grow();
    signer_sign(signer, &log_id, &tree);
    assert_signed(kept_note, 2);
    read_file(bytes, sizeof(bytes));
    assert_int_equal(strncmp(bytes + first_len, kept_note, strlen(kept_note)),
                     0);
    signer_free(signer);
}

static void
test_the_key_is_made_once_and_stays(void **state)
{
    struct note_key first, second;

    (void)state;
    signer_free(new_signer());
    first = verifier();
    signer_free(new_signer());
    second = verifier();
    assert_memory_equal(first.public, second.public, sizeof(first.public));
}

static void
test_a_bad_key_file_or_name_is_refused(void **state)
{
    struct signer_config config = { .key_file = key_file,
                                    .name = "two words",
                                    .file = file,
                                    .interval_ms = INTERVAL_MS };
    struct err err = { 0 };

    (void)state;
    assert_null(signer_new(&config, &err));
    assert_int_equal(err.kind, ERR_INVALID);
    config.name = "host.example";
    assert_int_equal(chmod(key_file, 0644), 0);
    err = (struct err){ 0 };
    assert_null(signer_new(&config, &err));
    assert_int_equal(err.kind, ERR_INVALID);
    assert_int_equal(chmod(key_file, 0600), 0);
}

static void
test_due_at_once_then_by_the_interval_and_hourly_when_idle(void **state)
{
    struct signer *signer = new_signer();
    int64_t begin_mono_ms, end_mono_ms, due_mono_ms;

    (void)state;
    assert_true(signer_due_mono_ms(signer, tree.size) <= clock_mono_ms());
    begin_mono_ms = clock_mono_ms();
    signer_sign(signer, &log_id, &tree);
    end_mono_ms = clock_mono_ms();
    due_mono_ms = signer_due_mono_ms(signer, tree.size);
    assert_in_range(due_mono_ms, begin_mono_ms + SIGNER_IDLE_MS,
                    end_mono_ms + SIGNER_IDLE_MS);
    grow();
    due_mono_ms = signer_due_mono_ms(signer, tree.size);
    assert_in_range(due_mono_ms, begin_mono_ms + INTERVAL_MS,
                    end_mono_ms + INTERVAL_MS);
    signer_free(signer);
}

static void
test_what_the_ledger_does_not_take_is_in_the_file_and_tried_again_soon(
    void **state)
{
    struct signer *signer = new_signer();
    char bytes[NOTE_MAX_BYTES];

    (void)state;
    keep_result = -1;
    signer_sign(signer, &log_id, &tree);
    assert_true(read_file(bytes, sizeof(bytes)) > 0);
    assert_in_range(signer_due_mono_ms(signer, tree.size), clock_mono_ms(),
                    clock_mono_ms() + SIGNER_RETRY_MS);
    keep_result = 0;
    signer_sign(signer, &log_id, &tree);
    assert_int_equal(kept, 1);
    assert_true(signer_due_mono_ms(signer, tree.size) >
                clock_mono_ms() + SIGNER_RETRY_MS);
    signer_free(signer);
}

static void
test_what_the_file_does_not_take_is_in_the_ledger_and_tried_again_soon(
    void **state)
{
    struct signer *signer = new_signer();

    (void)state;
    assert_int_equal(mkdir(file, 0700), 0);
    signer_sign(signer, &log_id, &tree);
    assert_int_equal(kept, 1);
    assert_signed(kept_note, 1);
    assert_in_range(signer_due_mono_ms(signer, tree.size), clock_mono_ms(),
                    clock_mono_ms() + SIGNER_RETRY_MS);
    signer_sign(signer, &log_id, &tree);
    assert_int_equal(kept,
                     1); /* where it is already, it is not written again */
    assert_int_equal(rmdir(file), 0);
    signer_sign(signer, &log_id, &tree);
    assert_int_equal(kept, 1);
    signer_sign(signer, &log_id, &tree); /* hourly, of a log that rests */
    assert_int_equal(kept, 2);
    signer_free(signer);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(
            test_a_checkpoint_goes_to_the_ledger_and_to_the_end_of_the_file,
            set_up),
        cmocka_unit_test_setup(test_the_key_is_made_once_and_stays, set_up),
        cmocka_unit_test_setup(test_a_bad_key_file_or_name_is_refused, set_up),
        cmocka_unit_test_setup(
            test_due_at_once_then_by_the_interval_and_hourly_when_idle, set_up),
        cmocka_unit_test_setup(
            test_what_the_ledger_does_not_take_is_in_the_file_and_tried_again_soon,
            set_up),
        cmocka_unit_test_setup(
            test_what_the_file_does_not_take_is_in_the_ledger_and_tried_again_soon,
            set_up),
    };
    int failed;

    if (mkdtemp(folder) == NULL || log_to_file("/dev/null", NULL) == -1)
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(key_file);
    unlink(file);
    rmdir(folder);
    return failed;
}
