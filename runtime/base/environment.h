// What the environment of this process says.
#pragma once

#include <charconv>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace trireme {

// The whole number that the variable holds; nothing where it is not set or holds something else, such as a
// number that is no Integer.
template <class Integer = int>
std::optional<Integer> number_in_environment(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return std::nullopt;
  std::string_view view(text);
  Integer value = 0;
  auto [end, error] = std::from_chars(view.data(), view.data() + view.size(), value);
  if (error != std::errc() || end != view.data() + view.size()) return std::nullopt;
  return value;
}

// All variables, as "NAME=value", but those of these names.
std::vector<std::string> environment_without(const std::vector<std::string>& names);

}  // namespace trireme
