/*
 * selftest_instance - a private tandemd with a modelsim, in a folder of its
 * own.
 *
 *     instance = instance_new(&err);              programs found, folder made
 *     instance_start(instance, patience, &err);   and ready
 *     ... instance->stream_socket ...
 *     instance_stop(instance);                    repeatable
 *     instance_free(instance, keep_the_folder);
 *
 * It inherits nothing of the environment but PATH, so that no configured
 * service, provider or ledger is touched.  The programs die with us, however we
 * end.
 */
#ifndef TANDEMCTL_SELFTEST_INSTANCE_H
#define TANDEMCTL_SELFTEST_INSTANCE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/err.h"
#include "tandemctl/selftest_patience.h"

/* How it is set up, as far as drills count on it. */
#define INSTANCE_WORKERS     8
#define INSTANCE_IDLE_MS     500  /* longest silence of a model */
#define INSTANCE_PRO_MS      6000 /* longest wait for Pro */
#define INSTANCE_DEADLINE_MS 16000

#define INSTANCE_FOLDER_BYTES 64
#define INSTANCE_NAME_BYTES   96 /* of what is in the folder */

/* Look, touch nothing. */
struct instance {
    char folder[INSTANCE_FOLDER_BYTES];
    char stream_socket[INSTANCE_NAME_BYTES];
    char control_socket[INSTANCE_NAME_BYTES];
    char ledger[INSTANCE_NAME_BYTES];
    char spool[INSTANCE_NAME_BYTES];
    char sim_url[64];
    char tandemd_program[PATH_MAX];
    char modelsim_program[PATH_MAX];
    pid_t tandemd_pid; /* 0: does not run */
    pid_t modelsim_pid;
};

/* Looks for the programs beside this one, in ../sbin, and in PATH.  NULL with
 * err. */
struct instance *instance_new(struct err *err) ATTR_MUST_CHECK;

/* NULL is fine.  False when the folder could not be removed. */
bool instance_free(struct instance *instance, bool keep);

int instance_start(struct instance *instance, struct patience *patience,
                   struct err *err) ATTR_MUST_CHECK;
void instance_stop(struct instance *instance);

/* Asks tandemd to stop and waits for it.  Its exit code, -1 when a signal ended
 * it, -2 when it has not ended. */
int instance_end_tandemd(struct instance *instance, struct patience *patience);

/* Now the scribe, from tandemd's log; 0 when that does not say. */
pid_t instance_scribe(const struct instance *instance);

/* kill -9 of a process of this tandemd; no other. */
int instance_kill(const struct instance *instance, pid_t pid,
                  struct err *err) ATTR_MUST_CHECK;

#endif
