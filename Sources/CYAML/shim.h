// CYAML: libyaml (0.2), which parses YAML 1.1 into events and writes it from them.
#ifndef CYAML_SHIM_H
#define CYAML_SHIM_H

#include <yaml.h>

#endif
