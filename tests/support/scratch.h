/*
 * scratch - a temporary folder for one test, removed with all that is in it.
 */
#ifndef SUPPORT_SCRATCH_H
#define SUPPORT_SCRATCH_H

#define SCRATCH_PATH_LEN 64

/* Fails the test when it cannot. */
void scratch_make(char path[SCRATCH_PATH_LEN]);
void scratch_remove(const char *path);

#endif
