// Formulas: what they come to, what they ask, and how they are refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "base/error.h"
#include "sweep/expression.h"

namespace trireme {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

const std::map<std::string, FormulaValue> values{
    {"data.batch", 64.0},         {"train.epochs", 3.0},        {"optimizer.kind", "sgd"},
    {"optimizer.nesterov", true}, {"model.layer[2].rate", 0.5}, {"sweep.ranks_per_trial", 2.0},
};

// "off..." are keys that are not active.
std::optional<FormulaValue> value_of(const std::string& key) {
  if (key.starts_with("off")) return std::nullopt;
  return values.at(key);
}

std::optional<FormulaValue> evaluate(const std::string& text) {
  return Formula(text, "here").evaluate(value_of);
}

double number(const std::string& text) { return std::get<double>(evaluate(text).value()); }

TEST(Formula, Calculates) {
  EXPECT_EQ(number("1 + 2 * 3"), 7);
  EXPECT_EQ(number("(1 + 2) * 3"), 9);
  EXPECT_EQ(number("10 - 4 - 3"), 3);
  EXPECT_EQ(number("24 / 4 / 2"), 3);
  EXPECT_EQ(number("17 % 5"), 2);
  EXPECT_EQ(number("2 - -3"), 5);
  EXPECT_EQ(number("-2 * 3"), -6);
  EXPECT_EQ(number("--2"), 2);
  EXPECT_EQ(number("1e-3 * 1000 + .5"), 1.5);
  EXPECT_EQ(number("data.batch * train.epochs"), 192);
  EXPECT_EQ(number("model.layer[2].rate * 2"), 1);
  EXPECT_EQ(number("min(3, 2) + max(3, 2) * 10"), 32);
  EXPECT_EQ(number("log2(data.batch) + log10(1000) + sqrt(16) + abs(-1)"), 14);
}

TEST(Formula, ComparesAndDecides) {
  for (const char* text : {"1 < 2",
                           "2 <= 2",
                           "3 > 2",
                           "2 >= 2",
                           "2 == 2.0",
                           "2 != 3",
                           "data.batch/2 == 32",
                           "optimizer.kind == \"sgd\"",
                           "optimizer.kind == 'sgd'",
                           "optimizer.kind != 'adam'",
                           "optimizer.nesterov",
                           "optimizer.nesterov == true",
                           "not false",
                           "not 1 > 2",
                           "not not true",
                           "true or false and false",
                           "(true or false) and true",
                           "1 < 2 and 2 < 3 or false",
                           "optimizer.kind in ['adam', \"sgd\"]",
                           "optimizer.kind not in ['adam']",
                           "data.batch in [32, 2 * 32]",
                           "data.batch not in []",
                           "not (optimizer.kind in [])"}) {
    EXPECT_EQ(evaluate(text), FormulaValue(true)) << text;
    EXPECT_TRUE(Formula(text, "here").holds(value_of)) << text;
    EXPECT_EQ(evaluate("not (" + std::string(text) + ")"), FormulaValue(false)) << text;
  }
}

TEST(Formula, WhatHangsOnAnInactiveKeyIsNothing) {
  for (const char* text :
       {"off", "off > 3", "3 * off + 1", "not off", "off and true", "true and off", "off or false",
        "false or off", "off in [1, 2]", "1 in [2, off]", "1 not in [2, off]", "min(off, 1)"}) {
    EXPECT_EQ(evaluate(text), std::nullopt) << text;
    EXPECT_FALSE(Formula(text, "here").holds(value_of)) << text;
  }
  // The other side decides.
  EXPECT_EQ(evaluate("off > 1 and false"), FormulaValue(false));
  EXPECT_EQ(evaluate("false and off > 1"), FormulaValue(false));
  EXPECT_EQ(evaluate("off > 1 or true"), FormulaValue(true));
  EXPECT_EQ(evaluate("2 in [off, 2]"), FormulaValue(true));
}

TEST(Formula, NamesItsKeysOnce) {
  Formula formula(
      "data.batch > 3 and (train.epochs < data.batch or model.layer[2].rate > 0) and x in ['a', y]", "");
  EXPECT_THAT(formula.keys(), ElementsAre("data.batch", "train.epochs", "model.layer[2].rate", "x", "y"));
  EXPECT_THAT(Formula("1 < 2", "").keys(), ElementsAre());
}

struct BadFormula {
  std::string text;
  std::string part;
};

TEST(Formula, RefusesWhatItCannotRead) {
  for (const BadFormula& bad : std::vector<BadFormula>{
           {"", "empty"},
           {"  ", "empty"},
           {"1 +", "character 4: expected a key, a value or `(`, found the end"},
           {"(1 < 2", "expected `)`"},
           {"1 < 2)", "character 6: expected and, or, an operator or the end, found `)`"},
           {"a = 3", "write `==` in place of `=`"},
           {"a && b", "write `and`"},
           {"a || b", "write `or`"},
           {"!a", "write `not`"},
           {"1 < 2 < 3", "compare two at a time"},
           {"a == 'sgd", "quote is not closed"},
           {"a b", "found `b`"},
           {"a in b", "expected `[` after `in`"},
           {"a in [1 2]", "expected `,` or `]`"},
           {"a in [1", "expected `,`"},
           {"a not 3", "expected `in` after `not`"},
           {"maximum(1, 2)", "there is no function maximum; there are min, max"},
           {"max(1)", "max takes 2 arguments, found 1"},
           {"sqrt(1, 2)", "sqrt takes 1 argument, found 2"},
           {"sqrt(", "expected a key"},
           {"12abc", "a number ends here"},
           {"1e999", "out of range"},
           {"a.b $ 3", "character 5: this character has no meaning"},
           {"and", "expected a key"},
           {"a.\nb < ", "no meaning"},
           {std::string(200, '('), "nested too deeply"},
           {std::string(5000, '-') + "1", "longer than 4000"},
           {"\xff", "no meaning"},
       }) {
    try {
      Formula(bad.text, "sweep.toml:7:3");
      ADD_FAILURE() << bad.text << " was accepted";
    } catch (const ConfigError& error) {
      std::string message = error.what();
      EXPECT_THAT(message, StartsWith("sweep.toml:7:3: the formula `"));
      EXPECT_THAT(message, HasSubstr(bad.part));
      EXPECT_EQ(message.find('\n'), std::string::npos);
    }
  }
}

TEST(Formula, RefusesTypesThatDoNotGoTogether) {
  for (const BadFormula& bad : std::vector<BadFormula>{
           {"optimizer.kind < 3", "`<` goes with numbers, not with the text \"sgd\""},
           {"optimizer.kind == 3", "`==` between the text \"sgd\" and the number 3"},
           {"optimizer.nesterov == 1", "`==` between true and the number 1"},
           {"optimizer.kind in ['sgd', 3]", "the number 3"},
           {"data.batch and true", "`and` goes with true and false, not with the number 64"},
           {"not data.batch", "`not` goes with true and false"},
           {"-optimizer.kind == 3", "`-` goes with numbers"},
           {"max(optimizer.kind, 3) > 1", "`max` goes with numbers"},
           {"data.batch * 2", "it is the number 128, neither true nor false"},
       }) {
    try {
      Formula(bad.text, "sweep.toml:7:3").holds(value_of);
      ADD_FAILURE() << bad.text << " was accepted";
    } catch (const ConfigError& error) {
      EXPECT_THAT(error.what(), StartsWith("sweep.toml:7:3: "));
      EXPECT_THAT(error.what(), HasSubstr(bad.part));
    }
  }
}

TEST(Formula, CheckLooksAtWhatIsPassedOver) {
  Formula formula("true or optimizer.kind < 3", "here");
  EXPECT_TRUE(formula.holds(value_of));
  EXPECT_THROW(formula.check(value_of), ConfigError);
  EXPECT_NO_THROW(Formula("true or data.batch < 3", "here").check(value_of));
}

}  // namespace
}  // namespace trireme
