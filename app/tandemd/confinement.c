/* confinement.c - see confinement.h. */
#include "tandemd/confinement.h"

#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/pg_url.h"
#include "sys/confine.h"
#include "sys/fd.h"

#define NAME_LEN       32
#define LEDGER_WAIT_MS 2000 /* for the first scribe to make the files */
#define LEDGER_LOOK_MS 5

#define LEDGER_FILE_LEN (PATH_MAX + sizeof("-wal"))

#define OWN_FOLDER "/etc/tandem" /* of the configuration, as installed */

struct confinement {
    struct confine *stream; /* NULL: not confined */
    struct confine *control;
    char name[NAME_LEN];
};

static const char *const ledger_ends[] = { "", "-wal", "-shm" };

/* ---- what all workers may read ------------------------------------------- */

/* A leak check must be able to look at itself.  In any other build /proc stays
 * shut: root may read the environment of its other processes there. */
#ifdef __SANITIZE_ADDRESS__
#define OWN_PROC "/proc"
#else
#define OWN_PROC "/proc/sys"
#endif

/* Libraries that are loaded late (names are looked up by plug-ins), their
 * settings, certificates, time zones, and what the C library asks the
 * kernel. */
static const char *const system_paths[] = {
    "/etc",         "/usr",         "/lib",
    "/lib32",       "/lib64",       "/libx32",
    "/dev/null",    "/dev/zero",    "/dev/random",
    "/dev/urandom", OWN_PROC,       "/sys/devices/system/cpu",
    "/run/nscd",    "/var/lib/sss", "/var/cache/nscd",
};

/* These are often links out of /etc, to where some other program writes them,
 * and may become so. */
static const char *const often_links[] = {
    "/etc/resolv.conf", "/etc/hosts",     "/etc/nsswitch.conf",
    "/etc/gai.conf",    "/etc/localtime", "/etc/ssl/certs",
};

/* What a link leads to is shown with its folder, so that a worker outlives its
 * replacement; but never all of /run. */
static int
show_link(struct confine *confine, const char *link, struct err *err)
{
    char target[PATH_MAX];
    struct stat info;

    if (confine_show(confine, link, err) == -1)
        return -1;
    if (lstat(link, &info) == -1 || !S_ISLNK(info.st_mode) ||
        realpath(link, target) == NULL || stat(target, &info) == -1 ||
        S_ISDIR(info.st_mode))
        return 0;
    *strrchr(target, '/') = '\0';
    if (target[0] == '\0' || strchr(target + 1, '/') == NULL)
        return 0;
    return confine_show(confine, target, err);
}

/* A list of paths with colons between them; NULL is an empty one. */
static int
show_list(struct confine *confine, const char *list, struct err *err)
{
    char path[PATH_MAX];

    while (list != NULL && *list != '\0') {
        const size_t len = strcspn(list, ":");

        if (len > 0 && len < sizeof(path)) {
            snprintf(path, sizeof(path), "%.*s", (int)len, list);
            if (confine_show(confine, path, err) == -1)
                return -1;
        }
        list += len + (list[len] == ':');
    }
    return 0;
}

static int
show_system(struct confine *confine, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(system_paths); i++)
        if (confine_show(confine, system_paths[i], err) == -1)
            return -1;
    for (size_t i = 0; i < ARRAY_LEN(often_links); i++)
        if (show_link(confine, often_links[i], err) == -1)
            return -1;
    return show_list(confine, getenv("SSL_CERT_DIR"), err);
}

/* ---- what nobody may see ------------------------------------------------- */

static int
hide_record(struct confine *confine, const struct generation *generation,
            const char *config_path, struct err *err)
{
    const struct config *config = generation->config;
    const char *const paths[] = {
        config->state_dir,
        generation->spool_path,
        generation->checkpoint_key_path,
        generation->checkpoint_path,
        config_path,
        OWN_FOLDER, /* also where there is none yet */
    };

    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        if (paths[i] != NULL && confine_hide(confine, paths[i], err) == -1)
            return -1;
    return 0;
}

