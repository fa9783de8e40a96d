// Small formulas over config keys, for `when` and for constraints: "optimizer.kind == \"sgd\"",
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

// What a key holds as a formula sees it: a number (integers too), a truth value, or a text.
using FormulaValue = std::variant<double, bool, std::string>;

// Names are dotted config keys; numbers, true, false, "texts"; + - * / %, == != < <= > >=, and or not,
// parentheses, min(a, b) max(a, b) log2(a) log10(a) sqrt(a) abs(a), and `x in ["a", "b"]`.
class Formula {
 public:
  // Throws ConfigError "ORIGIN: ...", with the place in the text, when it cannot be read.
  Formula(std::string_view text, std::string origin);

  const std::string& text() const;
  // The keys it speaks of, each once, in the order in which they come.
  const std::vector<std::string>& keys() const;
  // The value, with every key's from `value_of`; nothing where that is nothing for a key that is needed (a
  // key that is not active). Throws ConfigError when types do not go together ("a" < 3), naming both.
  std::optional<FormulaValue> evaluate(
      const std::function<std::optional<FormulaValue>(const std::string& key)>& value_of) const;
  // The same as a truth value; a formula of a key that is not active does not hold. Throws ConfigError when
  // it is no truth value.
  bool holds(const std::function<std::optional<FormulaValue>(const std::string& key)>& value_of) const;

 private:
  struct Node;
  std::shared_ptr<const Node> root_;
  std::string text_;
  std::string origin_;
  std::vector<std::string> keys_;
};

}  // namespace trireme
