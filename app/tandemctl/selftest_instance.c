/* selftest_instance.c - see selftest_instance.h. */
#include "tandemctl/selftest_instance.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "sys/fd.h"
#include "sys/file.h"
#include "sys/sig.h"
#include "tandemctl/selftest_stream.h"
#include "text/json.h"

#define FOLDER        "/tandem-selftest-XXXXXX"
#define LOG_BYTES     (16 << 20)
#define MAX_SETTINGS  32
#define SETTING_BYTES 32768
#define LOG_DEPTH     8
#define STOP_MS       4000 /* then kill -9 */
#define GONE_MS       6000 /* what tandemd's children have after that */
#define LOOK_MS       10

/* ---- programs ------------------------------------------------------------ */

static bool
is_program(char path[PATH_MAX], const char *folder, size_t folder_len,
           const char *between, const char *name)
{
    const int len = snprintf(path, PATH_MAX, "%.*s/%s%s", (int)folder_len,
                             folder, between, name);

    return len > 0 && len < PATH_MAX && access(path, X_OK) == 0;
}

static bool
find_beside_us(char path[PATH_MAX], const char *name)
{
    char self[PATH_MAX];
    const ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    const char *end;

    if (len <= 0)
        return false;
    self[len] = '\0';
    end = strrchr(self, '/');
    if (end == NULL)
        return false;
    return is_program(path, self, (size_t)(end - self), "", name) ||
           is_program(path, self, (size_t)(end - self), "../sbin/", name);
}

static bool
find_in_path(char path[PATH_MAX], const char *name)
{
    const char *folder = getenv("PATH");

    while (folder != NULL && *folder != '\0') {
        const size_t len = strcspn(folder, ":");

        if (len > 0 && is_program(path, folder, len, "", name))
            return true;
        folder += len + (folder[len] == ':');
    }
    return false;
}

static int
find_program(char path[PATH_MAX], const char *name, struct err *err)
{
    if (find_beside_us(path, name) || find_in_path(path, name))
        return 0;
    return err_set(err, ERR_INVALID,
                   "%s is missing: it is neither beside tandemctl, nor in "
                   "../sbin, nor in PATH; install it, it comes with tandemctl",
                   name);
}

/* ---- the folder ---------------------------------------------------------- */

static int
make_folder(struct instance *instance, struct err *err)
{
    const char *parent = getenv("TMPDIR");
    int len;

    if (parent == NULL || parent[0] == '\0')
        parent = "/tmp";
    len = snprintf(instance->folder, sizeof(instance->folder), "%s%s", parent,
                   FOLDER);
    if (len < 0 || (size_t)len >= sizeof(instance->folder))
        return err_set(err, ERR_INVALID,
                       "TMPDIR is too long for the names of sockets: set it "
                       "to /tmp");
    if (mkdtemp(instance->folder) != NULL)
        return 0;
    instance->folder[0] = '\0';
    return err_set_errno(err, ERR_SYSTEM, "cannot make a folder in %s", parent);
}

static void
name_in_folder(const struct instance *instance, char path[INSTANCE_NAME_BYTES],
               const char *name)
{
    snprintf(path, INSTANCE_NAME_BYTES, "%s/%s", instance->folder, name);
}

