// A formula as a tree, between its text (formula_parser.cpp) and its value (expression.cpp).
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "sweep/expression.h"

namespace trireme {

enum class FormulaOperation { value, key, negate, invert, both, either, arithmetic, compare, member, call };

struct FormulaNode {
  FormulaOperation operation = FormulaOperation::value;
  size_t at = 0;                           // in the text, from 0
  std::string name = {};                   // of a key or function; the sign ("<=", "not in") of the others
  FormulaValue value = {};                 // value
  std::vector<FormulaNode> children = {};  // member: what is looked for, and then the items
};

struct FormulaFunction {
  std::string_view name;
  size_t arguments;
  double (*apply)(double, double);
};
// Null where there is none of this name.
const FormulaFunction* find_formula_function(std::string_view name);
std::vector<std::string_view> formula_function_names();

// Throws ConfigError as refuse_formula(). `keys`: takes those that it speaks of, each once.
FormulaNode parse_formula(const std::string& text, const std::string& origin, std::vector<std::string>& keys);

// Throws ConfigError "ORIGIN: the formula `TEXT`, character N: REASON", a line.
[[noreturn]] void refuse_formula(const std::string& origin, std::string text, size_t at,
                                 const std::string& reason);

}  // namespace trireme
