// The only place where an exception becomes an exit code.
#pragma once

#include <functional>
#include <string>

namespace trireme {

// Runs body(argc, argv) and returns its result; every main is one call of this.
//
// An exception out of body ends the job with its code (trireme::Error: its own; std::bad_alloc and everything
// else: 70):
// - before MPI_Init (or where there is no MPI) rank 0, by the launcher's environment, prints
//   "trireme-NAME: error: MESSAGE" and every rank ends with the code. Other ranks are silent about the
//   command line and the config, which all share; any other failure is taken to MPI_Init and goes the next
//   way. What a machine lacks (FabricError) rank 0 tells first, with its host, and another rank only while
//   the job has not ended upon that;
// - after MPI_Init the process prints "trireme-NAME: error: rank R on HOST: MESSAGE" and calls
//   MPI_Abort(MPI_COMM_WORLD, code), which takes all ranks down within seconds, also those that wait in a
//   collective. MPI_Finalize is never called after an error. Rank 0 speaks first, so that an error that all
//   ranks raise alike stands once.
// A fatal signal is told too (fatal_signals.h), and ends the process as that signal.
// Under srun this needs -K1 (kill the step on a bad exit), under mpirun nothing.
// name: the executable's, e.g. "trireme-train".
int run_main(const std::string& name, int argc, char** argv, const std::function<int(int, char**)>& body);

// Inside of such a body, for processes that do not die of each other: an exception out of `work` is printed
// by this process, whichever it is, and becomes its code. MPI is not touched, and nobody else is ended.
int run_apart(const std::string& name, const std::function<int()>& work);

}  // namespace trireme
