#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/error.h"
#include "sweep/formula_node.h"

namespace trireme {
namespace {

struct Token {
  enum class Kind { number, text, word, symbol, end };
  Kind kind = Kind::end;
  std::string text;  // of a text without its quotes
  double number = 0;
  size_t at = 0;  // of its first character

  bool is(std::string_view symbol) const {
    return (kind == Kind::symbol || kind == Kind::word) && text == symbol;
  }
};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// By recursive descent, a function a level of binding.
using Node = FormulaNode;

struct Parser {
  const std::string& text;
  const std::string& origin;
  std::vector<std::string>& keys;
  size_t next = 0;  // character behind `token`
  int depth = 0;
  Token token = {};

  [[noreturn]] void refuse(size_t at, const std::string& reason) const {
    refuse_formula(origin, text, at, reason);
  }

  Node parse() {
    advance();
    if (token.kind == Token::Kind::end) refuse(0, "it is empty");
    // A chain of operators is a tree of as many levels; what walks it must not meet the end of the stack.
    constexpr size_t longest = 4000;
    if (text.size() > longest) refuse(longest, fmt::format("it is longer than {} characters", longest));
    Node root = parse_either();
    if (token.kind != Token::Kind::end) {
      refuse(token.at, fmt::format("expected and, or, an operator or the end, found {}", shown()));
    }
    return root;
  }

  std::string shown() const {
    if (token.kind == Token::Kind::end) return "the end";
    return fmt::format("`{}`", text.substr(token.at, next - token.at));
  }

  void advance() {
    while (next < text.size() && std::string_view(" \t\r\n").find(text[next]) != std::string_view::npos)
      ++next;
    token = {};
    token.at = next;
    if (next == text.size()) return;
    char c = text[next];
    bool fraction = c == '.' && next + 1 < text.size() && is_digit(text[next + 1]);
    if (is_digit(c) || fraction) return read_number();
    if (is_letter(c)) return read_word();
    if (c == '"' || c == '\'') return read_text();
    token.kind = Token::Kind::symbol;
    for (std::string_view symbol : {"==", "!=", "<=", ">=", "&&", "||", "<", ">", "=", "+",
                                    "-",  "*",  "/",  "%",  "(",  ")",  "[", "]", ",", "!"}) {
      if (!std::string_view(text).substr(next).starts_with(symbol)) continue;
      token.text = symbol;
      next += symbol.size();
      for (auto [wrong, right] : {std::pair{"=", "=="}, {"&&", "and"}, {"||", "or"}, {"!", "not"}}) {
        if (symbol == wrong) refuse(token.at, fmt::format("write `{}` in place of `{}`", right, wrong));
      }
      return;
    }
    refuse(next, "this character has no meaning here");
  }

  void read_number() {
    token.kind = Token::Kind::number;
    const char* begin = text.data() + next;
    auto [end, error] = std::from_chars(begin, text.data() + text.size(), token.number);
    if (error != std::errc()) refuse(next, "this number is out of range");
    next += static_cast<size_t>(end - begin);
    if (next < text.size() && is_letter(text[next])) refuse(next, "a number ends here; what follows it?");
  }

  // A word or a dotted key, with the indices of lists: model.layer[2].rate.
  void read_word() {
    token.kind = Token::Kind::word;
    while (next < text.size()) {
      char c = text[next];
      bool dot = c == '.' && next + 1 < text.size() && is_letter(text[next + 1]);
      if (is_letter(c) || is_digit(c) || dot) {
        ++next;
        continue;
      }
      if (c != '[') break;
      size_t close = text.find_first_not_of("0123456789", next + 1);
      if (close == std::string::npos || close == next + 1 || text[close] != ']') break;
      next = close + 1;
    }
    token.text = text.substr(token.at, next - token.at);
  }

  void read_text() {
    token.kind = Token::Kind::text;
    size_t close = text.find(text[next], next + 1);
    if (close == std::string::npos) refuse(next, "this quote is not closed");
    token.text = text.substr(next + 1, close - next - 1);
    next = close + 1;
  }

  void expect(std::string_view symbol, std::string_view what) {
    if (!token.is(symbol)) refuse(token.at, fmt::format("expected `{}` {}, found {}", symbol, what, shown()));
    advance();
  }

  static Node lead(FormulaOperation operation, const Token& sign, Node operand) {
    Node node{.operation = operation, .at = sign.at, .name = sign.text};
    node.children.push_back(std::move(operand));
    return node;
  }
  static Node join(FormulaOperation operation, const Token& sign, Node left, Node right) {
    Node node = lead(operation, sign, std::move(left));
    node.children.push_back(std::move(right));
    return node;
  }

  Node parse_either() {
    // Enough for people, and far from the end of the stack.
    constexpr int deepest = 100;
    if (++depth > deepest) refuse(token.at, "it is nested too deeply");
    Node left = parse_both();
    while (token.is("or")) {
      Token sign = std::exchange(token, {});
      advance();
      left = join(FormulaOperation::either, sign, std::move(left), parse_both());
    }
    --depth;
    return left;
  }

