// CSpawn: the parts of <spawn.h> that need _GNU_SOURCE, which cannot be defined for one module.
#ifndef CSPAWN_SHIM_H
#define CSPAWN_SHIM_H

#include <spawn.h>

int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int first);

#endif