/* It may be a link out of STATE_DIR; SQLite keeps the others where it leads. */
static void
name_ledger_file(const char *ledger_path, const char *end,
                 char path[LEDGER_FILE_LEN])
{
    char file[PATH_MAX];

    if (realpath(ledger_path, file) == NULL)
        snprintf(file, sizeof(file), "%s", ledger_path);
    snprintf(path, LEDGER_FILE_LEN, "%s%s", file, end);
}

static int
for_ledger(struct confine *confine, const char *ledger_path,
           int (*act)(struct confine *confine, const char *path,
                      struct err *err),
           struct err *err)
{
    char path[LEDGER_FILE_LEN];

    for (size_t i = 0; i < ARRAY_LEN(ledger_ends); i++) {
        name_ledger_file(ledger_path, ledger_ends[i], path);
        if (act(confine, path, err) == -1)
            return -1;
    }
    return 0;
}

/* ---- PostgreSQL ---------------------------------------------------------- */

static const char *const url_files[] = {
    "passfile", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslcrldir"
};

static const char *const variables[] = {
    "PGPASSFILE", "PGSSLCERT",   "PGSSLKEY",      "PGSSLROOTCERT",
    "PGSSLCRL",   "PGSSLCRLDIR", "PGSERVICEFILE", "PGSYSCONFDIR",
};

static const char *const home_files[] = { ".pgpass", ".pg_service.conf",
                                          ".postgresql" };

/* As libpq finds it. */
static const char *
home_folder(void)
{
    const char *home = getenv("HOME");
    const struct passwd *user;

    if (home != NULL && home[0] != '\0')
        return home;
    user = getpwuid(geteuid());
    return user != NULL ? user->pw_dir : NULL;
}

static int
show_named(struct confine *confine, const struct pg_url *url, struct err *err)
{
    const char *file;

    for (size_t i = 0; i < ARRAY_LEN(url_files); i++)
        if ((file = pg_url_get(url, url_files[i])) != NULL &&
            confine_show(confine, file, err) == -1)
            return -1;
    for (size_t i = 0; i < ARRAY_LEN(variables); i++)
        if ((file = getenv(variables[i])) != NULL &&
            confine_show(confine, file, err) == -1)
            return -1;
    return 0;
}

static int
show_home(struct confine *confine, struct err *err)
{
    const char *home = home_folder();
    char path[PATH_MAX];

    for (size_t i = 0; home != NULL && i < ARRAY_LEN(home_files); i++) {
        snprintf(path, sizeof(path), "%s/%s", home, home_files[i]);
        if (confine_show(confine, path, err) == -1)
            return -1;
    }
    return 0;
}

/* Whatever a new connection reads.  Only where the login is known anyway: libpq
 * leaves copies of a URL in memory that it has freed. */
static int
show_for_database(struct confine *confine, const char *reader_url,
                  struct err *err)
{
    struct pg_url url;
    int result = pg_url_parse(&url, reader_url, err);

    if (result == 0)
        result = show_named(confine, &url, err);
    if (result == 0)
        result = show_home(confine, err);
    pg_url_close(&url);
    return result;
}

/* ---- the two pools ------------------------------------------------------- */

/* What is hidden comes first. */
static struct confine *
begin(const struct generation *generation, const char *config_path,
      struct err *err)
{
    struct confine *confine = confine_new(err);

    if (confine == NULL ||
        hide_record(confine, generation, config_path, err) == 0)
        return confine;
    confine_free(confine);
    return NULL;
}

static int
show_common(struct confine *confine, const struct config *config,
            struct err *err)
{
    if (show_system(confine, err) == -1)
        return -1;
    return config->log_file[0] == '\0'
               ? 0
               : confine_let_write(confine, config->log_file, err);
}

