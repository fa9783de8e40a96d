#include "data/prepare.h"

#include "base/error.h"
#include "data/prepare_common.h"

namespace trireme {

std::vector<PreparedFile> prepare(const PrepareDatasetConfig& config, bool force) {
  if (config.kind == "text") return prepare_text(config, force);
  if (config.kind == "csv") return prepare_csv(config, force);
  if (config.kind == "images") return prepare_images(config, force);
  if (config.kind != "idx")
    throw ConfigError("{}: kind = \"{}\": no such format", config.origin, config.kind);
  PrepareResult made = prepare_idx(config, force);
  return {{config.output,
           made.up_to_date,
           image_summary(made.images, made.image_shape, made.classes, made.mean, made.standard_deviation),
           {}}};
}

}  // namespace trireme
