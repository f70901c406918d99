// No code: SwiftPM recompiles this file, and everything that inlines the headers, when a header changes (Package.swift).
#include "../CBPF/shim.h"