static int
remove_one(const char *path, const struct stat *status, int type,
           struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

struct instance *
instance_new(struct err *err)
{
    struct instance *instance = calloc(1, sizeof(*instance));

    if (instance == NULL) {
        err_set(err, ERR_NOMEM, "an instance");
        return NULL;
    }
    if (find_program(instance->tandemd_program, "tandemd", err) == -1 ||
        find_program(instance->modelsim_program, "modelsim", err) == -1 ||
        make_folder(instance, err) == -1) {
        free(instance);
        return NULL;
    }
    name_in_folder(instance, instance->stream_socket, "stream.sock");
    name_in_folder(instance, instance->control_socket, "control.sock");
    name_in_folder(instance, instance->ledger, "ledger.db");
    name_in_folder(instance, instance->spool, "spool");
    return instance;
}

bool
instance_free(struct instance *instance, bool keep)
{
    bool done = true;

    if (instance == NULL)
        return true;
    if (!keep)
        done =
            nftw(instance->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0;
    free(instance);
    return done;
}

/* ---- starting ------------------------------------------------------------ */

/* In the child.  A session of its own keeps Ctrl-C away from it. */
ATTR_NORETURN static void
become(const char *log_path, const char *const *command,
       const char *const *environment, pid_t parent)
{
    const int log_fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    const int null_fd = open("/dev/null", O_RDONLY);

    sig_close_in_child();
    setsid();
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == -1 || getppid() != parent ||
        log_fd == -1 || null_fd == -1 || dup2(null_fd, STDIN_FILENO) == -1 ||
        dup2(log_fd, STDOUT_FILENO) == -1 || dup2(log_fd, STDERR_FILENO) == -1)
        _exit(126);
    close(null_fd);
    close(log_fd);
    execve(command[0], (char *const *)(uintptr_t)command,
           (char *const *)(uintptr_t)environment);
    _exit(127);
}

static void
name_log(const struct instance *instance, char path[INSTANCE_NAME_BYTES],
         const char *program)
{
    snprintf(path, INSTANCE_NAME_BYTES, "%s/%s.log", instance->folder, program);
}

static pid_t
start(const struct instance *instance, const char *name,
      const char *const *command, const char *const *environment,
      struct err *err)
{
    const pid_t parent = getpid();
    char log_path[INSTANCE_NAME_BYTES];
    pid_t pid;

    name_log(instance, log_path, name);
    fflush(stdout);
    pid = fork();
    if (pid == 0)
        become(log_path, command, environment, parent);
    if (pid == -1)
        err_set_errno(err, ERR_SYSTEM, "cannot start %s", command[0]);
    return pid == -1 ? 0 : pid;
}

/* What a program has said so far. */
static int
read_log(const struct instance *instance, const char *name, struct buf *text)
{
    char path[INSTANCE_NAME_BYTES];

    name_log(instance, path, name);
    buf_init(text, LOG_BYTES);
    return file_read(path, text, NULL);
}

/* -1, with the last line that the program wrote. */
static int
tell_end(const struct instance *instance, const char *name, struct err *err)
{
    const char *line = "";
    struct buf text;

    if (read_log(instance, name, &text) == 0 && text.len > 0) {
        if (text.bytes[text.len - 1] == '\n')
            text.bytes[text.len - 1] = '\0';
        line = strrchr(text.bytes, '\n');
        line = line != NULL ? line + 1 : text.bytes;
    }
    err_set(err, ERR_SYSTEM, "%s does not get ready: %s", name,
            line[0] != '\0' ? line : "it says nothing");
    buf_close(&text);
    return -1;
}

static bool
has_ended(pid_t *pid)
{
    if (*pid != 0 && waitpid(*pid, NULL, WNOHANG) == *pid)
        *pid = 0;
    return *pid == 0;
}

static bool
knows_url(struct instance *instance)
{
    static const char before[] = "modelsim listening on ";
    struct buf text;
    const char *url = NULL;
    bool known = false;

    if (read_log(instance, "modelsim", &text) == 0)
        url = strstr(buf_cstr(&text), before);
    if (url != NULL) {
        const size_t len = strcspn(url + strlen(before), "\n");

        url += strlen(before);
        known = url[len] == '\n' && len < sizeof(instance->sim_url);
        if (known)
            snprintf(instance->sim_url, sizeof(instance->sim_url), "%.*s",
                     (int)len, url);
    }
    buf_close(&text);
    return known;
}

static int
start_modelsim(struct instance *instance, struct patience *patience,
               struct err *err)
{
    const char *const command[] = { instance->modelsim_program, "--port", "0",
                                    NULL };
    static const char *const environment[] = { NULL };

    instance->modelsim_pid =
        start(instance, "modelsim", command, environment, err);
    if (instance->modelsim_pid == 0)
        return -1;
    while (!knows_url(instance))
        if (has_ended(&instance->modelsim_pid) ||
            !patience_wait(patience, NULL, 0))
            return tell_end(instance, "modelsim", err);
    return 0;
}

/* The spool has little room, so that it can be filled. */
static int
write_settings(const struct instance *instance, struct arena *arena,
               const char *settings[MAX_SETTINGS])
{
    const char *path = getenv("PATH");
    const struct {
        const char *name;
        const char *value;
    } table[] = {
        { "PATH", path != NULL ? path : "/usr/bin:/bin" },
        { "STATE_DIR", instance->folder },
        { "STREAM_SOCKET", instance->stream_socket },
        { "CONTROL_SOCKET", instance->control_socket },
        { "SCRIBE_SOCKET",
          arena_printf(arena, "%s/scribe.sock", instance->folder) },
        { "GEMINI_API_KEY", "selftest" },
        { "GEMINI_BASE_URL", instance->sim_url },
        { "FLASH_PROVIDER", "gemini" },
        { "PRO_PROVIDER", "gemini" },
        { "STREAM_WORKERS_MIN", arena_printf(arena, "%d", INSTANCE_WORKERS) },
        { "STREAM_WORKERS_MAX", arena_printf(arena, "%d", INSTANCE_WORKERS) },
        { "FLASH_TIMEOUT_S", "5" },
        { "PRO_TIMEOUT_S", arena_printf(arena, "%d", INSTANCE_PRO_MS / 1000) },
        { "IDLE_TIMEOUT_S",
          arena_printf(arena, "0.%d", INSTANCE_IDLE_MS / 100) },
        { "RUN_DEADLINE_S",
          arena_printf(arena, "%d", INSTANCE_DEADLINE_MS / 1000) },
        { "AUDIT_SHARE_S", "8" }, /* more than a database is waited for */
        { "DRAIN_S", "16" },
        { "BREAKER_FAILURES", "0" }, /* a drill's faults are not the next's */
        { "SPOOL_MAX_BYTES", "1048576" },
        { "SPOOL_RESERVE_BYTES", "786432" },
    };

    _Static_assert(ARRAY_LEN(table) < MAX_SETTINGS, "one stays NULL");
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        settings[i] =
            table[i].value == NULL
                ? NULL
                : arena_printf(arena, "%s=%s", table[i].name, table[i].value);
        if (settings[i] == NULL)
            return -1;
    }
    return 0;
}

