// The hash that names a data set.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "data/split.h"

namespace trireme {

// SHA-256 over a line of facts and what else is given, in order.
class Identity {
 public:
  explicit Identity(std::string_view facts) { add(facts); }
  void add(std::string_view text) { hash_.update(std::as_bytes(std::span(text))); }
  template <class T>
  void add(std::span<const T> values) {
    hash_.update(std::as_bytes(values));
  }
  // Nothing for all of a file.
  void add(const Part& part) {
    if (part.name.empty()) return;
    add(fmt::format("{} {} {}", part.name, part.begin, part.end));
    add(std::span<const uint32_t>(part.rows));
  }
  std::string hex() { return hash_.hex(); }

 private:
  Sha256 hash_;
};

}  // namespace trireme
