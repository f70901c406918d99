// No code: SwiftPM compiles this file again when a header has changed, and with it all that inlines them (Package.swift).
#include "../CYAML/shim.h"
