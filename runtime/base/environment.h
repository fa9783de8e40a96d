// What the environment of this process says.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace trireme {

// The whole number that the variable holds; nothing where it is not set or holds something else.
std::optional<int> number_in_environment(const char* variable);

// All variables, as "NAME=value", but those of these names.
std::vector<std::string> environment_without(const std::vector<std::string>& names);

}  // namespace trireme
