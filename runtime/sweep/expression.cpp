#include "sweep/expression.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "sweep/formula_node.h"

namespace trireme {
namespace {

constexpr std::array<FormulaFunction, 6> functions{{
    {"min", 2, [](double a, double b) { return std::min(a, b); }},
    {"max", 2, [](double a, double b) { return std::max(a, b); }},
    {"log2", 1, [](double a, double) { return std::log2(a); }},
    {"log10", 1, [](double a, double) { return std::log10(a); }},
    {"sqrt", 1, [](double a, double) { return std::sqrt(a); }},
    {"abs", 1, [](double a, double) { return std::abs(a); }},
}};

std::string describe(const FormulaValue& value) {
  if (const auto* number = std::get_if<double>(&value)) return fmt::format("the number {}", *number);
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  return fmt::format("the text \"{}\"", std::get<std::string>(value));
}

}  // namespace

const FormulaFunction* find_formula_function(std::string_view name) {
  auto found = std::find_if(functions.begin(), functions.end(),
                            [&](const FormulaFunction& one) { return one.name == name; });
  return found == functions.end() ? nullptr : &*found;
}

std::vector<std::string_view> formula_function_names() {
  std::vector<std::string_view> names;
  for (const FormulaFunction& one : functions) names.push_back(one.name);
  return names;
}

// Three-valued: nothing is what hangs on a key that is not active.
struct Formula::Evaluation {
  const Formula& formula;
  const FormulaKeys& value_of;
  bool everything;  // also what the left side of `and` and `or` makes needless

  using Answer = std::optional<FormulaValue>;

  [[noreturn]] void refuse(const FormulaNode& node, const std::string& reason) const {
    refuse_formula(formula.origin_, formula.text_, node.at, reason);
  }

  std::optional<double> number(const FormulaNode& node, std::string_view sign) const {
    Answer value = evaluate(node);
    if (!value) return std::nullopt;
    if (const auto* found = std::get_if<double>(&*value)) return *found;
    refuse(node, fmt::format("`{}` goes with numbers, not with {}", sign, describe(*value)));
  }

  std::optional<bool> truth(const FormulaNode& node, std::string_view sign) const {
    Answer value = evaluate(node);
    if (!value) return std::nullopt;
    if (const auto* found = std::get_if<bool>(&*value)) return *found;
    refuse(node, fmt::format("`{}` goes with true and false, not with {}", sign, describe(*value)));
  }

  Answer evaluate(const FormulaNode& node) const {
    switch (node.operation) {
      case FormulaOperation::value:
        return node.value;
      case FormulaOperation::key:
        return value_of(node.name);
      case FormulaOperation::negate: {
        std::optional<double> value = number(node.children[0], "-");
        return value ? Answer(-*value) : std::nullopt;
      }
      case FormulaOperation::invert: {
        std::optional<bool> value = truth(node.children[0], "not");
        return value ? Answer(!*value) : std::nullopt;
      }
      case FormulaOperation::both:
      case FormulaOperation::either:
        return decide(node);
      case FormulaOperation::arithmetic:
        return calculate(node);
      case FormulaOperation::compare:
        return compare(node);
      case FormulaOperation::member:
        return find_member(node);
      case FormulaOperation::call:
        return call(node);
    }
    return std::nullopt;
  }

  Answer decide(const FormulaNode& node) const {
    const bool deciding = node.operation == FormulaOperation::either;  // what settles it alone
    std::optional<bool> left = truth(node.children[0], node.name);
    if (left == deciding && !everything) return deciding;
    std::optional<bool> right = truth(node.children[1], node.name);
    if (left == deciding || right == deciding) return deciding;
    if (!left || !right) return std::nullopt;
    return !deciding;
  }

  Answer calculate(const FormulaNode& node) const {
    std::optional<double> left = number(node.children[0], node.name);
    std::optional<double> right = number(node.children[1], node.name);
    if (!left || !right) return std::nullopt;
    switch (node.name.front()) {
      case '+':
        return *left + *right;
      case '-':
        return *left - *right;
      case '*':
        return *left * *right;
      case '/':
        return *left / *right;
      default:
        return std::fmod(*left, *right);
    }
  }

  bool equal(const FormulaNode& node, const FormulaValue& left, const FormulaValue& right) const {
    if (left.index() != right.index()) {
      refuse(node, fmt::format("`{}` between {} and {}, which are never equal", node.name, describe(left),
                               describe(right)));
    }
    return left == right;
  }

  Answer compare(const FormulaNode& node) const {
    const std::string& sign = node.name;
    if (sign == "==" || sign == "!=") {
      Answer left = evaluate(node.children[0]);
      Answer right = evaluate(node.children[1]);
      if (!left || !right) return std::nullopt;
      return equal(node, *left, *right) == (sign == "==");
    }
    std::optional<double> left = number(node.children[0], sign);
    std::optional<double> right = number(node.children[1], sign);
    if (!left || !right) return std::nullopt;
    if (sign == "<") return *left < *right;
    if (sign == "<=") return *left <= *right;
    if (sign == ">") return *left > *right;
    return *left >= *right;
  }

  Answer find_member(const FormulaNode& node) const {
    Answer left = evaluate(node.children[0]);
    bool found = false;
    bool unknown = !left;
    for (size_t i = 1; i < node.children.size(); ++i) {
      Answer item = evaluate(node.children[i]);
      if (!left || !item) {
        unknown = true;
      } else if (equal(node, *left, *item)) {
        found = true;
      }
    }
    if (unknown && !found) return std::nullopt;
    return found == (node.name == "in");
  }

  Answer call(const FormulaNode& node) const {
    double arguments[2] = {0, 0};
    bool known = true;
    for (size_t i = 0; i < node.children.size(); ++i) {
      std::optional<double> argument = number(node.children[i], node.name);
      if (argument) arguments[i] = *argument;
      known = known && argument.has_value();
    }
    if (!known) return std::nullopt;
    return find_formula_function(node.name)->apply(arguments[0], arguments[1]);
  }

  std::optional<bool> holds() const {
    Answer value = evaluate(*formula.root_);
    if (!value) return std::nullopt;
    if (const auto* flag = std::get_if<bool>(&*value)) return *flag;
    refuse(*formula.root_,
           fmt::format("it is {}, neither true nor false; compare it with something", describe(*value)));
  }
};

Formula::Formula(std::string_view text, std::string origin) : text_(text), origin_(std::move(origin)) {
  root_ = std::make_shared<const FormulaNode>(parse_formula(text_, origin_, keys_));
}

std::optional<FormulaValue> Formula::evaluate(const FormulaKeys& value_of) const {
  return Evaluation{*this, value_of, false}.evaluate(*root_);
}

bool Formula::holds(const FormulaKeys& value_of) const {
  return Evaluation{*this, value_of, false}.holds().value_or(false);
}

void Formula::check(const FormulaKeys& value_of) const { Evaluation{*this, value_of, true}.holds(); }

}  // namespace trireme
