#include "inspect/report.h"

#include <fmt/format.h>

namespace trireme {

std::string validation_text(const CheckpointValidation& validation) {
  std::string text;
  for (const auto& [name, value] : validation_figures(validation)) {
    text += fmt::format("{}{} {:.4f}", text.empty() ? "" : ", ", name, value);
  }
  return text;
}

nlohmann::ordered_json validation_json(const CheckpointValidation& validation) {
  nlohmann::ordered_json object = {{"step", validation.step}, {"epoch", validation.epoch}};
  for (const auto& [name, value] : validation_figures(validation)) object[name] = value;
  return object;
}

std::string counted(int64_t number, const std::string& thing) {
  return fmt::format("{} {}{}", number, thing, number == 1 ? "" : "s");
}

}  // namespace trireme
