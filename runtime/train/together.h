// What one rank does for all, and what all do each for itself, so that a failure is everybody's: nobody waits
// in a collective for a rank that has thrown.
#pragma once

#include <functional>

#include "comm/communicator.h"

namespace trireme {

// Collective: rank 0 does `work`. Where that throws, rank 0 throws the same again, and all others an Error of
// the same exit code and text.
void on_rank_zero(Communicator& communicator, const std::function<void()>& work);

// Collective: every rank does `work`, in which nothing is collective. Where it fails on some, these throw
// what it was, and the others the lowest one's as an Error of the same exit code and text.
void on_every_rank(Communicator& communicator, const std::function<void()>& work);

}  // namespace trireme