  Node parse_both() {
    Node left = parse_inverted();
    while (token.is("and")) {
      Token sign = std::exchange(token, {});
      advance();
      left = join(FormulaOperation::both, sign, std::move(left), parse_inverted());
    }
    return left;
  }

  Node parse_inverted() {
    if (!token.is("not")) return parse_comparison();
    Token sign = std::exchange(token, {});
    advance();
    return lead(FormulaOperation::invert, sign, parse_inverted());
  }

  bool at_comparison() const {
    if (token.kind != Token::Kind::symbol) return false;
    return token.text == "<" || token.text == ">" || (token.text.size() == 2 && token.text.back() == '=');
  }

  Node parse_comparison() {
    Node left = parse_sum();
    if (token.is("in") || token.is("not")) return parse_member(std::move(left));
    if (!at_comparison()) return left;
    Token sign = std::exchange(token, {});
    advance();
    Node node = join(FormulaOperation::compare, sign, std::move(left), parse_sum());
    if (at_comparison()) refuse(token.at, "compare two at a time: a < b and b < c");
    return node;
  }

  Node parse_member(Node left) {
    Node node{.operation = FormulaOperation::member, .at = token.at, .name = "in"};
    if (token.is("not")) {
      advance();
      node.name = "not in";
      if (!token.is("in")) refuse(token.at, fmt::format("expected `in` after `not`, found {}", shown()));
    }
    advance();
    expect("[", "after `in`");
    node.children.push_back(std::move(left));
    while (!token.is("]")) {
      node.children.push_back(parse_sum());
      if (!token.is("]")) expect(",", "or `]`");
    }
    advance();
    return node;
  }

  Node parse_sum() {
    Node left = parse_product();
    while (token.kind == Token::Kind::symbol && (token.text == "+" || token.text == "-")) {
      Token sign = std::exchange(token, {});
      advance();
      left = join(FormulaOperation::arithmetic, sign, std::move(left), parse_product());
    }
    return left;
  }

  Node parse_product() {
    Node left = parse_sign();
    while (token.kind == Token::Kind::symbol &&
           (token.text == "*" || token.text == "/" || token.text == "%")) {
      Token sign = std::exchange(token, {});
      advance();
      left = join(FormulaOperation::arithmetic, sign, std::move(left), parse_sign());
    }
    return left;
  }

  Node parse_sign() {
    if (!token.is("-")) return parse_primary();
    Token sign = std::exchange(token, {});
    advance();
    return lead(FormulaOperation::negate, sign, parse_sign());
  }

  Node parse_primary() {
    Token first = token;
    Node node{.operation = FormulaOperation::value, .at = first.at};
    if (token.is("(")) {
      advance();
      node = parse_either();
      expect(")", "to close the one before");
      return node;
    }
    if (token.kind == Token::Kind::number) node.value = token.number;
    if (token.kind == Token::Kind::text) node.value = token.text;
    if (token.kind == Token::Kind::number || token.kind == Token::Kind::text) {
      advance();
      return node;
    }
    bool reserved = token.is("and") || token.is("or") || token.is("not") || token.is("in");
    if (token.kind != Token::Kind::word || reserved) {
      refuse(token.at, fmt::format("expected a key, a value or `(`, found {}", shown()));
    }
    advance();
    if (first.text == "true" || first.text == "false") {
      node.value = first.text == "true";
      return node;
    }
    if (token.is("(")) return parse_call(first);
    node.operation = FormulaOperation::key;
    node.name = first.text;
    if (std::find(keys.begin(), keys.end(), node.name) == keys.end()) keys.push_back(node.name);
    return node;
  }

  Node parse_call(const Token& name) {
    const FormulaFunction* function = find_formula_function(name.text);
    if (function == nullptr) {
      refuse(name.at, fmt::format("there is no function {}; there are {}", name.text,
                                  fmt::join(formula_function_names(), ", ")));
    }
    Node node{.operation = FormulaOperation::call, .at = name.at, .name = name.text};
    advance();
    while (!token.is(")")) {
      node.children.push_back(parse_either());
      if (!token.is(")")) expect(",", "or `)`");
    }
    if (node.children.size() != function->arguments) {
      refuse(name.at, fmt::format("{} takes {} argument{}, found {}", name.text, function->arguments,
                                  function->arguments == 1 ? "" : "s", node.children.size()));
    }
    advance();
    return node;
  }
};

}  // namespace

FormulaNode parse_formula(const std::string& text, const std::string& origin,
                          std::vector<std::string>& keys) {
  return Parser{text, origin, keys}.parse();
}

void refuse_formula(const std::string& origin, std::string text, size_t at, const std::string& reason) {
  for (char& c : text) {
    if (c == '\n' || c == '\r') c = ' ';  // a message is one line
  }
  throw ConfigError("{}: the formula `{}`, character {}: {}", origin, text, at + 1, reason);
}

}  // namespace trireme
