// Compiles a loop once per instruction set; the loader picks the widest that the processor has. Not under
// sanitizers, whose runtime is not up yet when the loader asks.
#pragma once

#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
#define TRIREME_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define TRIREME_CLONES
#endif
