/* signer.c - see signer.h. */
#include "ledger/signer.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "ledger/checkpoint.h"
#include "ledger/keyfile.h"
#include "sys/file.h"
#include "sys/log.h"

#define FILE_MODE 0644 /* signed, and without a secret */

/* A checkpoint that could not be kept everywhere, and where it is by now. */
struct kept {
    struct uuid log_id;
    int64_t size;
    bool in_file, in_ledger;
};

struct signer {
    struct signer_config config;
    struct crypto_key *private_key;
    struct note_key key;
    struct buf text;
    struct buf note;
    int64_t last_size;     /* of the last checkpoint; -1 before the first */
    int64_t last_mono_ms;  /* when that was */
    int64_t retry_mono_ms; /* 0: all was kept */
    struct kept current;   /* of signer_sign() */
    struct kept ended;     /* of signer_sign_ended() */
};

/* ---- the key ----------------------------------------------------------- */

static void
log_key(const struct signer *signer, const char *event)
{
    struct buf text;

    buf_init(&text, NOTE_MAX_BYTES);
    if (note_key_append(&signer->key, &text) == BUF_OK)
        log_info(event, "file=%s verifier_key=%s", signer->config.key_file,
                 text.bytes);
    buf_close(&text);
}

static int
load_key(struct signer *signer, struct err *err)
{
    const struct signer_config *config = &signer->config;
    const bool is_new = access(config->key_file, F_OK) == -1 && errno == ENOENT;
    uint8_t public[ED25519_PUBLIC_LEN];

    signer->private_key = is_new ? keyfile_create(config->key_file, err)
                                 : keyfile_read(config->key_file, err);
    if (signer->private_key == NULL ||
        crypto_ed25519_public(signer->private_key, public, err) == -1 ||
        note_key_make(&signer->key, config->name, public, err) == -1) {
        err_prefix(err, "the key that signs checkpoints");
        return -1;
    }
    log_key(signer, is_new ? "checkpoint_key_made" : "checkpoint_key");
    return 0;
}

struct signer *
signer_new(const struct signer_config *config, struct err *err)
{
    struct signer *signer = calloc(1, sizeof(*signer));

    if (signer == NULL) {
        err_set(err, ERR_NOMEM, "signer");
        return NULL;
    }
    signer->config = *config;
    signer->last_size = -1;
    buf_init(&signer->text, NOTE_MAX_BYTES);
    buf_init(&signer->note, NOTE_MAX_BYTES);
    if (load_key(signer, err) == 0)
        return signer;
    signer_free(signer);
    return NULL;
}

void
signer_free(struct signer *signer)
{
    if (signer == NULL)
        return;
    buf_close(&signer->note);
    buf_close(&signer->text);
    crypto_key_free(signer->private_key);
    free(signer);
}

/* ---- when -------------------------------------------------------------- */

int64_t
signer_due_mono_ms(const struct signer *signer, int64_t size)
{
    if (signer->retry_mono_ms != 0)
        return signer->retry_mono_ms;
    if (signer->last_size == -1)
        return 0;
    return signer->last_mono_ms + (size != signer->last_size
                                       ? signer->config.interval_ms
                                       : SIGNER_IDLE_MS);
}

/* ---- making one -------------------------------------------------------- */

static int
write_note(struct signer *signer, const struct checkpoint *checkpoint,
           struct err *err)
{
    buf_clear(&signer->text);
    buf_clear(&signer->note);
    if (checkpoint_append(&signer->text, signer->config.name, checkpoint) !=
        BUF_OK)
        return err_set(err, ERR_NOMEM, "checkpoint");
    return note_sign(&signer->note, signer->text.bytes, signer->private_key,
                     &signer->key, err);
}

/* An empty line parts it from the next one. */
static int
append_to_file(struct signer *signer, struct err *err)
{
    const size_t len = signer->note.len;
    int result = -1;

    if (buf_append_str(&signer->note, "\n") == BUF_OK)
        result = file_append_durably(signer->config.file, FILE_MODE,
                                     signer->note.bytes, signer->note.len, err);
    buf_truncate(&signer->note, len);
    return result;
}

static int
give_to_ledger(struct signer *signer, const struct checkpoint *checkpoint,
               struct err *err)
{
    struct store_checkpoint given = { .log_id = checkpoint->log_id,
                                      .size = checkpoint->size,
                                      .recorded_unix_us = clock_unix_us(),
                                      .note = signer->note.bytes };

    if (signer->config.keep == NULL)
        return 0;
    memcpy(given.root, checkpoint->root, sizeof(given.root));
    return signer->config.keep(signer->config.keep_arg, &given, err);
}

/* One failure does not keep the note from the other place, and another attempt
 * does not write it twice where it is. */
static bool
keep(struct signer *signer, const struct checkpoint *checkpoint,
     struct kept *kept)
{
    struct err err = { 0 };

    if (!uuid_equals(&kept->log_id, &checkpoint->log_id) ||
        kept->size != checkpoint->size)
        *kept = (struct kept){ .log_id = checkpoint->log_id,
                               .size = checkpoint->size };
    if (!kept->in_file) {
        kept->in_file = append_to_file(signer, &err) == 0;
        if (!kept->in_file)
            log_error("checkpoint_not_kept", "where=file reason=%s", err.text);
    }
    err = (struct err){ 0 };
    if (!kept->in_ledger) {
        kept->in_ledger = give_to_ledger(signer, checkpoint, &err) == 0;
        if (!kept->in_ledger) /* whose own trouble is told as such */
            log_warn("checkpoint_not_kept", "where=ledger reason=%s", err.text);
    }
    if (!kept->in_file || !kept->in_ledger)
        return false;
    *kept = (struct kept){ .size = 0 }; /* the next one is another */
    return true;
}

static bool
make(struct signer *signer, const struct checkpoint *checkpoint,
     struct kept *kept)
{
    struct err err = { 0 };

    if (write_note(signer, checkpoint, &err) == -1) {
        log_error("checkpoint_failed", "reason=%s", err.text);
        return false;
    }
    log_info("ledger_checkpoint", "note=%s", signer->note.bytes);
    return keep(signer, checkpoint, kept);
}

static bool
sign(struct signer *signer, const struct uuid *log_id,
     const struct merkle *tree, struct kept *kept)
{
    const struct signer_config *config = &signer->config;
    struct checkpoint checkpoint = { .log_id = *log_id, .size = tree->size };
    const bool made = merkle_root(tree, checkpoint.root, NULL) == 0 &&
                      make(signer, &checkpoint, kept);

    counters_add(config->metrics, config->family,
                 made ? SIGNER_MADE : SIGNER_FAILED, 1);
    return made;
}

bool
signer_sign_ended(struct signer *signer, const struct uuid *log_id,
                  const struct merkle *tree)
{
    return sign(signer, log_id, tree, &signer->ended);
}

void
signer_sign(struct signer *signer, const struct uuid *log_id,
            const struct merkle *tree)
{
    const bool made = sign(signer, log_id, tree, &signer->current);
    const int64_t now_mono_ms = clock_mono_ms();

    signer->retry_mono_ms = made ? 0 : now_mono_ms + SIGNER_RETRY_MS;
    if (made) {
        signer->last_size = tree->size;
        signer->last_mono_ms = now_mono_ms;
    }
}
