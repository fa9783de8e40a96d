// A profile as text, for people.
#pragma once

#include <cstdint>
#include <string>

#include "backend/machine.h"
#include "train/profile/figures.h"

namespace trireme {

// What a report says of the run itself.
struct ProfileSetting {
  std::string name;  // run.name
  int64_t warm_up = 0;
  int64_t samples = 0;  // of the timed steps, over all ranks
  int ranks = 1;
  int threads = 1;
  bool exchanges_beside = false;  // in a communication thread
  std::string backend = {};
  std::string precision = {};
  int64_t left_out = 0;  // steps, warm-up included, that were not applied, since float16 gradients overflowed
};

// The machine, then tables by op, by phase and of the slowest nodes.
std::string report_text(const ProfileFigures& figures, const MachineRates& rates,
                        const ProfileSetting& setting);

}  // namespace trireme
