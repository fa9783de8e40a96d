#include "train/trained.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "checkpoint/manifest.h"
#include "train/average.h"
#include "train/run_directory.h"
#include "train/tensor_views.h"

namespace trireme {
namespace fs = std::filesystem;
namespace {

Checkpoint open_checkpoint(const fs::path& folder, const std::function<void(const std::string&)>& warn) {
  if (!fs::exists(folder))
    throw MissingInputError(
        "{}: there is no such run directory; train first (trireme-train), or name the run's own folder",
        folder.string());
  if (fs::exists(folder / Manifest::file_name)) return Checkpoint(folder);
  fs::path checkpoints = RunDirectory(folder).checkpoints();
  auto tell = [&warn](const std::string& message) {
    if (warn) warn(message);
  };
  std::optional<Checkpoint> newest = open_newest_checkpoint(checkpoints, tell);
  if (!newest) {
    throw MissingInputError("{}: holds no checkpoint; train first, or name the run's own folder",
                            checkpoints.string());
  }
  return std::move(*newest);
}

}  // namespace

bool Trained::has_average() const {
  // By the config, since a gan's discriminator may have an average where its generator has none.
  if (config.optimizer.ema_decay == 0) return false;
  std::vector<std::string> slots = checkpoint.slots();
  return std::find(slots.begin(), slots.end(), average_slot) != slots.end();
}

Trained open_trained(const fs::path& run_directory, const std::function<void(const std::string&)>& warn) {
  Checkpoint checkpoint = open_checkpoint(run_directory, warn);
  Config config = parse_config(checkpoint.run().config, checkpoint.directory().string());
  return {std::move(checkpoint), std::move(config)};
}

void load_trained(const Trained& trained, Arenas& arenas, bool use_average) {
  std::vector<MutableTensor> parameters = write_view(arenas.layout.parameters, arenas.parameters.as<float>());
  if (use_average && trained.has_average()) {
    trained.checkpoint.load_slot(average_slot, parameters);
  } else {
    trained.checkpoint.load_parameters(parameters);
  }
  trained.checkpoint.load_states(write_view(arenas.layout.states, arenas.state.as<float>()));
}

}  // namespace trireme