static bool
is_ready(const struct instance *instance)
{
    const struct stream_request request = { .method = "GET",
                                            .path = "/readyz" };
    struct patience patience = { .deadline_mono_ms = clock_mono_ms() + 1000 };
    struct stream stream;
    const bool ready =
        stream_open(&stream, instance->control_socket, &request, NULL) == 0 &&
        stream_wait(&stream, 1, stream_has_ended, &patience) &&
        stream.status == 200;

    stream_close(&stream);
    return ready;
}

static int
start_tandemd(struct instance *instance, struct patience *patience,
              struct err *err)
{
    const char *const command[] = { instance->tandemd_program, NULL };
    const char *settings[MAX_SETTINGS] = { NULL };
    struct arena arena;

    arena_init(&arena, SETTING_BYTES);
    if (write_settings(instance, &arena, settings) == -1)
        err_set(err, ERR_NOMEM, "settings");
    else
        instance->tandemd_pid =
            start(instance, "tandemd", command, settings, err);
    arena_close(&arena);
    if (instance->tandemd_pid == 0)
        return -1;
    while (!is_ready(instance))
        if (has_ended(&instance->tandemd_pid) ||
            !patience_wait(patience, NULL, 0))
            return tell_end(instance, "tandemd", err);
    return 0;
}

int
instance_start(struct instance *instance, struct patience *patience,
               struct err *err)
{
    if (start_modelsim(instance, patience, err) == -1)
        return -1;
    return start_tandemd(instance, patience, err);
}

/* ---- ending -------------------------------------------------------------- */

int
instance_end_tandemd(struct instance *instance, struct patience *patience)
{
    int status = 0;

    if (instance->tandemd_pid == 0)
        return -2;
    kill(instance->tandemd_pid, SIGTERM);
    while (waitpid(instance->tandemd_pid, &status, WNOHANG) == 0)
        if (!patience_wait(patience, NULL, 0))
            return -2;
    instance->tandemd_pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Asks, then kills the whole group and waits until none of it is there. */
static void
stop(pid_t *pid)
{
    const pid_t group = *pid;
    const int64_t now_mono_ms = clock_mono_ms();

    if (group == 0)
        return;
    kill(group, SIGTERM);
    while (!has_ended(pid) && clock_mono_ms() < now_mono_ms + STOP_MS)
        fd_wait(-1, 0, clock_mono_ms() + LOOK_MS);
    if (*pid == 0)
        return;
    kill(-group, SIGKILL);
    waitpid(group, NULL, 0);
    *pid = 0;
    while (kill(-group, 0) == 0 && clock_mono_ms() < now_mono_ms + GONE_MS)
        fd_wait(-1, 0, clock_mono_ms() + LOOK_MS);
}

void
instance_stop(struct instance *instance)
{
    stop(&instance->tandemd_pid);
    stop(&instance->modelsim_pid);
}

/* ---- its processes ------------------------------------------------------- */

/* The line in which a scribe says that it has begun. */
static pid_t
pid_in(const char *line)
{
    const size_t len = strcspn(line, "\n");
    json_t *object = json_parse(line, len, LOG_DEPTH, NULL);
    const char *event =
        object != NULL ? json_get_string(object, "event") : NULL;
    pid_t pid = 0;

    if (event != NULL && strcmp(event, "ledger_log_opened") == 0)
        pid = (pid_t)json_get_int(object, "pid", 0);
    json_decref(object);
    return pid;
}

pid_t
instance_scribe(const struct instance *instance)
{
    pid_t newest = 0;
    struct buf text;

    if (read_log(instance, "tandemd", &text) == 0)
        for (const char *line = text.bytes; line != NULL && *line != '\0';) {
            const pid_t pid = pid_in(line);

            if (pid != 0)
                newest = pid;
            line = strchr(line, '\n');
            if (line != NULL)
                line++;
        }
    buf_close(&text);
    return newest;
}

int
instance_kill(const struct instance *instance, pid_t pid, struct err *err)
{
    if (pid <= 1 || instance->tandemd_pid == 0 ||
        getsid(pid) != instance->tandemd_pid)
        return err_set(err, ERR_SYSTEM, "process %d is none of its tandemd's",
                       (int)pid);
    if (kill(pid, SIGKILL) == -1)
        return err_set_errno(err, ERR_SYSTEM, "cannot kill process %d",
                             (int)pid);
    return 0;
}
