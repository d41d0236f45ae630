/*
 * scribe.c - see scribe.h.
 *
 * A turn of the loop: wait, read whatever is there, decide on the records that
 * are whole, write them in one transaction, answer.  While a transaction is
 * being written the next records gather in the sockets, so the busier the
 * workers are the more of them share a commit.
 */
#include "ledger/scribe_inner.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "ledger/store.h"
#include "sys/fd.h"
#include "sys/log.h"

#define LOCK_WAIT_MS   6000 /* longer than an orphaned scribe lives */
#define CLOSE_PAUSE_MS 100
#define STALL_MS       20   /* between looks at newcomers while records wait */
#define ORPHANS_MS     1000 /* for runs that nobody claims, when asked to leave */
#define LINGER_MS      3000 /* for open runs, when asked to hurry */

/* ---- records ----------------------------------------------------------- */

static enum desk_decision
decide(struct scribe *scribe, struct link *link, const struct frame *frame,
       struct err *err)
{
    struct uuid run_id;

    if (frame->type == FRAME_RECORD)
        return desk_record(&scribe->desk, link, frame, err);
    if (frame->type != FRAME_OPEN_RUN) {
        err_set(err, ERR_INVALID, "frame is an answer, not a request");
        return DESK_BAD;
    }
    if (frame_read_open_run(frame, &run_id, err) == -1)
        return DESK_BAD;
    desk_open_run(&scribe->desk, link, &run_id);
    return DESK_ANSWERED;
}

/* Takes frames until one has to wait.  False when the link must go. */
static bool
take_frames(struct scribe *scribe, struct link *link)
{
    struct err err = { 0 };
    struct frame frame;

    for (;;) {
        enum frame_status status = link_look(link, &frame, &err);
        enum desk_decision decision;

        if (status == FRAME_MORE) {
            scribe_set_pending(scribe, link, false);
            return true;
        }
        decision = status == FRAME_WHOLE ? decide(scribe, link, &frame, &err)
                                         : DESK_BAD;
        if (decision == DESK_BAD) {
            log_warn("scribe_bad_frame", "reason=%s", err.text);
            return false;
        }
        if (decision != DESK_ANSWERED)
            return true; /* looked at again after the flush */
        link_pass(link, &frame);
    }
}

/* Looks at every link that has a whole frame.  Each turn begins further on, so
 * that a full batch leaves out others than the last one did. */
static void
take_pending(struct scribe *scribe)
{
    size_t left = scribe->link_count;
    size_t at = scribe->first_link;

    scribe->first_link += LOGBOOK_MAX_BATCH;
    if (scribe->first_link >= scribe->link_count)
        scribe->first_link = 0;
    for (; left > 0 && scribe->link_count > 0; left--) {
        struct link *link;

        if (at >= scribe->link_count)
            at = 0;
        link = scribe->links[at];
        if (link->pending && !take_frames(scribe, link))
            scribe_close_link(scribe, link); /* another takes its place */
        else
            at++;
    }
}

/* A held batch has waited long enough for its next attempt. */
static bool
may_flush(const struct scribe *scribe)
{
    return !desk_is_holding(&scribe->desk) ||
           clock_mono_ms() >= vault_retry_mono_ms(&scribe->vault);
}

static int64_t
checkpoint_due_mono_ms(const struct scribe *scribe)
{
    return signer_due_mono_ms(scribe->signer, logbook_tree(scribe->book)->size);
}

/* While the vault is not clear the ledger would be left out, and nobody signs
 * for that log afterwards. */
static void
make_checkpoint_of_previous(struct scribe *scribe)
{
    const struct store_log *previous = logbook_previous(scribe->book);

    if (scribe->previous_signed || previous == NULL ||
        !vault_is_clear(&scribe->vault) ||
        clock_mono_ms() < scribe->previous_mono_ms)
        return;
    scribe->previous_signed =
        signer_sign_ended(scribe->signer, &previous->log_id, &previous->tree);
    scribe->previous_mono_ms = clock_mono_ms() + SIGNER_RETRY_MS;
}

static void
make_checkpoint(struct scribe *scribe)
{
    signer_sign(scribe->signer, logbook_id(scribe->book),
                logbook_tree(scribe->book));
}

