// Keys and their values as text.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "config/keys.h"

namespace trireme {
namespace {

std::string number(double value) {
  // A bound such as 16777216 reads better without an exponent.
  if (value == std::floor(value) && std::abs(value) < 1e15)
    return fmt::format("{}", static_cast<int64_t>(value));
  return fmt::format("{}", value);
}

// An empty list stands for all.
bool is_among(std::string_view kind, const std::vector<std::string_view>& kinds) {
  return kinds.empty() || std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
}

struct TypeName {
  std::string operator()(bool*) const { return "true or false"; }
  std::string operator()(int64_t*) const { return "integer"; }
  std::string operator()(double*) const { return "number"; }
  std::string operator()(std::string*) const { return "text"; }
  std::string operator()(std::vector<int64_t>*) const { return "list of integers"; }
  std::string operator()(std::vector<std::string>*) const { return "list of texts"; }
  std::string operator()(CountOrName*) const { return "integer"; }
};

struct ValueText {
  std::string operator()(const CountOrName* value) const {
    return value->name.empty() ? fmt::format("{}", value->count) : to_toml(value->name);
  }
  std::string operator()(const bool* value) const { return *value ? "true" : "false"; }
  std::string operator()(const int64_t* value) const { return fmt::format("{}", *value); }
  std::string operator()(const std::string* value) const { return to_toml(*value); }
  std::string operator()(const std::vector<int64_t>* value) const {
    return fmt::format("[{}]", fmt::join(*value, ", "));
  }
  std::string operator()(const std::vector<std::string>* value) const {
    std::vector<std::string> quoted;
    for (const std::string& text : *value) quoted.push_back(to_toml(text));
    return fmt::format("[{}]", fmt::join(quoted, ", "));
  }
  std::string operator()(const double* value) const {
    std::string text = fmt::format("{}", *value);  // the shortest that reads back to the same bits
    if (text.find_first_not_of("-0123456789") == std::string::npos) text += ".0";
    return text;
  }
};

}  // namespace

std::string_view KeyTable::kind() const {
  if (!has_kind()) return {};
  return *std::get<std::string*>(keys.front().slot);
}

bool KeyTable::is_read() const { return model_kind == nullptr || is_among(*model_kind, models); }

bool KeyTable::reads(const Key& key) const {
  bool by_model = model_kind == nullptr || is_among(*model_kind, key.rule.models);
  return is_read() && by_model && is_among(kind(), key.rule.kinds);
}

std::string describe_range(const KeyRule& rule) {
  if (rule.at_least == rule.at_most) return "only " + number(rule.at_least);
  std::string low;
  std::string high;
  if (std::isfinite(rule.at_least)) low = "at least " + number(rule.at_least);
  if (std::isfinite(rule.above)) low = "above " + number(rule.above);
  if (std::isfinite(rule.at_most)) high = "at most " + number(rule.at_most);
  if (std::isfinite(rule.below)) high = "below " + number(rule.below);
  return low.empty() || high.empty() ? low + high : low + " and " + high;
}

std::string describe_type(const Key& key) {
  std::string text = std::visit(TypeName{}, key.slot);
  if (std::holds_alternative<CountOrName*>(key.slot)) {
    return fmt::format("{} {}, or text: {}", text, describe_range(key.rule),
                       fmt::join(key.rule.choices, " | "));
  }
  if (!key.rule.choices.empty()) return fmt::format("{}: {}", text, fmt::join(key.rule.choices, " | "));
  std::string range = describe_range(key.rule);
  if (range.empty()) return text;
  bool list = std::holds_alternative<std::vector<int64_t>*>(key.slot);
  return text + ", " + (list ? "each " : "") + range;
}

std::string to_toml(const KeySlot& slot) { return std::visit(ValueText{}, slot); }

std::string to_toml(std::string_view text) {
  std::string quoted = "\"";
  for (char c : text) {
    unsigned char byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      quoted += fmt::format("\\u{:04X}", byte);
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

}  // namespace trireme
