// The only place where an exception becomes an exit code.
#pragma once

#include <functional>
#include <string>

namespace trireme {

// Runs body(argc, argv) and returns its result; every main is one call of this.
//
// An exception out of body ends the job with its code (trireme::Error: its own; std::bad_alloc and everything
// else: 70), printed once:
// - before MPI_Init every rank meets the same command line and config, so rank 0 (by the launcher's
// environment)
//   prints "trireme-NAME: error: MESSAGE" and all return the code;
// - after MPI_Init the process prints "trireme-NAME: error: rank R on HOST: MESSAGE" and calls
//   MPI_Abort(MPI_COMM_WORLD, code), which takes all ranks down within seconds, also those that wait in a
//   collective. MPI_Finalize is never called after an error.
// name: the executable's, e.g. "trireme-train".
int run_main(const std::string& name, int argc, char** argv, const std::function<int(int, char**)>& body);

}  // namespace trireme