/* One batch: what is whole, then orphans, then the commit. */
static void
work(struct scribe *scribe)
{
    struct desk_tally tally = { .commit_us = 0 };

    scribe_resume_accepting(scribe);
    vault_work(&scribe->vault);
    desk_catch_up(&scribe->desk);
    take_pending(scribe);
    if (clock_mono_ms() >= scribe->next_check_mono_ms) {
        desk_check_runs(&scribe->desk);
        scribe->next_check_mono_ms = clock_mono_ms() + DESK_CHECK_MS;
    }
    if (may_flush(scribe))
        tally = desk_flush(&scribe->desk);
    scribe_count_batch(&scribe->config->metrics, &tally);
    logbook_guard_name(scribe->book);
    make_checkpoint_of_previous(scribe);
    if (clock_mono_ms() >= checkpoint_due_mono_ms(scribe))
        make_checkpoint(scribe);
    scribe->stalled = scribe->pending_count > 0 && tally.commit_us == 0;
    scribe_show_vault(&scribe->config->metrics, &scribe->vault, &scribe->told);
    for (size_t i = scribe->link_count; i-- > 0;) {
        struct link *link = scribe->links[i]; /* closing moves later ones */

        scribe_watch_room(scribe, link);
        if (link_is_gone(link) && !link->pending)
            scribe_close_link(scribe, link);
    }
}

/* ---- the loop ---------------------------------------------------------- */

static int
wait_ms(const struct scribe *scribe)
{
    int64_t until_mono_ms = vault_wake_mono_ms(&scribe->vault);
    const int64_t due_mono_ms = checkpoint_due_mono_ms(scribe);

    if (scribe->pending_count > 0)
        return scribe->stalled ? STALL_MS : 0;
    if (due_mono_ms < until_mono_ms)
        until_mono_ms = due_mono_ms;
    if (desk_is_holding(&scribe->desk) &&
        vault_retry_mono_ms(&scribe->vault) < until_mono_ms)
        until_mono_ms = vault_retry_mono_ms(&scribe->vault);
    if (scribe->accept_mono_ms != 0 && scribe->accept_mono_ms < until_mono_ms)
        until_mono_ms = scribe->accept_mono_ms;
    if (desk_has_unclaimed(&scribe->desk) &&
        scribe->next_check_mono_ms < until_mono_ms)
        until_mono_ms = scribe->next_check_mono_ms;
    if (scribe->leave_by_mono_ms != 0 &&
        scribe->leave_by_mono_ms < until_mono_ms)
        until_mono_ms = scribe->leave_by_mono_ms;
    return clock_left_ms(until_mono_ms);
}

/* Time to close the log?  Asked to hurry, the scribe stays for those who still
 * have runs to end. */
static bool
should_end(struct scribe *scribe)
{
    if (child_should_hurry(scribe->child)) {
        const int64_t now_mono_ms = clock_mono_ms();

        if (scribe->leave_by_mono_ms == 0)
            scribe->leave_by_mono_ms = now_mono_ms + LINGER_MS;
        return now_mono_ms >= scribe->leave_by_mono_ms ||
               (scribe->link_count == 0 && runs_count(scribe->desk.runs) == 0);
    }
    if (!child_should_leave(scribe->child))
        return false;
    /* Runs whose workers have just died get their end before we go. */
    if (scribe->orphans_by_mono_ms == 0)
        scribe->orphans_by_mono_ms = clock_mono_ms() + ORPHANS_MS;
    return !desk_has_unclaimed(&scribe->desk) ||
           clock_mono_ms() >= scribe->orphans_by_mono_ms;
}

/* Until nothing is held and no link has a frame that was not looked at. */
static void
work_off(struct scribe *scribe, int64_t end_by_mono_ms)
{
    work(scribe);
    while ((scribe->pending_count > 0 || desk_is_holding(&scribe->desk)) &&
           clock_mono_ms() < end_by_mono_ms) {
        scribe_wait_and_read(scribe, wait_ms(scribe));
        work(scribe);
    }
}

static int
serve(struct scribe *scribe)
{
    int64_t end_by_mono_ms;

    while (!should_end(scribe)) {
        if (scribe_wait_and_read(scribe, wait_ms(scribe)) == -1) {
            log_error("scribe_failed", "reason=epoll_wait errno=%d", errno);
            return -1;
        }
        work(scribe);
    }
    /* What has been sent to us by now is still written; what is pending stands
     * in the way of reading it. */
    vault_hurry(&scribe->vault);
    end_by_mono_ms = clock_mono_ms() + LINGER_MS;
    work_off(scribe, end_by_mono_ms);
    scribe_wait_and_read(scribe, 0);
    work_off(scribe, end_by_mono_ms);
    return 0;
}

