// The message loop of a sweep, a thread of rank 0: hands letters and suggestions to the logic and sends what
// it answers. Nothing else is done in it: no file but the journal, no sampler's thinking.
#pragma once

#include <functional>

#include "base/error.h"
#include "comm/mailbox.h"
#include "sweep/logic.h"
#include "sweep/suggester.h"

namespace trireme {

// The worker of rank 0 has failed, and tells why.
struct FirstRankFailed : CodedError<ExitCode::internal> {
  using CodedError::CodedError;
};

struct ControllerHooks {
  std::function<bool()> stop_requested = {};            // looked at twenty times a second
  std::function<bool()> broken = [] { return false; };  // as often: the sweep cannot go on
  std::function<void()> refresh = [] {};                // every few seconds: what others have written
};

// Until the sweep is over. Throws FirstRankFailed when `broken` says so, and what the logic, the mailbox and
// the sampler throw.
void run_controller(Mailbox& mailbox, SweepLogic& logic, Suggester& suggester, const ControllerHooks& hooks);

}  // namespace trireme
