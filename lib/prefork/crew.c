/*
 * crew.c - see crew.h.
 *
 * A member's pid is ours until crew_bury() has waited for it, so a signal never
 * reaches a stranger.
 */
#include "prefork/crew.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/uuid.h"
#include "prefork/child.h"
#include "sys/fd.h"
#include "sys/log.h"
#include "sys/sig.h"

#define STARTING_MS 60000 /* longest way to child_ready() */

int
crew_open(struct crew *crew, const struct master_config *config,
          struct err *err)
{
    *crew = (struct crew){ .config = config,
                           .member_count = board_slot_count(config->board),
                           .master_pid = getpid(),
                           .nudge_fd = -1,
                           .life_fds = { -1, -1 } };
    crew->members = calloc(crew->member_count, sizeof(*crew->members));
    if (crew->members == NULL)
        return err_set(err, ERR_NOMEM, "no memory for the crew");
    crew->nudge_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (crew->nudge_fd == -1) {
        err_set_errno(err, ERR_SYSTEM, "eventfd");
        goto fail;
    }
    if (pipe2(crew->life_fds, O_NONBLOCK | O_CLOEXEC) == -1) {
        err_set_errno(err, ERR_SYSTEM, "cannot open the life pipe");
        goto fail;
    }
    return 0;

fail:
    crew_close(crew);
    return -1;
}

void
crew_close(struct crew *crew)
{
    fd_close(&crew->life_fds[1]);
    fd_close(&crew->life_fds[0]);
    fd_close(&crew->nudge_fd);
    free(crew->members);
    crew->members = NULL;
    crew->member_count = 0;
}

/* ---- generations ------------------------------------------------------- */

bool
crew_has_room_for_generation(const struct crew *crew)
{
    for (size_t i = 0; i < CREW_MAX_GENERATIONS; i++)
        if (crew->generations[i].number == 0)
            return true;
    return false;
}

struct crew_generation *
crew_generation_new(struct crew *crew, const void *config)
{
    size_t place = 0;

    assert(crew_has_room_for_generation(crew));
    while (crew->generations[place].number != 0)
        place++;
    crew->generations[place] = (struct crew_generation){
        .number = ++crew->last_number,
        .config = config,
    };
    return &crew->generations[place];
}

void
crew_forget_unused(struct crew *crew, const struct crew_generation *keep,
                   const struct crew_generation *keep_too)
{
    const struct master_hooks *hooks = crew->config->hooks;

    for (size_t i = 0; i < CREW_MAX_GENERATIONS; i++) {
        struct crew_generation *generation = &crew->generations[i];

        if (generation->number == 0 || generation->living > 0 ||
            generation == keep || generation == keep_too)
            continue;
        if (hooks->forget != NULL)
            hooks->forget(hooks->arg, generation->config);
        *generation = (struct crew_generation){ 0 };
    }
}

/* ---- birth ------------------------------------------------------------- */

/* A worker that is taken over must not be able to accept for the scribe, and
 * a listener that the master has closed must be gone. */
static void
close_other_listeners(const struct master_config *config, unsigned pool_index)
{
    for (size_t i = 0; i < config->pool_count; i++)
        if (i != pool_index && config->pools[i].listen_fd != -1 &&
            config->pools[i].listen_fd != config->pools[pool_index].listen_fd)
            close(config->pools[i].listen_fd);
}

static ATTR_NORETURN void
live(const struct crew *crew, unsigned pool_index, int slot,
     const struct crew_generation *generation, const sigset_t *signal_mask)
{
    const struct master_pool *pool = &crew->config->pools[pool_index];
    const struct master_hooks *hooks = crew->config->hooks;
    const struct child_wiring wiring = {
        .name = pool->name,
        .size = &pool->size,
        .master_pid = crew->master_pid,
        .nudge_fd = crew->nudge_fd,
        .life_fd = crew->life_fds[0],
        .life_write_fd = crew->life_fds[1],
        .rotate = hooks->rotate,
        .rotate_arg = hooks->arg,
        .signal_mask = signal_mask,
    };
    struct child child = {
        .board = crew->config->board,
        .slot = slot,
        .pool = pool_index,
        .generation = generation->number,
        .listen_fd = pool->listen_fd,
        .quota = pool->quota,
        .config = generation->config,
    };

    close_other_listeners(crew->config, pool_index);
    child_run(&child, &wiring, pool->main);
}

int
crew_fork(struct crew *crew, unsigned pool, struct crew_generation *generation,
          struct err *err)
{
    struct board *board = crew->config->board;
    const int slot = board_claim(board, pool, generation->number);
    sigset_t old;
    pid_t pid;

