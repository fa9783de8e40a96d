#include <algorithm>

#include "base/error.h"
#include "graph/graph.h"

namespace trireme {
namespace {

using Entry = std::pair<std::string, Attribute>;

auto lower_bound(auto& entries, std::string_view name) {
  return std::lower_bound(entries.begin(), entries.end(), name,
                          [](const Entry& entry, std::string_view wanted) { return entry.first < wanted; });
}

template <class T>
T get(const std::vector<Entry>& entries, std::string_view name, std::string_view type) {
  auto found = lower_bound(entries, name);
  if (found == entries.end() || found->first != name) {
    throw GraphError("attribute '{}' is missing; build nodes with GraphWriter, which adds defaults", name);
  }
  if (const T* value = std::get_if<T>(&found->second)) return *value;
  throw GraphError("attribute '{}' is not {}", name, type);
}

}  // namespace

Attributes::Attributes(std::initializer_list<Entry> entries) {
  for (const Entry& entry : entries) set(entry.first, entry.second);
}

void Attributes::set(std::string_view name, Attribute value) {
  auto found = lower_bound(entries_, name);
  if (found != entries_.end() && found->first == name) {
    found->second = value;
  } else {
    entries_.emplace(found, name, value);
  }
}

bool Attributes::has(std::string_view name) const {
  auto found = lower_bound(entries_, name);
  return found != entries_.end() && found->first == name;
}

int64_t Attributes::integer(std::string_view name) const {
  return get<int64_t>(entries_, name, "an integer");
}

double Attributes::real(std::string_view name) const { return get<double>(entries_, name, "a real number"); }

}  // namespace trireme
