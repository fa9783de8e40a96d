// The strategies there are, by the name of parallel.mode; one file each.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "comm/communicator.h"
#include "config/config.h"
#include "exec/arenas.h"
#include "optim/groups.h"
#include "train/strategy.h"

namespace trireme {

// The strategy that parallel.mode names, with an optimizer of its own as `optimizer` says (config.optimizer,
// or a GAN's config.discriminator_optimizer). `arenas` (float32), `communicator` and `exchanger`
// outlive it. Throws
// ConfigError naming the key when there is no such mode. For "parameter_server" it is the workers', which
// leaves gradients where they are. `threads` of the calling thread's team take norms and update.
std::unique_ptr<Strategy> make_strategy(const Config& config, const OptimizerConfig& optimizer,
                                        Arenas& arenas, Communicator& communicator, Exchanger& exchanger,
                                        int threads = 1);
std::vector<std::string_view> strategy_modes();

// The parameter arena's tensors as parameter groups see them.
std::vector<ParameterTensor> parameter_tensors(const ArenaLayout& layout);

}  // namespace trireme