static int
fill(struct confinement *confinement, const struct generation *generation,
     const char *config_path, struct err *err)
{
    const struct config *config = generation->config;

    confinement->stream = begin(generation, config_path, err);
    confinement->control = begin(generation, config_path, err);
    if (confinement->stream == NULL || confinement->control == NULL ||
        for_ledger(confinement->stream, generation->ledger_path, confine_hide,
                   err) == -1)
        return -1;
    return show_common(confinement->stream, config, err) == -1
               ? -1
               : show_common(confinement->control, config, err);
}

struct confinement *
confinement_new(const struct generation *generation, const char *config_path,
                struct err *err)
{
    struct confinement *confinement = calloc(1, sizeof(*confinement));
    const int abi = generation->config->confine_workers ? confine_abi() : 0;

    if (confinement == NULL) {
        err_set(err, ERR_NOMEM, "confinement");
        return NULL;
    }
    snprintf(confinement->name, sizeof(confinement->name), "none");
    if (abi == 0)
        return confinement;
    snprintf(confinement->name, sizeof(confinement->name), "landlock-%d", abi);
    if (fill(confinement, generation, config_path, err) == 0)
        return confinement;
    err_prefix(err, "confinement");
    confinement_free(confinement);
    return NULL;
}

void
confinement_free(struct confinement *confinement)
{
    if (confinement == NULL)
        return;
    confine_free(confinement->stream);
    confine_free(confinement->control);
    free(confinement);
}

const char *
confinement_name(const struct confinement *confinement)
{
    return confinement->name;
}

bool
confinement_is_outdated(const struct confinement *confinement)
{
    /* What the master shows to both is the same. */
    return confinement->stream != NULL &&
           confine_is_outdated(confinement->stream);
}

/* ---- in the worker ------------------------------------------------------- */

static void
seal(const struct confinement *confinement)
{
    if (confinement->stream == NULL)
        return;
    confine_seal(confinement->stream);
    confine_seal(confinement->control);
}

void
confinement_seal(const struct generation *generation)
{
    const struct generation *each = generation;

    do {
        seal(each->confinement);
        each = each->next;
    } while (each != generation);
}

static int
enter(const struct generation *generation, const struct confine *confine,
      struct err *err)
{
    if (confine == NULL)
        return 0;
    if (confine_enter(confine, err) == -1)
        return -1;
    confinement_seal(generation);
    return 0;
}

int
confinement_enter_stream(const struct generation *generation, struct err *err)
{
    return enter(generation, generation->confinement->stream, err);
}

static bool
has_last_ledger_file(const char *ledger_path)
{
    char last[LEDGER_FILE_LEN];

    name_ledger_file(ledger_path, "-shm", last);
    return access(last, F_OK) == 0;
}

/* Only files that are there can be shown, and in the first moments of a first
 * start there are none.  Without them health and metrics work all the same. */
static void
wait_for_ledger(struct child *child, const char *ledger_path)
{
    const int64_t until_mono_ms = clock_mono_ms() + LEDGER_WAIT_MS;

    while (!has_last_ledger_file(ledger_path) &&
           clock_left_ms(until_mono_ms) > 0 && !child_should_leave(child))
        fd_wait(child_fd(child), POLLIN, clock_mono_ms() + LEDGER_LOOK_MS);
}

int
confinement_enter_control(struct child *child, struct err *err)
{
    const struct generation *generation = child->config;
    const char *url = config_reader_url(generation->config);
    struct confine *confine = generation->confinement->control;
    int result;

    if (confine == NULL)
        return 0;
    if (url[0] != '\0') {
        result = show_for_database(confine, url, err);
    } else {
        wait_for_ledger(child, generation->ledger_path);
        result =
            for_ledger(confine, generation->ledger_path, confine_show, err);
    }
    return result == 0 ? enter(generation, confine, err) : -1;
}

bool
confinement_hides_ledger(const struct generation *generation)
{
    const struct confine *confine = generation->confinement->control;

    return confine != NULL && confine_is_outdated(confine);
}
