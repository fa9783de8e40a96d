// runtime/ops/OPS.md is made from the op table. This test fails when it is not up to date;
// `test_ops_docs --update` writes it anew.
#include <gtest/gtest.h>

#include <fmt/ranges.h>

#include <cstring>
#include <filesystem>

#include "base/atomic_file.h"
#include "graph/op.h"

namespace trireme::test {
namespace {

const std::filesystem::path page = std::filesystem::path(TRIREME_SOURCE_DIR) / "runtime/ops/OPS.md";

std::string value_text(const Attribute& attribute) {
  return std::visit([](auto value) { return fmt::format("{}", value); }, attribute);
}

std::string signature(const Op& op) {
  std::vector<std::string> inputs = op.inputs;
  for (size_t i = op.required_inputs; i < inputs.size(); ++i) inputs[i] += "?";
  return fmt::format("{}({}) -> {}", op.name, fmt::join(inputs, ", "), fmt::join(op.outputs, ", "));
}

std::string properties(const Op& op) {
  std::vector<std::string> parts;
  if (op.is_loss) parts.push_back("a loss");
  if (op.is_view) parts.push_back("a view of its input");
  if (op.in_place_input >= 0)
    parts.push_back("may overwrite " + op.inputs[static_cast<size_t>(op.in_place_input)]);
  for (const StatisticOutput& s : op.statistic_outputs) {
    std::string text = op.outputs[s.output] + " is a statistic";
    if (s.state_input >= 0) text += " that moves " + op.inputs[static_cast<size_t>(s.state_input)];
    parts.push_back(text);
  }
  parts.push_back(op.gradient ? "differentiable" : "no gradient rule");
  if (op.precision != Precision::full) {
    std::vector<std::string> names;
    for (size_t i : op.half_inputs) names.push_back(op.inputs[i].substr(0, op.inputs[i].find('[')));
    parts.push_back(fmt::format("16 bits ({}): {}", op.precision == Precision::low ? "low" : "follow",
                                fmt::join(names, ", ")));
  }
  return fmt::format("{}", fmt::join(parts, "; "));
}

std::string documentation() {
  std::string text =
      "# The ops\n\n"
      "Made from the op table by `test_ops_docs --update`; do not edit. Inputs marked `?` may be absent. "
      "Tensors are\n"
      "row-major, images channels-last. \"16 bits\" names the inputs that may be bfloat16 or float16: *low* "
      "ops are worth\n"
      "computing so, *follow* ops take the type that arrives; the other inputs, and gradients of parameters, "
      "stay float32.\n";
  for (const Op& op : op_table()) {
    text += fmt::format("\n## {}\n\n`{}`\n\n{}.\n\n*{}*\n", op.name, signature(op), op.doc, properties(op));
    if (op.attributes.empty()) continue;
    text += "\n| attribute | type | default | meaning |\n|---|---|---|---|\n";
    for (const AttributeRule& rule : op.attributes) {
      text += fmt::format("| `{}` | {} | {} | {} |\n", rule.name,
                          std::holds_alternative<int64_t>(rule.default_value) ? "integer" : "real",
                          value_text(rule.default_value), rule.doc);
    }
  }
  return text;
}

TEST(Docs, ThePageIsUpToDate) {
  ASSERT_TRUE(std::filesystem::exists(page)) << "make it by: test_ops_docs --update";
  EXPECT_TRUE(read_file(page) == documentation())
      << page << " is not what the op table says; run test_ops_docs --update";
}

}  // namespace
}  // namespace trireme::test

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc == 2 && std::strcmp(argv[1], "--update") == 0) {
    trireme::write_file_atomically(trireme::test::page, std::string_view(trireme::test::documentation()));
    return 0;
  }
  return RUN_ALL_TESTS();
}
