// Mailboxes and groups over MPI.
#pragma once

#include "comm/mailbox.h"
#include "comm/mpi_communicator.h"
#include "comm/options.h"

namespace trireme {

// Collective over `world`. Channels are below Doorbells::channels. Throws CommError.
Meeting make_mpi_meeting(MPI_Comm world, const CommOptions& options);

}  // namespace trireme
