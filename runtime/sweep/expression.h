// Small formulas over config keys, for `when` and for constraints: "optimizer.kind == 'sgd'",
// "data.batch * train.micro_batches <= 512 and model.dense != 0".
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace trireme {

// What a key holds as a formula sees it: a number (integers too), a truth value, or a text. A list is its
// TOML text: "[256, 128]".
using FormulaValue = std::variant<double, bool, std::string>;

// What a formula asks a key's value of; nothing for a key that is not active.
using FormulaKeys = std::function<std::optional<FormulaValue>(const std::string& key)>;

struct FormulaNode;

// A formula that has been read: names are dotted config keys; numbers, true, false, "texts" or 'texts' (no
// escapes); + - * / %,
// == != < <= > >= (one a time: a < b and b < c), and or not, parentheses,
// min(a, b) max(a, b) log2(a) log10(a) sqrt(a) abs(a), and `x in ["a", "b"]`, `x not in [1, 2]`. From loose
// to tight: or, and, not, comparisons, + -, * / %, the minus sign.
class Formula {
 public:
  // Throws ConfigError "ORIGIN: ...", with the place in the text, when it cannot be read.
  Formula(std::string_view text, std::string origin);

  const std::string& text() const { return text_; }
  const std::string& origin() const { return origin_; }
  // The keys it speaks of, each once, in the order in which they come.
  const std::vector<std::string>& keys() const { return keys_; }
  // The value, with every key's from `value_of`; nothing where that is nothing for a key that decides (`and`
  // of something false is false, `or` of something true is true, whatever the other side). Throws ConfigError
  // when types do not go together ("a" < 3), naming both.
  std::optional<FormulaValue> evaluate(const FormulaKeys& value_of) const;
  // The same as a truth value; a formula whose value is nothing does not hold. Throws ConfigError when it is
  // no truth value.
  bool holds(const FormulaKeys& value_of) const;
  // Throws what holds() could throw of such values, in every part of it.
  void check(const FormulaKeys& value_of) const;

 private:
  struct Evaluation;
  std::shared_ptr<const FormulaNode> root_;
  std::string text_;
  std::string origin_;
  std::vector<std::string> keys_;
};

}  // namespace trireme
