#include "checkpoint/content.h"

#include <array>

namespace trireme {
namespace {

struct Figure {
  const char* name;
  std::optional<double> CheckpointValidation::*place;
};
constexpr std::array further_figures = {
    Figure{"accuracy", &CheckpointValidation::accuracy},
    Figure{"perplexity", &CheckpointValidation::perplexity},
    Figure{"generator_loss", &CheckpointValidation::generator_loss},
    Figure{"discriminator_loss", &CheckpointValidation::discriminator_loss},
};

}  // namespace

std::vector<std::pair<std::string, double>> validation_figures(const CheckpointValidation& validation) {
  std::vector<std::pair<std::string, double>> figures = {{"loss", validation.loss}};
  for (const Figure& figure : further_figures) {
    if (const auto& value = validation.*figure.place) figures.emplace_back(figure.name, *value);
  }
  return figures;
}

bool set_validation_figure(CheckpointValidation& validation, const std::string& name, double value) {
  if (name == "loss") {
    validation.loss = value;
    return true;
  }
  for (const Figure& figure : further_figures) {
    if (name != figure.name) continue;
    validation.*figure.place = value;
    return true;
  }
  return false;
}

}  // namespace trireme