    if (slot == -1)
        return err_set(err, ERR_LIMIT, "all %zu slots are taken",
                       crew->member_count);
    sig_block(&old);
    pid = fork();
    if (pid == 0)
        live(crew, pool, slot, generation, &old);
    sig_unblock(&old);
    if (pid == -1) {
        err_set_errno(err, ERR_SYSTEM, "fork");
        board_release(board, (size_t)slot);
        return -1;
    }
    board_set_pid(board, (size_t)slot, pid);
    crew->members[slot] =
        (struct crew_member){ .pid = pid,
                              .pool = pool,
                              .generation = generation,
                              .born_mono_ms = clock_mono_ms() };
    generation->living++;
    crew->living++;
    log_debug("child_started",
              "pool=%s child_slot=%d child_pid=%d "
              "child_generation=%u",
              crew->config->pools[pool].name, slot, (int)pid,
              generation->number);
    return 0;
}

bool
crew_next_ready(struct crew *crew, size_t *slot)
{
    for (size_t i = 0; i < crew->member_count; i++) {
        struct crew_member *member = &crew->members[i];

        if (member->pid == 0 || member->is_ready ||
            board_look(crew->config->board, i).stage == BOARD_STARTING)
            continue;
        member->is_ready = true;
        *slot = i;
        return true;
    }
    return false;
}

/* ---- asking to go ------------------------------------------------------ */

void
crew_ask(struct crew *crew, size_t slot, enum crew_ask ask)
{
    static const int signals[] = {
        [CREW_LEAVE] = SIGQUIT, [CREW_HURRY] = SIGTERM, [CREW_DIE] = SIGKILL
    };
    struct crew_member *member = &crew->members[slot];

    if (member->pid == 0 || ask <= member->asked)
        return;
    if (member->asked == CREW_STAY)
        member->asked_mono_ms = clock_mono_ms();
    member->asked = ask;
    kill(member->pid, signals[ask]);
}

void
crew_signal_all(const struct crew *crew, int signo)
{
    for (size_t i = 0; i < crew->member_count; i++)
        if (crew->members[i].pid != 0)
            kill(crew->members[i].pid, signo);
}

/* ---- burial ------------------------------------------------------------ */

static const char *
stage_name(enum board_stage stage)
{
    static const char *const names[] = {
        [BOARD_FREE] = "free",       [BOARD_STARTING] = "starting",
        [BOARD_IDLE] = "idle",       [BOARD_READING] = "reading",
        [BOARD_BUSY] = "busy",       [BOARD_REPLYING] = "replying",
        [BOARD_LEAVING] = "leaving",
    };

    return stage < ARRAY_LEN(names) ? names[stage] : "unknown";
}

/* One line about a member; the line carries the member's job, as the job's own
 * lines do. */
static void
tell(const struct crew *crew, enum log_level level, const char *event,
     const struct crew_loss *about, const char *what)
{
    const struct board_view *view = &about->view;
    char job[UUID_TEXT_LEN] = "none";

    if (!uuid_is_nil(&view->job)) {
        uuid_format(&view->job, job);
        log_set_run(job);
    }
    log_write(level, event,
              "pool=%s child_slot=%d child_pid=%d child_generation=%u how=%s "
              "age_ms=%lld stage=%s stage_ms=%lld job=%s done=%llu",
              crew->config->pools[about->member.pool].name, (int)about->slot,
              (int)about->member.pid, about->member.generation->number, what,
              (long long)about->lived_ms, stage_name(view->stage),
              (long long)(clock_mono_ms() - view->since_mono_ms), job,
              (unsigned long long)view->done_count);
    log_set_run(NULL);
}

static const char *
how_it_ended(int how, char text[32])
{
    if (WIFEXITED(how))
        snprintf(text, 32, "exit_%d", WEXITSTATUS(how));
    else
        snprintf(text, 32, "SIG%s", sigabbrev_np(WTERMSIG(how)));
    return text;
}

static enum crew_end
judge(const struct crew_member *member, const struct board_view *view, int how)
{
    if (member->was_overdue && !member->is_ready)
        return CREW_END_SICK;
    if (member->asked != CREW_STAY)
        return CREW_END_EXPECTED;
    if (!WIFEXITED(how))
        return CREW_END_SICK;
    if (WEXITSTATUS(how) == CHILD_EXIT_CONFIG)
        return CREW_END_CONFIG;
    /* One that leaves without having worked would be replaced in a circle. */
    return WEXITSTATUS(how) == CHILD_EXIT_OK && view->done_count > 0
               ? CREW_END_EXPECTED
               : CREW_END_SICK;
}

