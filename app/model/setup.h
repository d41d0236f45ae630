/*
 * setup - the models' configuration, out of everybody's.
 */
#ifndef MODEL_SETUP_H
#define MODEL_SETUP_H

#include "config.h"
#include "model/model.h"

/* Strings stay borrowed from config. */
void model_setup(const struct config *config, struct models_config *models);

#endif
