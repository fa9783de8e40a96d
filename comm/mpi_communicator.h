// The seam over MPI. Only this room sees <mpi.h>.
#pragma once

#ifndef OMPI_SKIP_MPICXX
#define OMPI_SKIP_MPICXX 1  // the long-removed C++ bindings: slow to compile and full of warnings
#endif
#include <mpi.h>

#include <cstddef>
#include <memory>
#include <string>

#include "comm/communicator.h"

namespace trireme {

// The one check of MPI return codes: throws CommError "rank R on HOST: OPERATION failed: MPI's words".
void check_mpi(int code, const char* operation);

// A communicator of its own over a duplicate of `group` (collective over `group`), with errors returned and
// not fatal. MPI counts in int: more than `piece` elements (or bytes, for broadcast) go in pieces of that
// many. The order of a reduction is MPI's: fixed for a fixed number of ranks, count and placement.
constexpr size_t mpi_piece = size_t{1} << 30;
std::unique_ptr<Communicator> make_mpi_communicator(
    MPI_Comm group, std::shared_ptr<Activity> activity = std::make_shared<Activity>(),
    size_t piece = mpi_piece);

}  // namespace trireme
