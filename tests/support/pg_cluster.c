/*
 * pg_cluster.c - see pg_cluster.h.
 */
#include "support/pg_cluster.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE_LEN 4096

static FILE *to_cluster, *from_cluster;
static pid_t cluster_pid = -1;
static char folder[256];

static int
run_script(int in[2], int out[2])
{
    cluster_pid = fork();
    if (cluster_pid != 0)
        return cluster_pid == -1 ? -1 : 0;
    dup2(in[0], STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    close(in[0]);
    close(in[1]);
    close(out[0]);
    close(out[1]);
    execl("tests/support/pg_cluster.sh", "pg_cluster.sh", (char *)NULL);
    _exit(127);
}

int
pg_cluster_start(void)
{
    char line[LINE_LEN];
    int in[2], out[2];

    signal(SIGPIPE, SIG_IGN);
    if (pipe(in) == -1 || pipe(out) == -1 || run_script(in, out) == -1)
        return -1;
    close(in[0]);
    close(out[1]);
    to_cluster = fdopen(in[1], "w");
    from_cluster = fdopen(out[0], "r");
    if (to_cluster == NULL || from_cluster == NULL ||
        fgets(line, sizeof(line), from_cluster) == NULL ||
        sscanf(line, "ready %255s", folder) != 1)
        return -1;
    return 0;
}

int
pg_cluster_stop(void)
{
    int status = -1;

    fclose(to_cluster);
    waitpid(cluster_pid, &status, 0);
    fclose(from_cluster);
    return status == 0 ? 0 : -1;
}

const char *
pg_cluster_folder(void)
{
    return folder;
}

int
pg_cluster_say(const char *command)
{
    char line[LINE_LEN];

    fprintf(to_cluster, "%s\n", command);
    fflush(to_cluster);
    if (fgets(line, sizeof(line), from_cluster) == NULL)
        return -1;
    return strcmp(line, "done\n") == 0 ? 0 : -1;
}

const char *
pg_cluster_sql(const char *database, const char *sql)
{
    static char answer[LINE_LEN];
    char command[LINE_LEN];
    FILE *psql;

    setenv("TANDEM_SQL", sql, 1); /* so that nothing has to be quoted */
    snprintf(command, sizeof(command),
             "PGOPTIONS='-c default_transaction_read_only=off' "
             "psql -X -q -At -v ON_ERROR_STOP=1 -U super -h %s -d %s "
             "-c \"$TANDEM_SQL\"",
             folder, database);
    answer[0] = '\0';
    psql = popen(command, "r");
    if (psql == NULL)
        return "";
    if (fgets(answer, sizeof(answer), psql) != NULL)
        answer[strcspn(answer, "\n")] = '\0';
    pclose(psql);
    return answer;
}
