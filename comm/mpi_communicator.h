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

// Cross-overs between algorithms (mpi_tree.h), measured; tests lower them so that every algorithm runs.
struct MpiTuning {
  size_t piece = size_t{1} << 30;         // bytes of the largest message: MPI counts in int
  size_t small_bytes = size_t{16} << 10;  // up to here a reduction's time is its rounds, above it its bytes
  size_t chunk_bytes = size_t{256} << 10;
};

// A communicator of its own over a duplicate of `group` (collective over `group`), with errors returned and
// not fatal.
std::unique_ptr<Communicator> make_mpi_communicator(
    MPI_Comm group, std::shared_ptr<Activity> activity = std::make_shared<Activity>(),
    const MpiTuning& tuning = {});

}  // namespace trireme