static void
bury(struct crew *crew, size_t slot, int how, struct crew_loss *loss)
{
    const struct master_hooks *hooks = crew->config->hooks;
    struct crew_member *member = &crew->members[slot];
    const bool in_order = WIFEXITED(how) && WEXITSTATUS(how) == CHILD_EXIT_OK;
    char text[32];

    *loss = (struct crew_loss){
        .slot = slot,
        .member = *member,
        .view = board_look(crew->config->board, slot),
        .how = how,
        .lived_ms = clock_mono_ms() - member->born_mono_ms,
    };
    loss->member.is_ready |= loss->view.stage != BOARD_STARTING;
    loss->end = judge(&loss->member, &loss->view, how);
    tell(crew, in_order ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING, "child_gone",
         loss, how_it_ended(how, text));
    member->generation->living--;
    crew->living--;
    *member = (struct crew_member){ 0 };
    board_release(crew->config->board, slot);
    if (hooks->gone != NULL)
        hooks->gone(hooks->arg, &loss->view, how);
}

bool
crew_bury(struct crew *crew, struct crew_loss *loss)
{
    pid_t pid;
    int how;

    while ((pid = waitpid(-1, &how, WNOHANG)) > 0)
        for (size_t i = 0; i < crew->member_count; i++)
            if (crew->members[i].pid == pid) {
                bury(crew, i, how, loss);
                return true;
            }
    return false;
}

/* ---- the watchdog ------------------------------------------------------ */

/* When the stage must be over; INT64_MAX when it may last. */
static int64_t
stage_deadline(const struct master_pool *pool, const struct board_view *view)
{
    switch (view->stage) {
    case BOARD_STARTING:
        return view->since_mono_ms + STARTING_MS;
    case BOARD_READING:
    case BOARD_REPLYING:
        return view->since_mono_ms + pool->reading_ms;
    case BOARD_BUSY:
        return view->deadline_mono_ms == 0
                   ? INT64_MAX
                   : view->deadline_mono_ms + pool->overdue_ms;
    case BOARD_FREE:
    case BOARD_IDLE:
    case BOARD_LEAVING:
        break;
    }
    return INT64_MAX;
}

static void
tell_of(const struct crew *crew, size_t slot, const char *event,
        const char *what)
{
    const struct crew_member *member = &crew->members[slot];
    const struct crew_loss about = {
        .slot = slot,
        .member = *member,
        .view = board_look(crew->config->board, slot),
        .lived_ms = clock_mono_ms() - member->born_mono_ms,
    };

    tell(crew, LOG_LEVEL_ERROR, event, &about, what);
}

static void
kill_overdue(struct crew *crew, size_t slot)
{
    if (crew->members[slot].asked == CREW_DIE)
        return;
    tell_of(crew, slot, "child_overdue", "kill");
    crew->members[slot].was_overdue = true;
    crew_ask(crew, slot, CREW_DIE);
}

/* Work has a deadline of its own; whoever has none and was asked to leave, or
 * says that it leaves, has as long as in a drain. */
static void
hasten_leaver(struct crew *crew, size_t slot, const struct board_view *view,
              int64_t now_mono_ms)
{
    const struct crew_member *member = &crew->members[slot];
    const int64_t hurry_at_ms =
        (member->asked != CREW_STAY ? member->asked_mono_ms
                                    : view->since_mono_ms) +
        crew->config->drain_ms;

    if (member->asked == CREW_STAY && view->stage != BOARD_LEAVING)
        return;
    if (now_mono_ms >= hurry_at_ms + crew->config->hurry_ms) {
        if (member->asked < CREW_DIE)
            tell_of(crew, slot, "child_lingers", "kill");
        crew_ask(crew, slot, CREW_DIE);
    } else if (now_mono_ms >= hurry_at_ms) {
        crew_ask(crew, slot, CREW_HURRY);
    }
}

int64_t
crew_watch(struct crew *crew, int64_t now_mono_ms)
{
    int64_t next_mono_ms = INT64_MAX;

    for (size_t i = 0; i < crew->member_count; i++) {
        const struct crew_member *member = &crew->members[i];
        struct board_view view;
        int64_t deadline_mono_ms;

        if (member->pid == 0)
            continue;
        view = board_look(crew->config->board, i);
        deadline_mono_ms =
            stage_deadline(&crew->config->pools[member->pool], &view);
        if (deadline_mono_ms == INT64_MAX)
            hasten_leaver(crew, i, &view, now_mono_ms);
        else if (now_mono_ms > deadline_mono_ms)
            kill_overdue(crew, i);
        else if (deadline_mono_ms < next_mono_ms)
            next_mono_ms = deadline_mono_ms + 1;
    }
    return next_mono_ms;
}
