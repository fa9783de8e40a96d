#include "base/environment.h"

#include <unistd.h>

#include <algorithm>
#include <string_view>

namespace trireme {

std::vector<std::string> environment_without(const std::vector<std::string>& names) {
  std::vector<std::string> all;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    std::string_view text(*variable);
    std::string_view name = text.substr(0, text.find('='));
    if (std::find(names.begin(), names.end(), name) == names.end()) all.emplace_back(text);
  }
  return all;
}

}  // namespace trireme