/* ---- starting and ending ----------------------------------------------- */

static int
keep_checkpoint(void *arg, const struct store_checkpoint *checkpoint,
                struct err *err)
{
    return vault_write_checkpoint(arg, checkpoint, err);
}

static int
start_signer(struct scribe *scribe, struct err *err)
{
    struct signer_config signer = scribe->config->signer;

    signer.keep = keep_checkpoint;
    signer.keep_arg = &scribe->vault;
    scribe->signer = signer_new(&signer, err);
    return scribe->signer != NULL ? 0 : -1;
}

/* There may be so many that the watchdog would think that we hang. */
static int
note_spooled(void *arg, const struct seal *entry, struct err *err)
{
    struct scribe *scribe = arg;

    child_progress(scribe->child);
    return desk_note_spooled_key(scribe->keys, entry, err);
}

static int
start(struct scribe *scribe, struct err *err)
{
    const struct scribe_config *config = scribe->config;
    const int64_t lock_by_mono_ms = clock_mono_ms() + LOCK_WAIT_MS;
    struct vault_config vault = { .spool = config->spool,
                                  .host = config->host,
                                  .closed = config->closed };

    vault.spool.found = note_spooled;
    vault.spool.found_arg = scribe;
    scribe->keys = keys_new(config->key_ttl_us, err);
    if (scribe->keys == NULL || start_signer(scribe, err) == -1)
        return -1;
    vault.store = store_open(&config->store, lock_by_mono_ms, err);
    if (vault.store == NULL ||
        vault_init(&scribe->vault, &vault, lock_by_mono_ms, err) == -1)
        return -1;
    scribe->book = logbook_open(&scribe->vault, config->host, err);
    if (scribe->book == NULL)
        return -1;
    if (desk_init(&scribe->desk,
                  &(struct desk_config){ .vault = &scribe->vault,
                                         .book = scribe->book,
                                         .board = scribe->child->board,
                                         .keys = scribe->keys },
                  err) == -1)
        return -1;
    scribe_show_vault(&scribe->config->metrics, &scribe->vault, &scribe->told);
    return scribe_open_epoll(scribe, err);
}

static void
end(struct scribe *scribe)
{
    while (scribe->link_count > 0)
        scribe_close_link(scribe, scribe->links[scribe->link_count - 1]);
    fd_close(&scribe->epoll_fd);
    desk_close(&scribe->desk);
    keys_free(scribe->keys);
    signer_free(scribe->signer);
    logbook_free(scribe->book);
    vault_close(&scribe->vault);
    free(scribe);
}

/* The database may be away for a moment; the spool takes it then. */
static int
close_book(struct scribe *scribe, struct err *err)
{
    const int64_t end_by_mono_ms = clock_mono_ms() + LINGER_MS;

    while (logbook_close(scribe->book, err) == -1) {
        if (clock_mono_ms() >= end_by_mono_ms)
            return -1;
        *err = (struct err){ 0 };
        fd_wait(-1, 0, clock_mono_ms() + CLOSE_PAUSE_MS);
    }
    make_checkpoint(scribe); /* of all of it */
    return 0;
}

int
scribe_run(const struct scribe_config *config, struct child *child)
{
    struct scribe *scribe = calloc(1, sizeof(*scribe));
    struct err err = { 0 };
    int code = CHILD_EXIT_SICK;

    if (scribe == NULL)
        return CHILD_EXIT_SICK;
    scribe->config = config;
    scribe->child = child;
    scribe->epoll_fd = -1;
    if (start(scribe, &err) == -1) {
        log_error("scribe_start_failed", "reason=%s", err.text);
        if (err.kind == ERR_INVALID)
            code = CHILD_EXIT_CONFIG;
    } else {
        child_ready(child);
        if (serve(scribe) == 0 && close_book(scribe, &err) == 0)
            code = CHILD_EXIT_OK;
        else
            log_error("scribe_end_failed", "reason=%s", err.text);
    }
    end(scribe);
    return code;
}
